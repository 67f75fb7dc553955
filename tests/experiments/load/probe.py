"""Well-behaved clients, in a process of their own: how long each waits for its answers.

Arguments: the port of the credentials and that of the kubelet's probes; it ends with standard input. It prints "open",
and at the end a line of JSON: for each kind of client the milliseconds of its requests, and every answer that is not
200.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING

from tests.support.wire.process import CREDENTIALS, LIST, Client, ask, connect

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD_SECONDS = 0.02
GET = f"GET {CREDENTIALS} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n".encode()
PIECES = (GET[:40], GET[40:])
BETWEEN_PIECES_SECONDS = 0.02


class Probe:
    """Clients that ask again and again, each kind in a thread of its own."""

    def __init__(self, port: int, health_port: int) -> None:
        self.milliseconds: dict[str, list[float]] = {}
        self.wrong: list[str] = []
        self._ended = threading.Event()
        self._port = port
        self._kept: Client | None = None
        kinds: dict[str, Callable[[], float]] = {
            "a connection for each request": lambda: timed(lambda: ask(port, CREDENTIALS).status),
            "as an SDK: role, then credentials": lambda: timed(lambda: ask(port, LIST).status, self._get),
            "a connection that is kept": lambda: timed(self._get_on_kept),
            "a request in two pieces": self._in_pieces,
            "the kubelet": lambda: timed(lambda: ask(health_port, "/livez").status),
        }
        self._threads = [threading.Thread(target=self._repeat, args=pair) for pair in kinds.items()]

    def run(self) -> None:
        """Ask until standard input ends."""
        for thread in self._threads:
            thread.start()
        print("open", flush=True)
        sys.stdin.read()
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, kind: str, request: Callable[[], float]) -> None:
        taken = self.milliseconds[kind] = []
        while not self._ended.wait(PERIOD_SECONDS):
            try:
                taken.append(round(1000 * request(), 1))
            except (AssertionError, OSError) as error:
                self.wrong.append(f"{kind}: {error!r}")

    def _get(self) -> int:
        return ask(self._port, CREDENTIALS).status

    def _get_on_kept(self) -> int:
        """Ask on the connection that is kept; on a new one if the server has ended it, as SDKs do."""
        if self._kept is not None:
            try:
                return self._kept.ask(GET).status
            except (AssertionError, ConnectionError):
                self._kept.close()
        self._kept = Client(self._port)
        return self._kept.ask(GET).status

    def _in_pieces(self) -> float:
        """Ask as a client whose request comes in two packets; its time runs from the second.

        Between the two it may have to make room when a crowd rushes in; then it asks once more, and its time runs on.
        """
        with connect(self._port) as client:
            client.send(PIECES[0])
            time.sleep(BETWEEN_PIECES_SECONDS)
            started = time.monotonic()
            try:
                status = client.ask(PIECES[1]).status
            except (AssertionError, ConnectionError):
                status = self._get()
        assert status == 200, status
        return time.monotonic() - started


def timed(*requests: Callable[[], int]) -> float:
    """Return the seconds that the slowest of the requests took; each must be answered 200."""
    slowest = 0.0
    for request in requests:
        started = time.monotonic()
        status = request()
        slowest = max(slowest, time.monotonic() - started)
        assert status == 200, status
    return slowest


def main(port: str, health_port: str) -> None:
    """Run."""
    probe = Probe(int(port), int(health_port))
    probe.run()
    print(json.dumps({"milliseconds": probe.milliseconds, "wrong": probe.wrong}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
