"""The trial of one mutant: a process is forked, in which the tests that run its line notice it, or do not."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ["-x", "-q", "--tb=short", "--timeout=30", "-p", "no:cacheprovider", "-p", "no:xdist"]
LEAST_SECONDS = 20
MEMORY = 4 << 30  # bytes that a mutant may take
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
NOTICED = (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)  # the latter: it can't be imported
UNNOTICED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


class Chosen:
    """Leaves of what is collected the tests that are wanted, and those that the mutation brought, shortest first."""

    def __init__(self, wanted: dict[str, float], known: set[str]) -> None:
        self.wanted = wanted
        self.known = known

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Choose and sort."""
        chosen = [item for item in items if item.nodeid in self.wanted or item.nodeid not in self.known]
        items[:] = sorted(chosen, key=lambda item: self.wanted.get(item.nodeid, 0))


def adopt() -> None:
    """Become the parent of what a trial leaves behind, whatever session it made for itself."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def outcome(wanted: dict[str, float], known: set[str], tree: Path, output: Path) -> str:
    """Run these tests, given with their seconds, in a copy of the work tree; `killed`, `timeout` or `survived`."""
    seconds = int(2 * sum(wanted.values())) + LEAST_SECONDS
    child = os.fork()
    if child == 0:
        status = int(pytest.ExitCode.INTERNAL_ERROR)
        try:
            _enter(tree, output, seconds)
            files = sorted({test.partition("::")[0] for test in wanted})
            status = int(pytest.main([*OPTIONS, *files], plugins=[Chosen(wanted, known)]))
        finally:
            os._exit(status)
    until = time.monotonic() + 2 * seconds  # a busy machine gives less time than it seems
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < until:
        time.sleep(0.02)
        done, status = os.waitpid(child, os.WNOHANG)
    _end_all()
    code = os.waitstatus_to_exitcode(status) if done else -signal.SIGKILL
    if code in UNNOTICED:
        return "survived"
    if code in NOTICED:
        return "killed"
    if code < 0:
        return "timeout"
    raise SystemExit(f"mutations: pytest ended with {code}: {output}")


def _enter(tree: Path, output: Path, seconds: int) -> None:
    os.setsid()
    fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    root = os.getcwd()  # noqa: PTH109 - it stands in sys.path as this text
    os.chdir(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("emulator", "tests")]:
        del sys.modules[name]
    sys.path[:] = [str(tree / "src"), str(tree), *(path for path in sys.path if path and not path.startswith(root))]
    os.environ["PYTHONPATH"] = f"{tree}/src:{tree}"
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    hypothesis.settings.register_profile("mutations", derandomize=True, database=None)
    hypothesis.settings.load_profile("mutations")


def _end_all() -> None:
    """End every process that is below this one."""
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        with open(f"/proc/self/task/{os.getpid()}/children") as listing:  # noqa: PTH123 - a file of the kernel's
            children = listing.read().split()
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        time.sleep(0.01)
