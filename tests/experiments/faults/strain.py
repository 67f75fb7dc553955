"""What goes wrong without a client noticing: credentials are to be had all the time, and are renewed.

It measures the longest time without credentials, and how many sets were served.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.experiments.faults.clock import SetClock
from tests.experiments.faults.sts import Call, good
from tests.support.wire.process import wait_until
from tests.support.wire.stub_sts import error

if TYPE_CHECKING:
    from tests.experiments.faults.lab import Lab
    from tests.support.reliability.figures import Figures

SETS = {False: 3, True: 6}  # of credentials that are to be served meanwhile, in the short and the full form
GAP_SECONDS = {False: 20.0, True: 0.75}  # 0.4 of waiting for an exchange, 0.25, and 0.1 between two requests
ROTATION_SECONDS = 0.02
DESCRIPTORS = 32
CROWD = 200
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Steady:
    """What was seen. `notes`: what else there is to tell."""

    gap_seconds: float
    sets: int
    answers: int
    failed: int
    notes: dict[str, int] = field(default_factory=dict)


def watch(lab: Lab, since: float, **notes: int) -> Steady:
    """Return what the witness has seen."""
    seen = lab.witness.since(since)
    sets = {each.word for each in seen if each.status == 200}
    failed = sum(each.status != 200 for each in seen)
    return Steady(lab.witness.gap_seconds(since), len(sets), len(seen), failed, notes)


def wait_for_sets(lab: Lab, count: int) -> None:
    """Wait until so many sets of credentials have been served that were issued from now on."""
    old = set(lab.sts.issued)
    since = time.time()

    def new() -> set[str]:
        return {seen.word for seen in lab.witness.since(since) if seen.status == 200} - old

    lab.wait(lambda: len(new()) >= count, f"{count} sets", 4 * lab.sts.life_seconds * count)


def rotated_token(lab: Lab, *, full: bool) -> Steady:
    """Replace the token all the time; let STS call every third one expired."""
    known = [lab.token]
    ended = threading.Event()

    def rotate() -> None:
        while not ended.wait(ROTATION_SECONDS):
            known.append(lab.rotate())

    def expires(call: Call) -> None:
        if len(lab.sts.calls) % 3 != 1:
            good(call)
            return
        call.read()
        wait_until(lambda: known[-1] != call.form["WebIdentityToken"], "another token")
        call.reply(error(400, "ExpiredTokenException", "Token expired"))

    lab.start()
    since = time.time()
    lab.sts.become(expires)
    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        wait_for_sets(lab, SETS[full])
    finally:
        ended.set()
        rotating.join()
    sent = [form["WebIdentityToken"] for _, form in lab.sts.calls]
    assert set(sent) <= set(known)
    assert len(set(sent)) == len(sent), "an expired token was sent again"
    return watch(lab, since, **{"tokens put there": len(known), "tokens sent, each whole and none twice": len(sent)})


class Log:
    """Where the sidecar's log goes: `open` returns a descriptor to write to, and what is to be closed at the end."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, lab: Lab, *, full: bool) -> Steady:
        """Let the sidecar have much to say, where nobody takes it."""
        numbers = iter(range(10**6))

        def fails_sometimes(call: Call) -> None:
            if (number := next(numbers)) % 2:
                good(call)
            else:
                call.read()
                call.reply(error(500, f"Failure{number}", "a line of its own in the log"))

        with contextlib.ExitStack() as stack:
            lab.start(stderr=self._open(stack))
            if self._kind == "disk-full":
                resource.prlimit(lab.emulator.process.pid, resource.RLIMIT_FSIZE, (0, 0))
            since = time.time()
            lab.sts.become(fails_sometimes)
            wait_for_sets(lab, SETS[full])
            return watch(lab, since)

    def _open(self, stack: contextlib.ExitStack) -> int:
        if self._kind == "disk-full":
            full = os.open("/dev/full", os.O_WRONLY)
            stack.callback(os.close, full)
            return full
        read, write = os.pipe()
        stack.callback(os.close, write)
        if self._kind == "reader-gone":
            os.close(read)
            return write
        stack.callback(os.close, read)
        os.set_blocking(write, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write, b"x" * 4096)
        os.set_blocking(write, True)
        return write


class Jumps:
    """A node's clock that is set again and again."""

    def __init__(self, *ahead_seconds: float) -> None:
        self._ahead_seconds = ahead_seconds

    def __call__(self, lab: Lab, *, full: bool) -> Steady:
        """Set it each time that new credentials have come."""
        lab.clock = clock = SetClock(lab.directory / "clock")
        lab.start(main=clock.main)
        since = time.time()
        for _ in range(SETS[full] // len(self._ahead_seconds) or 1):
            for ahead_seconds in self._ahead_seconds:
                lab.witness.skews.add(ahead_seconds)
                clock.set(ahead_seconds)
                wait_for_sets(lab, 1)
        return watch(lab, since)


def few_descriptors(lab: Lab, *, full: bool) -> Steady:
    """Let the sidecar have few descriptors, and a crowd of clients that hold them all."""
    lab.start()
    before = lab.descriptors()
    resource.prlimit(lab.emulator.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    since = time.time()
    command = [sys.executable, "-m", "tests.experiments.load.flood", str(lab.emulator.port), f"idle={CROWD}"]
    crowd = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT
    )
    with crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == b"open\n"
        most = lab.descriptors()
        wait_for_sets(lab, SETS[full])
        steady = watch(lab, since, **{"descriptors at most": most, "clients that hold them": CROWD})
        crowd.communicate(b"")
    wait_until(lambda: lab.descriptors() <= before, "the descriptors' return")
    return steady


def judge(outcome: Steady, figures: Figures, *, full: bool, gap_seconds: float | None = None) -> None:
    """Hold what was seen against what must hold: as if nothing were wrong."""
    bound = GAP_SECONDS[full] if gap_seconds is None else gap_seconds
    figures.add("sets of credentials served", outcome.sets, bound=f"at least {SETS[full]}")
    figures.add("requests; of these answered without credentials", f"{outcome.answers:,}; {outcome.failed:,}")
    figures.add("longest time without an answer with credentials", outcome.gap_seconds, "s", f"{bound:g} s")
    for what, number in outcome.notes.items():
        figures.add(what, number)

    assert outcome.sets >= SETS[full], outcome
    assert outcome.gap_seconds <= bound, outcome
    assert 2 * outcome.failed < outcome.answers, outcome  # what the short form's gap leaves open, on a busy machine too
