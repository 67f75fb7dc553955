"""A running emulator, as in the image (`python -I -S`), and a client that speaks bytes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support.tools import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SOURCE = Path(__file__).parents[3] / "src"
# As in the image; and on SIGUSR1 it says what is loaded.
MAIN = f"""
import _signal, sys
_signal.signal(_signal.SIGUSR1, lambda *_: print("modules:", *sorted(sys.modules), file=sys.stderr, flush=True))
sys.path.insert(0, {str(SOURCE)!r})
from emulator.__main__ import main
sys.exit(main())
"""


def run_first(statement: str) -> str:
    """Return MAIN with a statement that runs before it serves."""
    return MAIN.replace("sys.exit", f"{statement}\nsys.exit")


DEADLINE_SECONDS = 30.0
ROLE_ARN = "arn:aws:iam::123456789012:role/team/app-role"
LIST = "/latest/meta-data/iam/security-credentials/"
CREDENTIALS = LIST + "app-role"


class Answer(NamedTuple):
    """An answer: status, headers with names in lower case, body."""

    status: int
    headers: dict[str, str]
    body: str


class Emulator:
    """One process. `log()` is what it wrote so far, unless that went to `stderr`.

    `before`: words of a program that runs it, and becomes it. `ports`: those of an emulator that it replaces.
    """

    def __init__(
        self,
        environ: dict[str, str],
        *,
        before: Sequence[str] = (),
        main: str = MAIN,
        ports: tuple[int, int] | None = None,
        stderr: int | None = None,
    ) -> None:
        self.port, self.health_port = ports or free_ports(2)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        known = {
            "AWS_ROLE_ARN": ROLE_ARN,
            "IMDS_EMULATOR_PORT": str(self.port),
            "IMDS_EMULATOR_HEALTH_PORT": str(self.health_port),
            "POD_NAMESPACE": "team-a",
            "POD_NAME": "app-0",
        }
        command = [*before, sys.executable, "-I", "-S", "-c", main, "serve"]
        self.process = subprocess.Popen(
            command, env={**known, **environ}, stderr=self._log if stderr is None else stderr
        )

    def log(self) -> str:
        """Return what was written to standard error."""
        return os.pread(self._log.fileno(), 1 << 20, 0).decode()

    def get(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        """Ask the credential port once, on a connection of its own."""
        return ask(self.port, path, method=method, headers=headers)

    def health(self, path: str) -> Answer:
        """Ask the health port once."""
        return ask(self.health_port, path)

    def children(self) -> list[int]:
        """Return the processes that it started and that live."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in listed.split()]

    def end(self, with_signal: int = signal.SIGTERM) -> int:
        """End it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(DEADLINE_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has."""
    return ports.free(count)


def ask(
    port: int, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, host: str = "127.0.0.1"
) -> Answer:
    """Send one request on a new connection and return its answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    with connect(port, host) as client:
        return client.ask(f"{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n{lines}\r\n".encode(), method=method)


@contextlib.contextmanager
def connect(port: int, host: str = "127.0.0.1") -> Iterator[Client]:
    """Open a connection for the time of a block."""
    client = Client(port, host)
    try:
        yield client
    finally:
        client.close()


class Client:
    """One connection; what came and was not read yet stays in `rest`."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), timeout=DEADLINE_SECONDS)
        self.rest = b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def ask(self, data: bytes, *, method: str = "GET") -> Answer:
        """Send a request and return its answer."""
        self.send(data)
        return self.answer(method=method)

    def answer(self, *, method: str = "GET") -> Answer:
        """Return the next answer, of as many bytes as it says."""
        head, _, self.rest = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines}
        length = 0 if method == "HEAD" or status.split(" ")[1] == "100" else int(headers["content-length"])
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return Answer(int(status.split(" ")[1]), headers, body.decode())

    def is_ended(self) -> bool:
        """Wait until the other side ends the connection; False if it sends anything more, or nothing."""
        try:
            return self.rest == b"" and self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.rest:
            self._more()
        return self.rest

    def _more(self) -> None:
        part = self.socket.recv(65536)
        assert part, f"the connection ended after {self.rest!r}"
        self.rest += part


def wait_until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until `condition()` is true; fail at the deadline with `what`."""
    deadline = time.monotonic() + seconds
    while not _holds(condition):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except ConnectionError:
        return False
