"""The bench of the webhook in a short form: the floor in Go must still do the same work."""

import os

import pytest

from tests.experiments.bench import webhook

REVIEWS = 300  # some 0.15 s of CPU; the kernel counts it by 0.01 s


@pytest.mark.skipif(os.geteuid() != 0, reason="the webhook runs in its image's file system, which needs root")
def test_floor_gives_the_same_patch() -> None:
    """Both answer the same review with the same patch, at a cost that is measured."""
    rows = webhook.measure(REVIEWS, rounds=1)

    assert set(rows) == {webhook.WEBHOOK, webhook.FLOOR}
    assert min(row.cpu_us_per_review for row in rows.values()) > 0
