"""One run of one target in a process of its own, watched.

It reports progress and returns a `Result`. Inputs of new coverage and failing ones are kept in the cache, outside the
checkout.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.experiments.fuzz.targets import Target

HANG_SECONDS = 20  # for one input; most take less than a millisecond, but the machine may be busy
RSS_LIMIT_MB = 1024
SETTLED = 0.2  # of the executions, after which memory must not grow: by then caches and libFuzzer's corpus are full
PROGRESS_SECONDS = 10
_PULSE = re.compile(r"#(\d+)\s+\S+\s+cov: (\d+).*?corp: (\d+)/\S+.* rss: \d+Mb")
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")
_SLOWEST = re.compile(r"stat::slowest_unit_time_sec:\s+(\d+)")
_FAILED = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True)
class Result:
    """What came of a run. `rss_mb`: memory after so many executions; `failed`: the input that broke it, if any."""

    executions: int
    seconds: float
    coverage: int
    rss_mb: tuple[tuple[int, int], ...]
    slowest_seconds: int
    failed: Path | None
    status: int
    report: str

    @property
    def growth_mb(self) -> int:
        """By how much memory grew once it had settled."""
        settled = [rss for done, rss in self.rss_mb if done >= SETTLED * self.executions]
        return settled[-1] - settled[0] if settled else 0


def cache() -> Path:
    """Return where runs keep what they find."""
    given = os.environ.get("IMDS_EMULATOR_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imds-emulator"
    return base / "fuzz"


def finds() -> Path:
    """Return where the inputs are that broke a target."""
    return cache() / "finds"


def run(  # noqa: PLR0913 - what a person may want to choose
    target: Target,
    executions: int,
    seconds: int,
    *,
    kept: Path | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Result:
    """Run a target until so many executions or seconds are over, or an input breaks it.

    It goes on from the inputs in `kept`, by default those of the runs before.
    """
    kept = kept or cache() / target.name
    for directory in (kept, finds()):
        directory.mkdir(parents=True, exist_ok=True)
    flags = [
        f"-runs={executions}",
        f"-max_total_time={seconds}",
        f"-max_len={target.longest}",
        f"-timeout={HANG_SECONDS}",
        f"-rss_limit_mb={RSS_LIMIT_MB}",
        f"-artifact_prefix={finds()}/{target.name}-",
        f"-seed={seed}",
        "-print_final_stats=1",
        "-verbosity=1",
        *([f"-dict={target.dictionary}"] if target.dictionary.exists() else []),
    ]
    command = [
        sys.executable,
        "-m",
        "tests.experiments.fuzz.engine",
        target.name,
        *flags,
        str(kept),
        str(target.corpus),
    ]
    started = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        report, points = _watch(process.stdout or (), target.name, process.pid, say)
    failed, slowest = _FAILED.search(report), _SLOWEST.search(report)
    return Result(
        executions=points[-1][0] if points else 0,
        seconds=time.monotonic() - started,
        coverage=points[-1][1] if points else 0,
        rss_mb=tuple((done, rss) for done, _, rss in points),
        slowest_seconds=int(slowest[1]) if slowest else 0,
        failed=Path(failed[1]) if failed else None,
        status=process.returncode,
        report=report,
    )


def _watch(
    lines: Iterable[str], name: str, pid: int, say: Callable[[str], None]
) -> tuple[str, list[tuple[int, int, int]]]:
    """Return what is not progress in libFuzzer's report, and executions, coverage and memory as they went.

    The `rss` that libFuzzer prints is the most that there ever was, which one large input can raise for good.
    """
    points: list[tuple[int, int, int]] = []
    report, started, said = "", time.monotonic(), 0.0
    for line in lines:
        pulse = _PULSE.match(line)
        if not pulse:
            report += line
            continue
        done, coverage, inputs = (int(number) for number in pulse.groups())
        rss = _resident_mb(pid) or (points[-1][2] if points else 0)
        points.append((done, coverage, rss))
        now = time.monotonic() - started
        if now - said >= PROGRESS_SECONDS:
            said = now
            say(f"{name}: {done:,} executions, {done / now:,.0f}/s, {inputs} inputs, {rss} MB")
    return report, points


def _resident_mb(pid: int) -> int:
    """Return the memory of a process, 0 if it has just ended."""
    try:
        found = _RESIDENT.search(Path(f"/proc/{pid}/status").read_text())
    except FileNotFoundError:
        return 0
    return int(found[1]) // 1024 if found else 0
