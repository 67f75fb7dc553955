"""`make bench`: measures, prints the table and writes it, with a plot, to docs/.

It writes docs/bench.md, docs/bench.svg and the page of pod starts, and exits with 1 if a bound does not hold.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.build.progress import StepFailedError, say
from tests.experiments.bench import measure, pods, programs, report, webhook
from tests.experiments.bench.subjects import Bench, prepare
from tests.support.wire.process import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[3] / "docs"
IDLE_SECONDS = 60
LIFE_SECONDS = 3600


def main() -> int:
    """Run everything."""
    try:
        programs.check_root()
        with tempfile.TemporaryDirectory() as directory:
            figures = run(Path(directory))
        late = pods.run()
    except StepFailedError as error:
        print(error, file=sys.stderr)
        return 1
    text = report.markdown(figures, machine())
    DOCS.mkdir(exist_ok=True)
    (DOCS / "bench.md").write_text(text)
    (DOCS / "bench.svg").write_text(report.svg(figures))
    print(text)
    failures = report.missed(figures)
    for line in failures:
        print(f"bench: missed: {line}", file=sys.stderr)
    return 1 if failures or late else 0


def run(directory: Path) -> measure.Figures:
    """Return all figures of all subjects."""
    figures: measure.Figures = defaultdict(dict)
    parts = []
    port, growth_port = free_ports(2)
    bench = prepare(directory, port)
    with upstream(bench, LIFE_SECONDS):
        parts += [
            measure.memories(bench),
            measure.starts(bench),
            measure.loads(bench),
            measure.idle(bench, IDLE_SECONDS),
        ]
    bench.upstream_port = growth_port
    with upstream(bench, measure.GROWTH_LIFE_SECONDS):
        parts.append(measure.growth(bench))
    parts.append(webhook.figures())
    for part in parts:
        for name, row in part.items():
            figures[name].update(row)
    return dict(figures)


@contextlib.contextmanager
def upstream(bench: Bench, life_seconds: int) -> Iterator[None]:
    """Run what the subjects ask, for the time of a block."""
    files = [str(bench.authority.certificate), str(bench.authority.key)]
    command = [str(bench.program), "upstream", str(bench.upstream_port), *files, str(life_seconds)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)  # the subjects try again, but that would count
        yield
    finally:
        process.terminate()
        process.wait()


def machine() -> str:
    """Return what it ran on."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    say(f"load average {load}")
    return f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs, load average {load}"


if __name__ == "__main__":
    sys.exit(main())
