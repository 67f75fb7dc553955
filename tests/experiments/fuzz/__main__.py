"""`python -m tests.experiments.fuzz [TARGET...] [--runs N] [--seconds N]`: fuzz all targets or some, one after another.

In: targets; with --replay, files of inputs instead, which are run once each, without a fuzzer. Out: progress, a line a
target; status 1 and the path of the input if one breaks a target.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.experiments.fuzz.run import run
from tests.experiments.fuzz.targets import TARGETS

RUNS = 1_000_000


def main() -> int:
    """Run the targets; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"some of {', '.join(TARGETS)}; none: all")
    parser.add_argument("--runs", type=int, default=RUNS, help="executions of a target")
    parser.add_argument("--seconds", type=int, help="at most so many for a target; by default its own limit")
    parser.add_argument("--seed", type=int, default=0, help="of the fuzzer's chance; 0: another each time")
    parser.add_argument("--replay", nargs="+", type=Path, metavar="FILE", help="run these inputs of the one target")
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}: give some of {', '.join(TARGETS)}")
    if options.replay:
        for name in names:
            replay(name, options.replay)
        return 0
    return max(fuzz(name, options) for name in names)


def replay(name: str, files: list[Path]) -> None:
    """Run inputs; the first that breaks the target ends it with a traceback."""
    one_input = TARGETS[name].load().one_input
    for file in files:
        print(f"{name}: {file}", flush=True)
        one_input(file.read_bytes())


def fuzz(name: str, options: argparse.Namespace) -> int:
    """Fuzz one target and say what came of it."""
    target = TARGETS[name]
    result = run(target, options.runs, options.seconds or target.minutes * 60, seed=options.seed)
    rate = result.executions / result.seconds
    print(
        f"{name}: {result.executions:,} executions in {result.seconds:.0f} s ({rate:,.0f}/s),"
        f" coverage {result.coverage}, memory grew by {result.growth_mb} MB"
    )
    if result.status == 0:
        return 0
    print(result.report, file=sys.stderr)
    print(
        f"{name}: broken by {result.failed}: python -m tests.experiments.fuzz {name} --replay {result.failed}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
