"""Change the code a little, again and again, and see whether the tests notice.

A sample of the mutants is tried (--every) until the time is up (--minutes); the next run goes on from there. Results
are remembered while a module stays the same. Printed: each survivor, and the share of each package that was killed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections import Counter
from itertools import chain, islice
from pathlib import Path

from emulator.build.paths import cache
from tests.experiments.mutations.mutants import Mutant, mutants
from tests.experiments.mutations.results import Results
from tests.experiments.mutations.stages import GENERATED, PACKAGES, Trials, trees

ROOT = Path.cwd()
SOURCE = "src/emulator"
MAKER = Path(__file__).with_name("mutants.py")


def main() -> int:
    """Try mutants; 1 if fewer than --least of 100 were killed."""
    parser = argparse.ArgumentParser(prog="make mutations", description=__doc__)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"some of {', '.join(PACKAGES)}; none: all")
    parser.add_argument("--every", type=int, default=20, help="try one mutant of so many; 1: all")
    parser.add_argument("--minutes", type=float, default=600, help="begin no trial after that time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at the same time")
    parser.add_argument("--again", action="store_true", help="try again what has survived")
    parser.add_argument("--least", type=int, default=0, metavar="PERCENT", help="so many must be killed")
    options = parser.parse_args()
    packages = options.packages or PACKAGES
    until = time.monotonic() + 60 * options.minutes
    folder = cache() / "mutations"
    folder.mkdir(parents=True, exist_ok=True)
    sample = [mutant for package in packages for mutant in chosen(package, options.every)]
    results = Results(folder / "results", {mutant.path: digest(mutant.path) for mutant in sample})
    if options.again:
        results.forget("survived")
    pending = [mutant for mutant in sample if results.get(mutant) is None]
    if pending:
        trials = Trials(ROOT, folder)
        children = []
        for number, tree in enumerate(trees(ROOT, folder, options.jobs)):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    work(trials, tree, pending[number :: options.jobs], results, until)
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        if any(os.waitpid(child, 0)[1] for child in children):
            return 1
        results.read()
    return report(packages, sample, results, options.least)


def chosen(package: str, every: int) -> list[Mutant]:
    """Return the sample of a package."""
    paths = sorted(str(path.relative_to(ROOT)) for path in (ROOT / SOURCE / package).glob("*.py"))
    return list(islice(chain.from_iterable(mutants(ROOT, path) for path in paths), 0, None, every))


def digest(path: str) -> str:
    """Return what changes when a module does, or what is made of it."""
    return hashlib.sha256((ROOT / path).read_bytes() + MAKER.read_bytes()).hexdigest()[:12]


def work(trials: Trials, tree: Path, pending: list[Mutant], results: Results, until: float) -> None:
    """Try mutants in a copy of the tree, and write down what came of them."""
    trials.adopt()
    for mutant in pending:
        if time.monotonic() > until:
            return
        results.add(mutant, trials.result(tree, mutant))


def report(packages: list[str], sample: list[Mutant], results: Results, least: int) -> int:
    """Print survivors and shares."""
    total: Counter[str] = Counter()
    for package in packages:
        count: Counter[str] = Counter()
        for mutant in sample:
            if mutant.path.startswith(f"{SOURCE}/{package}/"):
                result = results.get(mutant) or "untried"
                count[result] += 1
                if result == "survived":
                    print(mutant)
        print(f"{package}: {share(count)}")
        total += count
    print(f"all: {share(total)}")
    return int(percent(total) < least)


def percent(count: Counter[str]) -> float:
    """Return how many of 100 were killed, of those that have a result and are not of generated text."""
    tried = count.total() - count["untried"] - count[GENERATED]
    return 100 * (tried - count["survived"]) / tried if tried else 100


def share(count: Counter[str]) -> str:
    """Return the result of a package as text."""
    return f"{percent(count):.1f} of 100 killed; " + ", ".join(f"{name} {n}" for name, n in sorted(count.items()))


if __name__ == "__main__":
    sys.exit(main())
