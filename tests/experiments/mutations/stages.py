"""Who is asked whether a mutant is noticed, and in which order: unit tests, generated files, tests of processes."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
import zlib
from typing import TYPE_CHECKING, Any

from tests.experiments.mutations import trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.experiments.mutations.mutants import Mutant

SUITE = ("tests/unit",)
# Package -> the tests of processes that see what unit tests can't: sockets, signals, the kernel's rules.
PROCESSES = {
    "sidecar": ("tests/process/wire",),
    "redirect": ("tests/process/netns/test_redirect.py",),
    "webhook": tuple(f"tests/process/webhook/test_{name}.py" for name in ("server", "rotation", "kubeapi", "stop")),
}
PACKAGES = ["sidecar", "redirect", "injection", "webhook"]
LONGEST_SECONDS = 4  # a test of processes that takes longer is left out
GENERATED = "generated"  # a text of CEL, which unit tests print and never run: the policies show the change


class Trials:
    """Tries mutants with what a run of each suite has told: which tests run which line, and how long they take."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.unit = recorded(root, folder, SUITE)
        self.processes = {package: recorded(root, folder, suite) for package, suite in PROCESSES.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in self.unit["modules"]:
                with contextlib.suppress(Exception):  # then the trials import it
                    importlib.import_module(name)

    adopt = staticmethod(trial.adopt)

    def result(self, tree: Path, mutant: Mutant) -> str:
        """Return `killed`, `timeout`, `generated` or `survived`."""
        file = tree / mutant.path
        original, times = file.read_text(), file.stat()
        file.write_text(mutant.text)
        # A time that no other has, so that no compiled form of another is taken for this one.
        os.utime(file, (0, zlib.crc32(mutant.name.encode()) // 4))
        try:
            return self._result(tree, mutant)
        finally:
            file.write_text(original)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _result(self, tree: Path, mutant: Mutant) -> str:
        output = self.folder / f"{tree.name}.log"
        tests = dict(self.unit["tests"])
        wanted = {test: tests[test] for test in self.tests(mutant)}
        result = "survived"
        if wanted:
            result = trial.outcome(wanted, set(tests), tree, output)
        package = mutant.path.split("/")[2]
        if result == "survived" and package == "injection":
            command = [sys.executable, "-m", "emulator.build.render", "--check"]
            environ = {**os.environ, "PYTHONPATH": f"{tree}/src:{tree}"}
            if subprocess.run(command, cwd=tree, env=environ, capture_output=True, check=False).returncode:
                return GENERATED
        if result == "survived" and package in self.processes:
            tests = dict(self.processes[package]["tests"])
            wanted = {test: seconds for test, seconds in tests.items() if seconds < LONGEST_SECONDS}
            result = trial.outcome(wanted, set(tests), tree, output)
        return result

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the unit tests that run a mutant's line; if it runs at import, those of its module and importers."""
        lines: dict[str, list[int] | None] = self.unit["lines"].get(mutant.path, {})
        numbers = lines.get(str(mutant.line), [])
        if numbers is None or not numbers:
            package, _, module = mutant.path.removeprefix("src/").removesuffix(".py").replace("/", ".").rpartition(".")
            imports = re.compile(rf"from {package}(\.{module} import| import .*\b{module}\b)")
            readers = [path for path in self.unit["lines"] if imports.search((self.root / path).read_text())]
            runs = [ns for path in {mutant.path, *readers} for ns in self.unit["lines"].get(path, {}).values()]
            numbers = sorted({number for ns in runs for number in ns or []})
        return [self.unit["tests"][number][0] for number in numbers]


def recorded(root: Path, folder: Path, suite: tuple[str, ...]) -> dict[str, Any]:
    """Return the record of a suite, made now if code or tests have changed since."""
    digest = hashlib.sha256()
    for path in sorted(path for place in ("src", *suite) for path in files(root / place)):
        digest.update(path.read_bytes())
    file = folder / f"record-{digest.hexdigest()[:12]}"
    if not file.exists():
        tree = next(trees(root, folder, 1))
        print(f"mutations: running {' '.join(suite)} once, to see which tests run which line", flush=True)
        command = [sys.executable, "-m", "tests.experiments.mutations.record", str(file), *suite]
        subprocess.run(command, cwd=tree, check=True)
    return json.loads(file.read_text())  # type: ignore[no-any-return]


def trees(root: Path, folder: Path, number: int) -> Iterator[Path]:
    """Yield copies of the work tree, in which modules can be changed."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for tree in (folder / f"tree-{n}" for n in range(number)):
        shutil.rmtree(tree, ignore_errors=True)
        for name in names:
            if name and (root / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, tree / name)
        yield tree


def files(place: Path) -> list[Path]:
    """Return the Python files of a folder, or the one file."""
    return [place] if place.is_file() else list(place.rglob("*.py"))
