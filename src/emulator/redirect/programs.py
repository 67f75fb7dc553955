"""Runs a program of nftables or iptables; what it says when it fails becomes one line.

By the kernel's own calls: `subprocess` would be 12 ms in the start of each pod.
"""

from __future__ import annotations

import posix
import time
from _signal import SIGKILL  # type: ignore[import-not-found]
from select import POLLIN, poll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# How long a program of iptables waits for the lock by itself; twice that time is a hang.
LOCK_SECONDS = 30
READ_SIZE = 65536


class ProgramError(Exception):
    """A program could not do its work; the message is one line that begins with its name."""


def run(command: Sequence[str], environment: Mapping[str, str], stdin: str = "") -> str:
    """Return what the program printed; raises ProgramError where it is missing or fails."""
    try:
        status, printed, said = _run(find(command[0], environment["PATH"]), command, environment, stdin)
    except OSError as error:
        raise ProgramError(f"{command[0]}: {error}") from None
    if status != 0:
        lines = [line for line in said.splitlines() if line and not line.startswith("#")]  # "# Warning: ..."
        raise ProgramError(f"{command[0]}: {lines[0] if lines else f'exit status {status}'}")
    return printed


def find(program: str, path: str) -> str:
    """Return the program's file in the first folder of `path` that has it; raises ProgramError."""
    for folder in path.split(":"):
        if posix.access(f"{folder}/{program}", posix.X_OK):
            return f"{folder}/{program}"
    raise ProgramError(f"{program}: program not found")


def _run(file: str, command: Sequence[str], environment: Mapping[str, str], stdin: str) -> tuple[int, str, str]:
    """Return exit status, output and errors; raises OSError, TimeoutError among them."""
    reading, writing = posix.pipe()
    with (
        open(posix.memfd_create("stdin"), "w+") as given,  # noqa: PTH123 - no path
        open(posix.memfd_create("stderr"), "w+") as said,  # noqa: PTH123 - likewise
        open(reading, "rb", buffering=0) as printed,  # noqa: PTH123 - likewise
        open(writing, "wb", buffering=0) as stdout,  # noqa: PTH123 - likewise
    ):
        given.write(stdin)
        given.seek(0)
        streams = [(posix.POSIX_SPAWN_DUP2, each.fileno(), at) for at, each in enumerate((given, stdout, said))]
        process = posix.posix_spawn(file, list(command), environment, file_actions=streams)
        stdout.close()
        try:
            output = _until_closed(printed.fileno(), time.monotonic() + 2 * LOCK_SECONDS)
        except TimeoutError:
            posix.kill(process, SIGKILL)
            raise
        finally:
            _, status = posix.waitpid(process, 0)
        said.seek(0)
        return posix.waitstatus_to_exitcode(status), output.decode(), said.read()


def _until_closed(fd: int, deadline: float) -> bytes:
    waiter = poll()
    waiter.register(fd, POLLIN)
    output = b""
    while waiter.poll(max(0, deadline - time.monotonic()) * 1000):
        part = posix.read(fd, READ_SIZE)
        if not part:
            return output
        output += part
    raise TimeoutError(f"did not end within {2 * LOCK_SECONDS} s")
