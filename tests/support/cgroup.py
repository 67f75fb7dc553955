"""A control group with limits, as the kubelet gives one to a container.

It gives the words that start a program in the group, and the most memory that the group used.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path("/sys/fs/cgroup")
PERIOD_MICROSECONDS = 100_000  # the kubelet's
COMMON_WEIGHT, COMMON_SHARES = 100, 1024  # of a group in versions 2 and 1
MOST_WEIGHT = 10_000  # so that it is the limit that is measured, and not what else this machine does
END_SECONDS = 10.0


class Cgroup:
    """One group, of version 1 or 2, whichever this machine has. OSError if groups can't be made here."""

    def __init__(self, memory_bytes: int, cores: float | None = None, weight: int = MOST_WEIGHT) -> None:
        name = f"imds-emulator-{secrets.token_hex(4)}"
        self._one = (ROOT / "memory").is_dir()
        self._folders = [ROOT / part / name for part in ("memory", "cpu")] if self._one else [ROOT / name]
        for folder in self._folders:
            folder.mkdir()
        try:
            self._limit(memory_bytes, cores, weight)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def before(self) -> list[str]:
        """Return the words that run a program in here."""
        joins = " ".join(f"&& echo $$ >{folder}/cgroup.procs" for folder in self._folders)
        return ["/bin/sh", "-c", f'true {joins} && exec "$@"', "sh"]

    def peak_bytes(self) -> int:
        """Return the most memory that was in use, that of the kernel for the group's sockets included."""
        if not self._one:
            return int(self._read("memory.peak"))
        return int(self._read("memory.max_usage_in_bytes")) + int(self._read("memory.kmem.tcp.max_usage_in_bytes"))

    def usage_bytes(self) -> int:
        """Return the memory in use now."""
        return int(self._read("memory.usage_in_bytes" if self._one else "memory.current"))

    def kills(self) -> int:
        """Return how many processes were killed for want of memory."""
        words = self._read("memory.oom_control" if self._one else "memory.events").split()
        return int(words[words.index("oom_kill") + 1])

    def set_memory(self, memory_bytes: int) -> None:
        """Change the limit."""
        self.limit_bytes = memory_bytes
        self._write("memory.limit_in_bytes" if self._one else "memory.max", str(memory_bytes))

    def _limit(self, memory_bytes: int, cores: float | None, weight: int) -> None:
        self.set_memory(memory_bytes)
        if self._one:  # else what sockets hold is not counted
            self._write("memory.kmem.tcp.limit_in_bytes", str(memory_bytes))
        if cores is None:
            return
        quota = round(cores * PERIOD_MICROSECONDS)
        limits = {"cpu.cfs_quota_us": f"{quota}", "cpu.shares": f"{weight * COMMON_SHARES // COMMON_WEIGHT}"}
        if not self._one:
            limits = {"cpu.max": f"{quota} {PERIOD_MICROSECONDS}", "cpu.weight": f"{weight}"}
        for name, text in limits.items():
            (self._folders[-1] / name).write_text(text)

    def _read(self, name: str) -> str:
        return (self._folders[0] / name).read_text()

    def _write(self, name: str, text: str) -> None:
        (self._folders[0] / name).write_text(text)

    def close(self) -> None:
        """Remove it; its processes are gone, but the kernel may take a moment to see that."""
        deadline = time.monotonic() + END_SECONDS
        for folder in self._folders:
            while folder.exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                assert time.monotonic() < deadline, f"{folder} is in use"
                time.sleep(0.01)
