"""A small HTTP/1.1 server on asyncio, with a bound for everything that a peer can make many, large or slow.

Goes in: a port, and a handler from request to response.
Comes out: connections that are answered; who asks is answered while others only hold connections, or send without end.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from emulator.webhook.connection import LINGER_SECONDS, Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.webhook.connection import Contexts, Handler

CONNECTIONS = 500
UNFINISHED_BYTES = 8 * 1024 * 1024  # of all requests that have not come whole
BACKLOG = 512
ACCEPTED_AT_ONCE = 16  # few, so that one that comes in a flood is heard before 500 others have taken its place
SOCKET_BYTES = 32 * 1024  # that the kernel keeps in each direction, and doubles: they count as the webhook's memory
SWEEP_SECONDS = 1


class Listener:
    """Connections on one port, answered by one handler."""

    def __init__(self, handle: Handler) -> None:
        self.handle = handle
        self.is_draining = False
        # Each in the order of last use: those that have never asked for anything, and those that have.
        self._newcomers: dict[Connection, None] = {}
        self._regulars: dict[Connection, None] = {}
        self._eased = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether `open` was called."""
        return self._server is not None

    @property
    def connections(self) -> list[Connection]:
        """All of them, the least useful first."""
        return [*self._newcomers, *self._regulars]

    async def open(self, port: int, contexts: Contexts | None = None) -> int:
        """Listen on `port` of every address (0: a free one), by TLS if there are contexts; return the port."""
        bound = _bind(port)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            bound.setsockopt(socket.SOL_SOCKET, option, SOCKET_BYTES)
        # asyncio uses one number for how many wait to be accepted, and how many are accepted between two looks around.
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, contexts), sock=bound, backlog=ACCEPTED_AT_ONCE
        )
        bound.listen(BACKLOG)
        self._sweeper = asyncio.create_task(self._sweep())
        return cast("int", self._server.sockets[0].getsockname()[1])

    async def close(self, seconds: float) -> None:
        """Accept no more, end what is under way for at most so many seconds, then close every connection."""
        self.is_draining = True
        if self._server:
            self._server.close()
        await self._until(lambda: not any(each.is_busy for each in self.connections), seconds)
        for each in self.connections:
            each.close()
        await self._until(lambda: not self.connections, LINGER_SECONDS)
        if self._sweeper:
            self._sweeper.cancel()

    def enter(self, connection: Connection) -> None:
        """Take a connection; if there are too many, the least useful makes room."""
        if len(self._newcomers) + len(self._regulars) >= CONNECTIONS:
            self._drop(next(iter(self._newcomers or self._regulars)))
        self._newcomers[connection] = None

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._newcomers.pop(connection, None)
        self._regulars.pop(connection, None)
        self._eased.set()

    def prefer(self, connection: Connection) -> None:
        """Note that a connection was answered: it is the last to make room."""
        if connection in self._newcomers or connection in self._regulars:
            self.leave(connection)
            self._regulars[connection] = None
        self._eased.set()

    def bound(self) -> None:
        """Drop who has been sending longest while more is held than there is room for."""
        while sum(each.unfinished_bytes for each in self.connections) > UNFINISHED_BYTES:
            self._drop(
                min((each for each in self.connections if each.unfinished_bytes), key=lambda each: each.deadline)
            )

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self.leave(connection)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._eased.clear()
                    await self._eased.wait()

    async def _sweep(self) -> None:
        """Abort connections past their deadline."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for each in [each for each in self.connections if now > each.deadline]:
                each.abort()


def _bind(port: int) -> socket.socket:
    """Return a socket for both families, or for IPv4 where the machine has no IPv6; raises OSError that names it."""
    try:
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):
        try:
            return socket.create_server(("", port))
        except OSError as error:
            raise OSError(f"can't listen on port {port}: {os.strerror(error.errno or 0)}") from None
