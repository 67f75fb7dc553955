"""A client that never stops asking and believes nothing: every answer is held against what STS issued.

It keeps every answer with its time, and each answer that should not have been given.
"""

from __future__ import annotations

import calendar
import itertools
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.support.wire.process import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.experiments.faults.sts import Issued

PERIOD_SECONDS = 0.1
GET = f"GET {CREDENTIALS} HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n".encode()
FIELDS = ["Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"]
REFUSED = 0  # the status of a connection that was refused, or that ended before a byte of an answer
SKEW_TOLERANCE_SECONDS = 2


class Seen(NamedTuple):
    """One answer: when it was asked for and came, its status, the key or the error it named."""

    asked_at: float
    came_at: float
    status: int
    word: str


class Witness:
    """Asks in a thread until `end`. `skews`: by how many seconds the sidecar's clock may be off the true time."""

    def __init__(self, port: int, issued: Mapping[str, Issued], period_seconds: float = PERIOD_SECONDS) -> None:
        self.seen: list[Seen] = []
        self.lies: list[str] = []
        self.skews: set[float] = set()
        self._port = port
        self._period_seconds = period_seconds
        self._issued = issued
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._thread.join()

    def ask(self) -> Seen:
        """Ask once and judge the answer."""
        asked_at = time.time()
        data = receive(self._port)
        came_at = time.time()
        seen = Seen(asked_at, came_at, *self._judge(data, asked_at))
        self.seen.append(seen)
        return seen

    def since(self, at: float) -> list[Seen]:
        """Return what was asked for and answered since then."""
        return [seen for seen in self.seen if seen.asked_at >= at]

    def gap_seconds(self, at: float) -> float:
        """Return for how long, at most, no credentials were to be had since then."""
        good = [at, *(seen.came_at for seen in self.since(at) if seen.status == 200), self.seen[-1].came_at]
        return max(later - earlier for earlier, later in itertools.pairwise(good))

    def _run(self) -> None:
        while not self._ended.wait(self._period_seconds):
            self.ask()

    def _judge(self, data: bytes, asked_at: float) -> tuple[int, str]:
        """Return status and word of an answer; note what is wrong with it."""
        if not data:
            return REFUSED, ""
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        lengths = [int(line.split(": ")[1]) for line in lines if line.startswith("Content-Length: ")]
        if lengths != [len(body)] or not lines[0].startswith("HTTP/1.1 "):
            self.lies.append(f"a part of an answer: {data!r}")
            return REFUSED, ""
        status, document = int(lines[0].split(" ")[1]), json.loads(body)
        if status != 200:
            return status, f"{document['Code']}: {document['Message']}"
        issued = self._issued.get(document.get("AccessKeyId", ""))
        if list(document) != FIELDS or issued is None:
            self.lies.append(f"nothing that STS issued: {document}")
            return status, ""
        if (document["SecretAccessKey"], document["Token"]) != (issued.secret_access_key, issued.token):
            self.lies.append(f"parts of two sets: {document}")
        if issued.expires_at <= asked_at:
            self.lies.append(f"expired for {asked_at - issued.expires_at:.2f} s: {document}")
        shown = _unix_seconds(document["Expiration"]) - issued.expires_at
        if shown and not any(abs(shown - skew) <= SKEW_TOLERANCE_SECONDS for skew in self.skews):
            self.lies.append(f"an expiration {shown:+.0f} s off what STS said: {document}")
        return status, issued.access_key_id


def receive(port: int) -> bytes:
    """Return all that comes on a connection of its own; nothing if there is none."""
    data = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(GET)
            while part := client.recv(65536):
                data += part
    except ConnectionError:
        pass
    return data


def _unix_seconds(text: str) -> float:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
