"""Core dumps that are forbidden to a process, from another one."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from emulator import cores

ONE_BYTE = (cores.LIMIT_BYTES, cores.LIMIT_BYTES)


def test_forbid() -> None:
    """A process of the same user is limited, while it runs."""
    with subprocess.Popen([sys.executable, "-ISc", "input()"], stdin=subprocess.PIPE) as process:
        cores.forbid(process.pid)
        limits = resource.prlimit(process.pid, resource.RLIMIT_CORE)
        process.communicate()

    assert ONE_BYTE == limits


@pytest.mark.parametrize(
    "before", ["", "cores.forbid(2 ** 22 + 1)", "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"]
)
def test_never_fails(before: str) -> None:
    """One that has ended, or that may dump nothing already, is passed over."""
    told = "print(*resource.getrlimit(resource.RLIMIT_CORE))"
    code = f"import resource\nfrom emulator import cores\n{before}\ncores.forbid(0)\n{told}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() in (["1", "1"], ["0", "0"])
