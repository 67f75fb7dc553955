"""Core dumps that are forbidden to a process, from another one."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from emulator import cores

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE_BYTE = (cores.LIMIT_BYTES, cores.LIMIT_BYTES)
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def unlimited() -> Iterator[None]:
    """Start what a test starts without a limit: a process that inherits one would pass whatever the code does."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, UNLIMITED)
    except ValueError:
        pytest.skip(f"core dumps are limited to {before[1]} bytes here, and lifting the limit needs a right")
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (before[0], resource.RLIM_INFINITY))


@pytest.mark.usefixtures("unlimited")
def test_forbid() -> None:
    """A process of the same user is limited, while it runs."""
    with subprocess.Popen([sys.executable, "-ISc", "input()"], stdin=subprocess.PIPE) as process:
        before = resource.prlimit(process.pid, resource.RLIMIT_CORE)
        cores.forbid(process.pid)
        limits = resource.prlimit(process.pid, resource.RLIMIT_CORE)
        process.communicate()

    assert (UNLIMITED, ONE_BYTE) == (before, limits)


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", ["1 1"]),
        ("cores.forbid(2 ** 22 + 1)", ["1 1"]),
        # Even a byte is more than none: it takes CAP_SYS_RESOURCE to give it.
        ("resource.setrlimit(resource.RLIMIT_CORE, (0, 0))", ["1 1", "0 0"]),
    ],
)
def test_never_fails(before: str, expected: list[str]) -> None:
    """One that has ended, or that may dump nothing already, is passed over."""
    told = "print(*resource.getrlimit(resource.RLIMIT_CORE))"
    code = f"import resource\nfrom emulator import cores\n{before}\ncores.forbid(0)\n{told}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() in expected
