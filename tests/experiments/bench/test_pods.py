"""What is made of the bench's samples."""

from __future__ import annotations

import pytest

from tests.experiments.bench import pods

SAMPLES = {
    pods.PLAIN: [0.6, 0.7, 0.65, 0.6, 0.9],
    pods.TRIVIAL: [1.65, 1.6, 1.7, 1.65, 1.8],
    pods.EMULATOR: [1.25, 1.3, 1.2, 1.25, 1.4],
}


@pytest.mark.parametrize(("share", "expected"), [(50, 5), (90, 9), (91, 10), (100, 10), (1, 1)])
def test_percentile(share: int, expected: int) -> None:
    """So many of a hundred are at most the value, and it is one of them."""
    assert expected == pods.percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share)


def test_added() -> None:
    """What a pod takes longer is counted from the median plain pod, not from the slowest."""
    assert pytest.approx(0.6) == pods.added(SAMPLES, pods.EMULATOR, 50)
    assert pytest.approx(0.75) == pods.added(SAMPLES, pods.EMULATOR, 90)


def test_page_of_pod_starts() -> None:
    """The page has a row for each kind of pod, the added time, and its ratio to the trivial pair's."""
    text = pods.markdown(SAMPLES)

    assert f"| {pods.EMULATOR} | 1.25 | 1.40 | 1.40 | 0.60 | 0.75 |" in text.splitlines()
    assert "Measured: **0.75 s**. Its median addition is **0.60 x** that of the" in text.splitlines()
