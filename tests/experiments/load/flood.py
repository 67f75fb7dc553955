"""Many clients, most of them ill-behaved: connections of several kinds, each opened again when the server ends it.

Arguments: a port, and `kind=count` for each kind; it ends with standard input. It prints "open" once each client has
been connected, and at the end a line of JSON: how many clients there were, how often one was connected, how often the
server ended one, and how many answers were read.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import resource
import select
import socket
import sys
import time

PATH = b"/latest/meta-data/iam/security-credentials/app-role"
REQUEST = b"GET " + PATH + b" HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"
PART = b"GET " + PATH + b" HTTP/1.1\r\nX-Padding: "
PIPELINED = 4
# What each kind says when it is connected.
KINDS = {
    "idle": b"",  # nothing, ever
    "drip": b"G",  # a head that grows by a byte each second
    "part": PART,  # a part of a head, and no more
    "stuffed": PART + b"x" * 7000,  # as much of a head as the server will hold
    "body": b"PUT /latest/api/token HTTP/1.1\r\nContent-Length: 8192\r\n\r\n" + b"x" * 8000,  # likewise of a body
    "half": PART,  # a part of a head, and then the end of what this side sends
    "deaf": REQUEST * 64,  # requests whose answers it does not read
    "keep": REQUEST * PIPELINED,  # requests on a connection that is kept, the next ones as soon as these are answered
    "ask": REQUEST,  # likewise, one at a time
    "fresh": REQUEST,  # one at a time, each on a connection of its own
}
AT_ONCE = {"keep": PIPELINED, "ask": 1, "fresh": 1}  # of those that read their answers
OPENED_PER_SECOND = 5000  # at most: where this process was held up, it does not make up for it all at once
COME_SECONDS = 4.0  # until all have come, evenly
DRIP_SECONDS = 1.0
PAUSE_SECONDS = 2.0  # until a connection that has ended is opened again
DEAF_BUFFER_BYTES = 2048  # so that the answers soon find no room
SOURCES = 16  # addresses of loopback to connect from, so that no port is wanting
EVENTS_AT_ONCE = 512
READ_SIZE = 65536


class BadClient:
    """One client, whichever connection it has now."""

    def __init__(self, number: int, kind: str) -> None:
        self.kind = kind
        self.source = f"127.0.1.{1 + number % SOURCES}"
        self.socket: socket.socket | None = None
        self.is_due = True  # something is yet to be done
        self.unread = 0  # bytes of answers yet to come, of the kind that reads them


class Flood:
    """All clients, and what each is to do when."""

    def __init__(self, port: int, kinds: list[str]) -> None:
        self.clients = [BadClient(number, kind) for number, kind in enumerate(kinds)]
        self.connected = 0
        self.ended = 0
        self.answers = 0
        self._port = port
        self._epoll = select.epoll()
        self._by_fd: dict[int, BadClient] = {}
        self._order = itertools.count()
        self._next_at = now = time.monotonic()  # when the next one may be opened
        self._due = [
            (now + COME_SECONDS * number / len(kinds), next(self._order), client)
            for number, client in enumerate(self.clients)
        ]

    def run(self, until: int) -> None:
        """Go on until there is something to read from `until`, or its end."""
        self._epoll.register(until, select.EPOLLIN)
        announced = False
        while True:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._act(heapq.heappop(self._due)[2], now)
            if not announced and self.connected >= len(self.clients):
                announced = True
                print("open", flush=True)
            wait_seconds = max(self._due[0][0] - time.monotonic(), 0) if self._due else None
            for fd, event in self._epoll.poll(wait_seconds, EVENTS_AT_ONCE):
                if fd == until:
                    return
                self._notice(self._by_fd[fd], event)

    def _act(self, client: BadClient, now: float) -> None:
        """Connect; or, where that is done, send a byte more."""
        client.is_due = False
        if client.socket is None and self._next_at > now + 0.01:
            self._later(client, self._next_at)
        elif client.socket is None:
            self._next_at = max(self._next_at, now) + 1 / OPENED_PER_SECOND
            client.socket = socket.socket()
            client.socket.setblocking(False)  # noqa: FBT003 - positional only
            if client.kind == "deaf":
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BUFFER_BYTES)
            client.socket.bind((client.source, 0))
            client.socket.connect_ex(("127.0.0.1", self._port))
            self._by_fd[client.socket.fileno()] = client
            self._epoll.register(client.socket, select.EPOLLOUT)
        elif client.kind == "drip":
            self._send(client, b"E")
            self._later(client, now + DRIP_SECONDS)

    def _notice(self, client: BadClient, event: int) -> None:
        assert client.socket is not None
        if event & select.EPOLLOUT and not event & (select.EPOLLERR | select.EPOLLHUP):
            self.connected += 1
            self._epoll.modify(client.socket, select.EPOLLRDHUP if client.kind == "deaf" else select.EPOLLIN)
            self._begin(client)
            return
        try:
            heard = b"" if client.kind == "deaf" else client.socket.recv(READ_SIZE)
        except OSError:
            heard = b""
        if not heard:
            self._end(client)
        elif client.kind in AT_ONCE:
            answers = heard.count(b"HTTP/1.1 200")
            self.answers += answers
            client.unread -= answers
            if client.unread <= 0 and client.kind == "fresh":
                self._end(client, pause_seconds=0)
            elif client.unread <= 0:
                self._begin(client)

    def _begin(self, client: BadClient) -> None:
        assert client.socket is not None
        client.unread = AT_ONCE.get(client.kind, 0)
        if KINDS[client.kind]:
            self._send(client, KINDS[client.kind])
        if client.kind == "half":
            with contextlib.suppress(OSError):  # the server has ended it
                client.socket.shutdown(socket.SHUT_WR)
        if client.kind == "drip":
            self._later(client, time.monotonic() + DRIP_SECONDS)

    def _send(self, client: BadClient, data: bytes) -> None:
        assert client.socket is not None
        with contextlib.suppress(OSError):  # the server has ended it, as the next event tells
            client.socket.send(data)

    def _end(self, client: BadClient, pause_seconds: float = PAUSE_SECONDS) -> None:
        assert client.socket is not None
        self.ended += pause_seconds > 0
        del self._by_fd[client.socket.fileno()]
        client.socket.close()
        client.socket = None
        client.unread = 0
        if not client.is_due:
            self._later(client, time.monotonic() + pause_seconds)

    def _later(self, client: BadClient, at: float) -> None:
        client.is_due = True
        heapq.heappush(self._due, (at, next(self._order), client))


def main(port: str, *counts: str) -> None:
    """Run."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pairs = [count.split("=") for count in counts]
    groups = [[kind] * int(count) for kind, count in pairs]
    mixed = [kind for row in itertools.zip_longest(*groups) for kind in row if kind is not None]
    flood = Flood(int(port), mixed)
    flood.run(sys.stdin.fileno())
    print(
        json.dumps(
            {"clients": len(mixed), "connected": flood.connected, "ended": flood.ended, "answers": flood.answers}
        ),
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
