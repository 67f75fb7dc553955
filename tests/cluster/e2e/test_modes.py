"""The other ways to inject, each by an upgrade of the release: a policy in place of the server, the classic sidecar."""

from collections.abc import Iterator
from typing import Any

import pytest

from emulator import names
from tests.cluster.e2e.answers import expected_lines, first_pod, lines
from tests.support.kubernetes import sts as cluster_sts
from tests.support.kubernetes.kube import Object, condition, path, wait_for
from tests.support.kubernetes.pods import APP_ROLE, CLIENTS, WAIT, Team
from tests.support.kubernetes.release import VALUES, Release, containers

pytestmark = [pytest.mark.last, pytest.mark.usefixtures("as_before")]

NATIVE = [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER, "app"]
POLICY = {"mode": "policy"}
CLASSIC = {"sidecar": {**VALUES["sidecar"], "mode": "classic"}}
COMPLETE_SECONDS = 90


@pytest.fixture(scope="module")
def as_before(chart: Release) -> Iterator[None]:
    """Leave the release as the other tests want it."""
    yield
    chart.install(VALUES)


@pytest.mark.parametrize(
    "changes", [{}, {"imds": {"version": "v2"}, "redirect": {"mode": "env"}}], ids=["default", "v2-env"]
)
def test_helm_test(team: Team, chart: Release, changes: dict[str, Any]) -> None:
    """`helm test` proves an admission and, where a role is given, an exchange with STS."""
    endpoint = f"https://{cluster_sts.NAME}.{team.sts.namespace}.svc"
    values = {**VALUES, "sts": {**VALUES["sts"], "endpoint": endpoint}, **changes}
    chart.install({**values, "test": {"namespace": team.namespace, "roleArn": APP_ROLE}})
    # While one of before drains, it answers on connections that the API server has.
    wait_for("no replica of before", lambda: not any(map(_ends, chart.pods())), 60)
    session = f"{team.namespace}.{chart.name}-test-credentials"
    before = team.sts.calls(APP_ROLE, session)
    # Two pods, and what the first one needs: a service account, a role and its binding.
    assert 5 == chart.test().count("Phase:          Succeeded")
    (call,) = team.sts.calls(APP_ROLE, session)[len(before) :]
    assert f"system:serviceaccount:{team.namespace}:default" == call["subject"]


def _ends(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def test_helm_test_of_an_allow_list(team: Team, chart: Release) -> None:
    """Where only roles of a list are let in, `helm test` passes with a role that stands in and is not on it."""
    values = {**VALUES, "allowedRoles": {"mode": "enforce", "default": [APP_ROLE]}}
    chart.install({**values, "test": {"namespace": team.namespace}})
    assert 4 == chart.test().count("Phase:          Succeeded")


@pytest.mark.parametrize(
    ("name", "changes", "webhook"),
    [("policy", POLICY, False), ("classic", CLASSIC, True), ("classic-policy", {**POLICY, **CLASSIC}, False)],
)
def test_mode(team: Team, chart: Release, name: str, changes: dict[str, Any], *, webhook: bool) -> None:
    """After an upgrade to it, a Deployment gets the role's credentials and a Job gets them and completes."""
    chart.install({**VALUES, **changes})
    wait_for("the webhook's pods, or their end", lambda: bool(chart.pods()) == webhook, 60)
    found = wait_for("a pod injected in this way", lambda: _dry_run(team, native=name == "policy"), 60)
    assert sorted(found) == sorted(NATIVE)
    template = team.template(CLIENTS + WAIT, labels={"app": name})
    content = {"spec": {"selector": {"matchLabels": {"app": name}}, "template": template}}
    team.kube.create(team.thing("apps/v1", "Deployment", name, content))
    job = team.template(CLIENTS, labels={"app": f"{name}-job"}, restartPolicy="Never")
    team.kube.create(team.thing("batch/v1", "Job", name, {"spec": {"backoffLimit": 0, "template": job}}))

    pod = first_pod(team.kube, team.namespace, f"app={name}")
    assert lines(team, pod, last="asked") == [*expected_lines(team, pod), "asked"]
    pod = first_pod(team.kube, team.namespace, f"app={name}-job")
    assert lines(team, pod) == expected_lines(team, pod)
    wait_for("Job Complete", lambda: _complete(team, name), COMPLETE_SECONDS)


def _dry_run(team: Team, *, native: bool) -> list[str]:
    """Return the containers of a pod that comes back injected as a native sidecar, or as a classic one."""
    pod = team.kube.create(team.pod("dry"), dry_run=True)
    first = [each["name"] for each in pod["spec"]["initContainers"]]
    return containers(pod) if (names.EMULATOR_CONTAINER in first) == native else []


def _complete(team: Team, job: str) -> bool:
    found: Object | None = team.kube.get(path("batch/v1", "Job", team.namespace, job))
    return bool(found and condition(found, "Complete"))
