"""Every pod of tests/unit/pods through policy and webhook, on a real API server.

The pod that comes out is compared with the one that the pure patch makes, as the API server would keep that one while
nothing of ours is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator import names
from tests.process.parity.modes import BY_NAME, MADE_BEFORE, namespace_of, pods_of
from tests.process.parity.outcomes import comparable
from tests.support.pod_files.cases import cases, recorded

if TYPE_CHECKING:
    from tests.process.parity.modes import Mode
    from tests.support.pod_files.cases import Case

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
    """A pod that was injected, stored and dumped passes unchanged when it is created again."""
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
    """A pod that has the label and was made before there was an installation can be changed and deleted."""
    pod = f"{pods_of(BY_NAME['plain'])}/{MADE_BEFORE}"
    changes: list[Object] = [
        {"metadata": {"labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE, "x": "y"}}},
        {"metadata": {"annotations": {names.ANNOTATION_ROLE_ARN: "none"}}},
        {"metadata": {"finalizers": []}},
    ]

    assert [""] * 3 == [mode.api.send("PATCH", pod, change).message for change in changes]
    assert mode.api.send("DELETE", pod, gracePeriodSeconds="0").message == ""


def label(value: str | None) -> Object:
    """Return a change of the label; None removes it."""
    return {"metadata": {"labels": {names.LABEL_ENABLED: value}}}


@pytest.mark.claim("S36")
def test_label_of_a_pod_made_without_us(mode: Mode) -> None:
    """The label can't be added to it where the API server has policies; to a pod that is injected it can."""
    case = BY_NAME["label-absent"]
    named = {**case.pod, "metadata": {**case.pod["metadata"], "namespace": namespace_of(case)}}
    mode.api.create(pods_of(case), named)
    without = mode.api.send("PATCH", f"{pods_of(case)}/{named['metadata']['name']}", label("True"))
    plain = BY_NAME["plain"].pod
    mode.api.create(
        pods_of(case), {**plain, "metadata": {**plain["metadata"], "name": "b", "namespace": namespace_of(case)}}
    )

    assert ("the pod was not injected" in without.message) is mode.has_policies
    assert ["", ""] == [mode.api.send("PATCH", f"{pods_of(case)}/b", label(value)).message for value in (None, "True")]
