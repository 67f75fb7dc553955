"""The webhook's process: its rate on one core, and well-behaved reviews among peers that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.experiments.bench.programs import program
from tests.experiments.bench.webhook import heavy_pod
from tests.experiments.load.admissions import SOURCE, body_of, memory_limit, peak_memory, pinned, processor_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.experiments.load.admissions import Pace, Peers
    from tests.support.reliability.figures import Figures

RATE = 500
KEPT_CONNECTIONS = 16
P99_MS = 250.0
API_SERVER_MS = 5000.0  # timeoutSeconds of the webhook configuration
KINDS = {"idle": 1000, "silent": 500, "head": 100, "body": 100, "oversized": 4, "bomb": 4, "deaf": 20, "nonsense": 20}


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    """Run one webhook for each test."""
    with pinned(program(SOURCE), tmp_path) as found:
        yield found


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """Return the review of a common Deployment's pod, about 9 KB."""
    return body_of(heavy_pod(), tmp_path / "body.json")


def test_admissions_on_one_core(peers: Peers, body: Path, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """500 pods are created each second for a minute, and the webhook has one processor core. Each one is injected."""
    seconds = 60 if full else 3
    peers.ask(body, kept=KEPT_CONNECTIONS, rate=50, seconds=1)
    before = processor_seconds(peers.webhook.process.pid)

    pace = peers.ask(body, kept=KEPT_CONNECTIONS, rate=RATE, seconds=seconds)

    used = processor_seconds(peers.webhook.process.pid) - before
    memory = peak_memory(peers.webhook.process.pid)
    _report(figures, pace, P99_MS)
    figures.add("processor time, of one core", 100 * used / pace.seconds, "%")
    figures.add("most memory", memory, "MiB", f"{memory_limit():g} MiB")
    assert (RATE * seconds, 0, []) == (pace.asked, pace.failed, pace.reasons)
    assert memory < memory_limit()
    if full:
        assert pace.seconds < seconds + 1
        assert pace.max_ms < API_SERVER_MS
        assert pace.p99_ms < P99_MS


def test_admissions_in_a_flood(peers: Peers, body: Path, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """1,748 peers hold connections in silence, idle or half-asked, send endless and oversized bodies, read no answer.

    Each comes again three seconds after it is dropped. All the while pods are created, over kept and over new
    connections, and each of them is injected.
    """
    seconds = 30 if full else 3
    scale = 1 if full else 4
    with peers.flood(**{kind: count // scale for kind, count in KINDS.items()}):
        with peers.asking(body, kept=KEPT_CONNECTIONS, rate=50, seconds=seconds) as kept:
            new = peers.ask(body, kept=0, rate=20, seconds=seconds)
        memory = peak_memory(peers.webhook.process.pid)

    for pace, connections in ((kept[0], "kept"), (new, "new")):
        assert (0, []) == (pace.failed, pace.reasons)
        assert pace.max_ms < API_SERVER_MS or not full
        _report(figures, pace, P99_MS if pace is kept[0] else API_SERVER_MS, f", {connections} connections")
    figures.add("most memory", memory, "MiB", f"{memory_limit():g} MiB")
    assert memory < memory_limit()
    assert kept[0].p99_ms < P99_MS or not full


def _report(figures: Figures, pace: Pace, p99_ms: float, suffix: str = "") -> None:
    figures.add(f"pods asked for{suffix}", pace.asked)
    figures.add(f"refused or unanswered{suffix}", pace.failed, bound="0")
    figures.add(f"time of an answer, half of them{suffix}", pace.p50_ms, "ms")
    figures.add(f"time of an answer, 99 of 100{suffix}", pace.p99_ms, "ms", f"{p99_ms:g} ms")
    figures.add(f"time of an answer, the slowest{suffix}", pace.max_ms, "ms", f"{API_SERVER_MS:g} ms")
