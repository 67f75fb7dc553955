"""Every pod of tests/pods through policy and webhook, on a real API server.

The pod that comes out is compared with the one that the pure patch makes, as the API server would keep that one while
nothing of ours is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator import names
from tests.parity.modes import BY_NAME, namespace_of
from tests.parity.outcomes import comparable
from tests.pods.cases import cases, recorded

if TYPE_CHECKING:
    from tests.parity.modes import Mode
    from tests.pods.cases import Case

Object = dict[str, Any]

# Side by side where the parameters are the same: a webhook has one set at a time.
CASES = sorted(cases(), key=lambda case: (sorted(case.parameters.items()), case.name))
# Ephemeral containers come by their own subresource; the API server itself refuses a new pod that has them.
STORABLE = [c for c in CASES if ".injected.yaml" in recorded(c.name) and c.name != "ephemeral-containers"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outcome(mode: Mode, case: Case) -> None:
    """The pod comes out as the pure patch makes it, or is refused with the same message."""
    answer = mode.admit(case, None)
    refusal, stored = mode.expected(case).refusal, mode.stored[case.name]

    if stored.message and stored.message == answer.message:
        # The API server itself refuses the pod; between a mutating policy and the guard it has its say first.
        assert answer.status == 422
    elif refusal:
        assert (403, refusal) == (answer.status, answer.message.partition("request: ")[2])
        assert mode.refuser in answer.message
    else:
        assert answer.message == ""
        assert comparable(stored.object) == comparable(answer.object)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_warnings(mode: Mode, case: Case) -> None:
    """What is odd is told in the same words, and once; a policy also warns of pods that the guard refuses."""
    answer = mode.admit(case, None)
    if answer.message:
        return
    expected = () if case.name.startswith("label-") and not mode.has_policies else mode.expected(case).warnings

    ours = [warning for warning in answer.warnings if warning not in mode.stored[case.name].warnings]
    assert expected == tuple(warning.split("': ", 1)[-1] for warning in ours)


@pytest.mark.parametrize("case", STORABLE, ids=lambda case: case.name)
def test_injected_pod_is_left_alone(mode: Mode, case: Case) -> None:
    """C04: a pod that was injected, stored and dumped passes unchanged when it is created again."""
    first = mode.admit(case, None)
    if mode.expected(case).refusal:
        assert first.message.endswith(mode.expected(case).refusal)
        return
    again = mode.admit(case, {"metadata": first.object["metadata"], "spec": first.object["spec"]})

    assert again.message == ""
    assert comparable(first.object) == comparable(again.object)


@pytest.mark.claim("S21")
def test_no_api_token_in_what_is_added(mode: Mode) -> None:
    """The ServiceAccount plugin mounts the API token into the app, and into neither container of ours."""
    spec = mode.admit(BY_NAME["plain"], None).object["spec"]

    containers = [*spec["initContainers"], *spec["containers"]]
    mounts = {c["name"]: [m["name"].split("-")[0] for m in c["volumeMounts"]] for c in containers}
    assert {"imds-redirect": ["imds"], "imds-emulator": ["imds", "imds"], "app": ["kube"]} == mounts


def test_update_is_left_alone(mode: Mode) -> None:
    """C12: a pod that has the label and was not injected can be changed and deleted."""
    case = BY_NAME["label-absent"]
    assert mode.admit(case, None).message == ""
    pods = f"/api/v1/namespaces/{namespace_of(case)}/pods"
    name = case.pod["metadata"]["name"]
    mode.api.create(pods, {**case.pod, "metadata": {**case.pod["metadata"], "namespace": namespace_of(case)}})
    changes: list[Object] = [
        {"metadata": {"labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}}},
        {"metadata": {"labels": {"x": "y"}}},
        {"metadata": {"finalizers": []}},
    ]

    assert [""] * 3 == [mode.api.send("PATCH", f"{pods}/{name}", change).message for change in changes]
    assert mode.api.send("DELETE", f"{pods}/{name}", gracePeriodSeconds="0").message == ""
