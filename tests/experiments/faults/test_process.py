"""The sidecar and its children are killed, and run out of memory."""

from __future__ import annotations

import os
import signal
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from tests.experiments.faults import sts
from tests.experiments.faults.lab import Lab
from tests.experiments.faults.witness import Witness
from tests.support.cgroup import Cgroup
from tests.support.wire.process import CREDENTIALS, Client, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.reliability.figures import Figures
    from tests.support.wire.authority import Authority

LIFE_SECONDS = 30
KILLS = {False: 3, True: 50}
CROWD = 4  # witnesses that ask without a pause
BACK_SECONDS = {False: 10.0, True: 2.0}  # from the kill to the first new answer with credentials
WAITING = 50
TOLD_SECONDS = {False: 2.0, True: 0.65}  # 0.4 of waiting, and 0.25
MEMORY_LIMIT_BYTES = 64 << 20  # the chart's
MEMORY_LEFT_BYTES = 2 << 20  # more than a request takes, less than an exchange
SHORT_LIFE_SECONDS = 4
TIGHT_SECONDS = {False: 3, True: 30}
MEMORY_BACK_SECONDS = {False: 30.0, True: 10.0}
GET = f"GET {CREDENTIALS} HTTP/1.1\r\n\r\n".encode()


@pytest.fixture
def lab(authority: Authority, tmp_path: Path) -> Iterator[Lab]:
    """Return a world of this test's own."""
    lab = Lab("process", authority, tmp_path / "lab", LIFE_SECONDS)
    yield lab
    lab.close()


def test_process_killed(lab: Lab, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """The sidecar is killed again and again while clients ask without a pause, and is started again each time.

    Clients are refused, and soon served; none ever gets a part of an answer.
    """
    lab.start()
    crowd = [Witness(lab.emulator.port, lab.sts.issued, 0) for _ in range(CROWD)]
    try:
        back = [kill(lab) for _ in range(KILLS[full])]
    finally:
        for witness in crowd:
            witness.end()
    seen = [each for witness in crowd for each in witness.seen]
    figures.add("kills", KILLS[full])
    figures.add("until credentials were served again, at most", max(back), "s", f"{BACK_SECONDS[full]:g} s")
    figures.add("and in the median", statistics.median(back), "s")
    figures.add("requests meanwhile", len(seen))
    figures.add("refused, or ended before a byte of an answer", sum(each.status == 0 for each in seen))
    figures.add("answered 503", sum(each.status == 503 for each in seen))
    figures.add("parts of an answer, or credentials that STS did not issue", sum(len(w.lies) for w in crowd), bound="0")

    assert [] == [lie for witness in crowd for lie in witness.lies]
    assert {0, 200, 503} >= {each.status for each in seen}
    assert max(back) <= BACK_SECONDS[full]


def kill(lab: Lab) -> float:
    """Kill the sidecar, start it again, and return after how many seconds there were credentials."""
    killed_at = time.time()
    lab.emulator.end(signal.SIGKILL)
    lab.restart()
    lab.wait(lambda: any(seen.status == 200 for seen in lab.witness.since(killed_at)), "credentials")
    return time.time() - killed_at


def test_child_killed_while_requests_wait(lab: Lab, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """At the start 50 requests wait for the first exchange, and its child is killed.

    Each is answered 503 with the reason, soon, and whole; the next exchange serves them all.
    """
    lab.sts.become(sts.hangs)
    lab.launch()
    wait_until(lambda: lab.sts.calls, "the exchange")
    clients = [Client(lab.emulator.port) for _ in range(WAITING)]
    started = time.monotonic()
    for client in clients:
        client.send(GET)
    lab.sts.become(sts.good)
    for child in lab.emulator.children():
        os.kill(child, signal.SIGKILL)
    answers = [client.answer() for client in clients]
    taken = time.monotonic() - started
    for client in clients:
        client.close()
    lab.await_credentials()
    healed = time.monotonic() - started
    figures.add("requests that waited, all answered 503", len(answers))
    figures.add("the slowest answer", taken, "s", f"{TOLD_SECONDS[full]:g} s")
    figures.add("credentials served", healed, "s", f"{BACK_SECONDS[full]:g} s")

    assert {503} == {answer.status for answer in answers}
    assert all("ExchangeDied" in answer.body or "NoCredentials" in answer.body for answer in answers)
    assert taken <= TOLD_SECONDS[full]
    assert healed <= BACK_SECONDS[full]


def test_memory_limit_reached(lab: Lab, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """The sidecar's control group has less memory than an exchange takes: the kernel kills the child, or the sidecar.

    Started again each time, as by the kubelet, it heals when there is memory again; nothing it serves is ever amiss.
    """
    try:
        group = Cgroup(MEMORY_LIMIT_BYTES)
    except OSError as error:
        pytest.skip(f"no control groups to be had here: {error}")
    lab.sts.life_seconds = SHORT_LIFE_SECONDS
    try:
        lab.start(before=group.before())
        started = time.time()
        group.set_memory(group.usage_bytes() + MEMORY_LEFT_BYTES)
        starts = 0
        while time.time() < started + TIGHT_SECONDS[full]:
            if lab.emulator.process.poll() is not None:
                starts += 1
                lab.restart(group.before())
            time.sleep(0.1)  # how long it lasts is what is tried
        kills = group.kills()
        group.set_memory(MEMORY_LIMIT_BYTES)
        if lab.emulator.process.poll() is not None:
            lab.restart(group.before())
        mended = time.time()
        lab.wait(lambda: any(seen.status == 200 for seen in lab.witness.since(mended)), "credentials", 30)
        healed = time.time() - mended
        seen = lab.witness.since(started)
    finally:
        lab.emulator.end()
        group.close()
    figures.add("time without enough memory", TIGHT_SECONDS[full], "s")
    figures.add("processes that the kernel killed", kills, bound="more than 0")
    figures.add("starts of the sidecar", starts)
    figures.add(
        "requests meanwhile: served, 503, refused",
        ", ".join(str(sum(each.status == status for each in seen)) for status in (200, 503, 0)),
    )
    figures.add("credentials served, once there is memory", healed, "s", f"{MEMORY_BACK_SECONDS[full]:g} s")

    assert kills > 0
    assert {0, 200, 503} >= {each.status for each in seen}
    assert healed <= MEMORY_BACK_SECONDS[full]
