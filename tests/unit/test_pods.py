"""Every pod of tests/unit/pods through the pure core."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.pod_files import pure
from tests.support.pod_files.cases import DIRECTORY, OUTCOMES, Case, cases, recorded

CASES = cases()
INJECTED = [case for case in CASES if ".injected.yaml" in recorded(case.name)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outcome(case: Case) -> None:
    """The pod comes out as the file beside it says."""
    assert recorded(case.name) == pure.outcome(case).files()


def test_no_outcome_is_left_over() -> None:
    """Each outcome file belongs to a case."""
    names = {path.name for path in DIRECTORY.iterdir() if path.name.endswith(OUTCOMES)}
    assert {f"{case.name}{suffix}" for case in CASES for suffix in recorded(case.name)} == names


@pytest.mark.parametrize("case", INJECTED, ids=lambda case: case.name)
def test_injected_pod_is_left_alone(case: Case) -> None:
    """What was injected passes unchanged when it is admitted again."""
    injected = pure.outcome(case).pod
    assert injected is not None
    again = dataclasses.replace(case, pod=injected)

    assert pure.outcome(again).pod is None
    assert pure.outcome(again).refusal == ""
