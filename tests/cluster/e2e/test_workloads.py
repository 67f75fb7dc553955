"""Every kind of workload: its pods' plain clients get the credentials of the role, and prove whose they are."""

from collections.abc import Callable

import pytest

from emulator import names
from tests.cluster.e2e.answers import ASKED_SECONDS, expected_lines, first_pod, lines
from tests.support.kubernetes.kube import Object, condition, path, wait_for
from tests.support.kubernetes.pods import CLIENTS, WAIT, Team, container, runs
from tests.support.kubernetes.release import containers

pytestmark = pytest.mark.usefixtures("running")

Make = Callable[[Team], list[Object]]


def _controller(kind: str, **spec: object) -> Make:
    """Return a maker of one controller of `kind` whose pods stay."""

    def make(team: Team) -> list[Object]:
        name = kind.lower()
        content = {
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": team.template(labels={"app": name}),
                **spec,
            }
        }
        return [team.thing("apps/v1", kind, name, content)]

    return make


def _job(team: Team, name: str) -> Object:
    template = team.template(CLIENTS, labels={"app": name}, restartPolicy="Never")
    return {"spec": {"backoffLimit": 0, "template": template}}


@pytest.mark.parametrize(
    "app",
    [
        pytest.param("deployment", marks=runs(_controller("Deployment"))),
        pytest.param("statefulset", marks=runs(_controller("StatefulSet", serviceName="statefulset"))),
        pytest.param("daemonset", marks=runs(_controller("DaemonSet"))),
    ],
)
def test_controller(team: Team, app: str) -> None:
    """Pods that a controller makes, without a name in their object, get them too."""
    pod = first_pod(team.kube, team.namespace, f"app={app}")

    assert lines(team, pod, last="asked") == [*expected_lines(team, pod), "asked"]


@runs(lambda team: [team.thing("batch/v1", "Job", "job", _job(team, "job"))])
def test_job(team: Team) -> None:
    """A Job gets them, and is Complete once its own container has ended, emulator or not."""
    pod = first_pod(team.kube, team.namespace, "app=job")
    assert lines(team, pod) == expected_lines(team, pod)

    def complete() -> bool:
        job = team.kube.get(path("batch/v1", "Job", team.namespace, "job"))
        return bool(job and condition(job, "Complete"))

    wait_for("Job Complete", complete, 30)


@runs(
    lambda team: [
        team.thing(
            "batch/v1",
            "CronJob",
            "cronjob",
            {"spec": {"schedule": "* * * * *", "jobTemplate": _job(team, "cronjob"), "concurrencyPolicy": "Forbid"}},
        )
    ]
)
def test_cronjob(team: Team) -> None:
    """The Jobs of a CronJob get them."""
    pod = first_pod(team.kube, team.namespace, "app=cronjob")

    assert lines(team, pod) == expected_lines(team, pod)

    team.kube.delete(path("batch/v1", "CronJob", team.namespace, "cronjob"))


@runs(
    lambda team: [
        team.pod("init", WAIT, initContainers=[container("first", CLIENTS), container("second", "echo second")]),
    ]
)
def test_init_containers(team: Team) -> None:
    """The pod's own init containers keep their order, come after ours, and get credentials."""
    assert lines(team, "init", "first") == expected_lines(team, "init", container="first")
    assert lines(team, "init", "second", "second") == ["second"]

    pod = team.kube.request("GET", path("v1", "Pod", team.namespace, "init"))
    assert containers(pod) == [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER, "first", "second", "app"]


def _labelled_itself(team: Team) -> list[Object]:
    template = team.template("true" + WAIT, label=None, labels={"app": "outside"})
    content = {"spec": {"selector": {"matchLabels": {"app": "outside"}}, "template": template}}
    deployment = team.thing("apps/v1", "Deployment", "outside", content)
    deployment["metadata"]["labels"] = {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}
    return [deployment]


@runs(_labelled_itself)
def test_label_on_workload_only(team: Team) -> None:
    """A label on the workload itself, not on its pods, does nothing."""
    pod = first_pod(team.kube, team.namespace, "app=outside")
    team.kube.wait_ready(team.namespace, pod, ASKED_SECONDS)

    found = team.kube.request("GET", path("v1", "Pod", team.namespace, pod))
    assert containers(found) == ["app"]
