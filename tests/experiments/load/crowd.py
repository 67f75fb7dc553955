"""A real sidecar within the chart's limits, a crowd of clients, and well-behaved ones among them that are timed.

It records how long the timed clients waited, memory and descriptors.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import yaml

from tests.support.cgroup import MOST_WEIGHT, Cgroup
from tests.support.wire.process import Emulator, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.reliability.figures import Figures

ROOT = Path(__file__).parents[3]
VALUES = ROOT / "charts" / "imds-emulator" / "values.yaml"
WAIT_MS = {False: 3000.0, True: 250.0}  # in the short form, which shares the machine with other tests, and in the full
CROWD_WEIGHT = 1000  # the timed clients are an instrument, and have more: they shall not wait for processor time
CLIENTS_MEMORY_BYTES = 1 << 30
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class Seen:
    """What came of it. `milliseconds`: what the timed clients waited, by their kind; `crowd`: what the crowd counted.

    `descriptors`: before, at the end of it, and after the crowd had gone.
    """

    milliseconds: dict[str, list[float]]
    wrong: list[str]
    crowd: dict[str, int]
    cpu_share: float
    descriptors: tuple[int, int, int]


class Sidecar:
    """A sidecar in a control group with the limits that the chart gives it."""

    def __init__(self, environ: dict[str, str], group: Cgroup) -> None:
        self.group = group
        self._emulator = Emulator(environ, before=group.before())
        self._proc = Path(f"/proc/{self._emulator.process.pid}")

    def wait(self) -> None:
        """Wait until it has credentials."""
        wait_until(lambda: self._emulator.health("/readyz").status == 200, "credentials")

    def meet(self, kinds: dict[str, int], seconds: float) -> Seen:
        """Let a crowd in, keep it for so many seconds, time other clients all that while, and let the crowd go."""
        ports = [str(self._emulator.port), str(self._emulator.health_port)]
        before = self.descriptors()
        with _program("probe", MOST_WEIGHT, *ports) as probe:
            _line(probe)
            started, cpu = time.monotonic(), self._cpu_seconds()
            with _program(
                "flood", CROWD_WEIGHT, ports[0], *[f"{kind}={count}" for kind, count in kinds.items()]
            ) as crowd:
                _line(crowd)
                time.sleep(seconds)  # how long it lasts is what was asked for
                share = (self._cpu_seconds() - cpu) / (time.monotonic() - started)
                during = self.descriptors()
                timed = _end(probe)
                counted = _end(crowd)
        wait_until(lambda: self.descriptors() <= before, f"{before} descriptors again")
        return Seen(timed["milliseconds"], timed["wrong"], counted, share, (before, during, self.descriptors()))

    def descriptors(self) -> int:
        """Return how many it has open."""
        return len(list((self._proc / "fd").iterdir()))

    def close(self) -> None:
        """End it; it may not have failed by an exception."""
        self._emulator.end()
        assert "Traceback" not in self._emulator.log()

    def _cpu_seconds(self) -> float:
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def sidecar(environ: dict[str, str]) -> Iterator[Sidecar]:
    """Run a sidecar with the chart's limits; OSError if there are no control groups to be had."""
    limits = yaml.safe_load(VALUES.read_text())["sidecar"]["resources"]["limits"]
    memory, cpu = str(limits["memory"]), str(limits["cpu"])
    assert (memory[-2:], cpu[-1:]) == ("Mi", "m")
    with Cgroup(int(memory[:-2]) << 20, int(cpu[:-1]) / 1000) as group:
        running = Sidecar(environ, group)
        try:
            running.wait()
            yield running
        finally:
            running.close()


def judge(seen: Seen, group: Cgroup, figures: Figures, *, full: bool) -> None:
    """Hold what came of it against what must hold with any crowd."""
    limit_mib, peak_mib = group.limit_bytes / 2**20, group.peak_bytes() / 2**20
    before, during, after = seen.descriptors
    for kind, milliseconds in seen.milliseconds.items():
        ordered = sorted(milliseconds)
        p99 = ordered[len(ordered) * 99 // 100]
        figures.add(f"{kind}: {len(ordered):,} requests, 99 of 100 in", p99, "ms")
        figures.add(f"{kind}: slowest", ordered[-1], "ms", f"{WAIT_MS[full]:g} ms")
    figures.add("answered otherwise than by 200", len(seen.wrong), bound="0")
    figures.add("connections of the crowd, in all", seen.crowd["connected"])
    figures.add("of which the sidecar ended", seen.crowd["ended"])
    figures.add("answers that the crowd read", seen.crowd["answers"])
    figures.add("processor time, of one core", 100 * seen.cpu_share, "%")
    figures.add("most memory, the kernel's for its sockets included", peak_mib, "MiB", f"{limit_mib:g} MiB")
    figures.add(
        "descriptors before, with the crowd, and after", f"{before}; {during}; {after}", bound=f"after: {before}"
    )

    slowest = {kind: max(milliseconds) for kind, milliseconds in seen.milliseconds.items()}
    assert not seen.wrong, seen.wrong[:9]
    assert max(slowest.values()) <= WAIT_MS[full], slowest
    assert (0, True) == (group.kills(), peak_mib < limit_mib)
    assert after <= before


@contextlib.contextmanager
def _program(name: str, weight: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with Cgroup(CLIENTS_MEMORY_BYTES, os.cpu_count(), weight) as group:
        command = [*group.before(), sys.executable, "-m", f"tests.experiments.load.{name}", *arguments]
        environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, cwd=ROOT, text=True
        ) as program:
            try:
                yield program
            finally:
                program.kill()


def _line(program: subprocess.Popen[str]) -> None:
    """Wait until a program says that it is there."""
    assert cast("IO[str]", program.stdout).readline() == "open\n"


def _end(program: subprocess.Popen[str]) -> dict[str, Any]:
    """Tell a program to end, and return what it says at its end."""
    out, _ = program.communicate("", timeout=DEADLINE_SECONDS)
    return dict(json.loads(out))
