"""Policy mode: every pod of tests/pods through the policies, on a real API server.

The pod that comes out is compared with the one that the pure patch makes, stored while nothing of ours was installed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import names
from tests.parity import policies
from tests.parity.api import Answer, Api, wait_until
from tests.parity.conftest import namespace_of
from tests.parity.outcomes import comparable
from tests.pods.cases import Case, cases, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

CASES = cases()
# Ephemeral containers come by their own subresource; the API server itself refuses a new pod that has them.
STORABLE = [c for c in CASES if ".injected.yaml" in recorded(c.name) and c.name != "ephemeral-containers"]


@pytest.fixture(scope="module")
def stored(api: Api) -> dict[str, Answer]:
    """Return what the API server says to the pods of the outcome files while nothing of ours is installed."""
    return {case.name: api.try_pod(namespace_of(case), _recorded_pod(case)) for case in CASES}


@pytest.fixture(scope="module", autouse=True)
def policy_mode(api: Api, stored: dict[str, Answer]) -> Iterator[None]:
    """Install the policies, and wait until they are in force."""
    assert stored
    made = [*policies.mutation("v1"), *policies.guard(), *policies.advice()]
    for policy in made:
        api.create(policies.path(policy), policy)
    for name, sign in (("plain", "imds-redirect"), ("host-network", "hostNetwork"), ("label-true", "leaves the pod")):
        wait_until(functools.partial(_shows, api, name, sign), f"{name}: {sign}")
    yield
    for policy in made:
        api.send("DELETE", f"{policies.path(policy)}/{policy['metadata']['name']}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outcome(api: Api, stored: dict[str, Answer], case: Case) -> None:
    """The policies make of the pod what the webhook makes of it, or refuse it with the same message."""
    answer = api.try_pod(namespace_of(case), case.pod)

    refusal = recorded(case.name).get(".refused.txt", "").strip()
    if refusal:
        assert answer.status == 403
        assert answer.message.split(" denied request: ")[-1] == refusal
    elif stored[case.name].message:
        assert stored[case.name].message == answer.message
    else:
        assert answer.message == ""
        assert comparable(stored[case.name].object) == comparable(answer.object)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_warnings(api: Api, stored: dict[str, Answer], case: Case) -> None:
    """The policies warn as the webhook does."""
    answer = api.try_pod(namespace_of(case), case.pod)

    ours = [warning for warning in answer.warnings if warning not in stored[case.name].warnings]
    assert recorded(case.name).get(".warnings.txt", "").splitlines() == [w.split("': ", 1)[-1] for w in ours]


@pytest.mark.parametrize("case", STORABLE, ids=lambda case: case.name)
def test_injected_pod_is_left_alone(api: Api, case: Case) -> None:
    """C04: a pod that was injected, stored and dumped passes unchanged when it is created again."""
    first = api.try_pod(namespace_of(case), case.pod)
    again = api.try_pod(namespace_of(case), {"metadata": first.object["metadata"], "spec": first.object["spec"]})

    assert again.message == ""
    assert comparable(first.object) == comparable(again.object)


def test_no_api_token_in_what_is_added(api: Api) -> None:
    """The ServiceAccount plugin mounts the API token into the app, and into neither container of ours."""
    case = next(case for case in CASES if case.name == "plain")
    spec = api.try_pod(namespace_of(case), case.pod).object["spec"]

    mounts = {c["name"]: [m["name"].split("-")[0] for m in c["volumeMounts"]] for c in _containers(spec)}
    assert mounts == {"imds-redirect": ["imds"], "imds-emulator": ["imds", "imds"], "app": ["kube"]}


def test_update_is_left_alone(api: Api) -> None:
    """C12: a pod that has the label and was not injected can be changed and deleted."""
    case = next(case for case in CASES if case.name == "label-absent")
    pods = f"/api/v1/namespaces/{namespace_of(case)}/pods"
    api.create(pods, {**case.pod, "metadata": {**case.pod["metadata"], "namespace": namespace_of(case)}})
    changes: list[Object] = [
        {"metadata": {"labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}}},
        {"metadata": {"labels": {"x": "y"}}},
        {"metadata": {"finalizers": []}},
    ]
    name = case.pod["metadata"]["name"]

    assert [""] * 3 == [api.send("PATCH", f"{pods}/{name}", change).message for change in changes]
    assert api.send("DELETE", f"{pods}/{name}", gracePeriodSeconds="0").message == ""


def _shows(api: Api, name: str, sign: str) -> bool:
    case = next(case for case in CASES if case.name == name)
    return sign in str(api.try_pod(namespace_of(case), case.pod))


def _containers(spec: Object) -> list[Object]:
    return [*spec["initContainers"], *spec["containers"]]


def _recorded_pod(case: Case) -> Object:
    injected = recorded(case.name).get(".injected.yaml")
    return yaml.safe_load(injected) if injected else case.pod
