"""What the kernel says of a process: memory, CPU, wake-ups."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

DEADLINE_SECONDS = 30.0
PATH = "/latest/meta-data/iam/security-credentials/"


class Memory(NamedTuple):
    """Kilobytes of a process."""

    private_dirty: int
    pss: int
    rss: int


def memory(process: int) -> Memory:
    """Return the memory of a process at a time when no child of its shares it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        before = children(process)
        fields = {}
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
            name, size, _ = line.split()
            fields[name.rstrip(":")] = int(size)
        if not before and not children(process):
            return Memory(fields["Private_Dirty"], fields["Pss"], fields["Rss"])
        assert time.monotonic() < deadline, f"process {process} always has children"
        time.sleep(0.01)


def children(process: int) -> list[str]:
    """Return the children of a process."""
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def cpu_seconds(process: int) -> float:
    """Return the CPU time of all threads of a process that lives."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(process: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def wake_ups(process: int) -> int:
    """Return how often the threads of a process went to sleep: once for each time they woke."""
    total = 0
    for task in Path(f"/proc/{process}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


class Running:
    """A program that runs. `port`: where it serves credentials, 0 if it does not."""

    def __init__(self, command: list[str], environ: dict[str, str], port: int = 0) -> None:
        self.port = port
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.id = self._process.pid

    def first_answer(self, token_needed: bool) -> float:  # noqa: FBT001 - one kind of client or the other
        """Ask without a pause until the first 200 with credentials; return the seconds since the start."""
        while True:
            assert time.monotonic() - self.started < DEADLINE_SECONDS, f"no credentials on port {self.port}"
            try:
                ask(self.port, PATH + "app-role", session_token(self.port) if token_needed else "")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.001)
            else:
                return time.monotonic() - self.started

    def end(self) -> float:
        """End it, at once, so that its end costs it nothing; return the CPU seconds it and its children took in all."""
        self._process.send_signal(signal.SIGKILL)
        _, _, usage = os.wait4(self.id, 0)
        self._process.returncode = 0
        return usage.ru_utime + usage.ru_stime


def ask(port: int, path: str, token: str = "", method: str = "GET", headers: dict[str, str] | None = None) -> str:
    """Return the body of a 200; any other answer is an error."""
    known = {"X-aws-ec2-metadata-token": token} if token else {}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, headers={**known, **(headers or {})}
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:  # noqa: S310 - likewise
        return str(answer.read().decode())


def session_token(port: int) -> str:
    """Return a token of IMDSv2."""
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
    return ask(port, "/latest/api/token", method="PUT", headers=headers)
