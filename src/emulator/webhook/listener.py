"""A small HTTP/1.1 server on asyncio, with a bound for everything that a peer can make large or slow.

Goes in: the bytes of connections, and a handler from request to response.
Comes out: responses, one a request, in order; what is no request is answered with its 4xx and the connection closed.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from emulator import log
from emulator.webhook.http1 import BadRequest, Head, Request, Response, encode, read_head, text

if TYPE_CHECKING:
    import ssl

CONNECTIONS = 500
REQUEST_SECONDS = 10  # from the first byte of a request to its last; the API server waits for 5 in all
IDLE_SECONDS = 180  # longer than the API server keeps an idle connection (90), so that it is who closes
LINGER_SECONDS = 2  # a refused request is read to its end for so long, else the peer may not see the answer
SWEEP_SECONDS = 1

Handler = Callable[[Request], Response | Awaitable[Response]]


class Listener:
    """Connections on one port, answered by one handler."""

    def __init__(self, handle: Handler) -> None:
        self.handle = handle
        self.is_draining = False
        self.connections: set[Connection] = set()
        self._eased = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether `open` was called."""
        return self._server is not None

    async def open(self, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen on `port` of every address (0: a free one), by TLS if there is a context; return the port."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self),
            sock=_bind(port),
            ssl=context,
            ssl_handshake_timeout=REQUEST_SECONDS if context else None,
            ssl_shutdown_timeout=LINGER_SECONDS if context else None,
        )
        self._sweeper = asyncio.create_task(self._sweep())
        return cast("int", self._server.sockets[0].getsockname()[1])

    async def close(self, seconds: float) -> None:
        """Accept no more, end what is under way for at most so many seconds, then close every connection."""
        self.is_draining = True
        if self._server:
            self._server.close()
        await self._until(lambda: not any(each.is_busy for each in self.connections), seconds)
        for each in list(self.connections):
            each.transport.close()
        await self._until(lambda: not self.connections, LINGER_SECONDS)
        if self._sweeper:
            self._sweeper.cancel()

    def ease(self) -> None:
        """Note that a connection has ended or answered."""
        self._eased.set()

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
                each.transport.abort()


class Connection(asyncio.Protocol):
    """One connection: requests are read and answered one after the other."""

    transport: asyncio.Transport

    def __init__(self, listener: Listener) -> None:
        self.is_busy = False  # a request has begun to arrive and is not answered yet
        self.deadline = float("inf")
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._head: Head | None = None
        self._answering: asyncio.Task[None] | None = None
        self._is_ending = False  # nothing more is read
        self._is_held = False  # the peer does not read its answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        if len(self._listener.connections) >= CONNECTIONS:
            self.transport.abort()
            return
        self._listener.connections.add(self)
        self.deadline = self._loop.time() + IDLE_SECONDS

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Forget the connection; an answer under way has nowhere to go."""
        self.is_busy = False
        self._listener.connections.discard(self)
        self._listener.ease()
        if self._answering:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes; answer each request that is whole."""
        if self._is_ending:
            return
        if not self.is_busy:
            self.is_busy = True
            self.deadline = self._loop.time() + REQUEST_SECONDS
        self._buffer += data
        self._proceed()

    def pause_writing(self) -> None:
        """Stop reading from a peer that does not read its answers."""
        self._is_held = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on where `pause_writing` stopped."""
        self._is_held = False
        self.transport.resume_reading()
        self._proceed()

    def _proceed(self) -> None:
        try:
            while not (self._answering or self._is_held or self._is_ending) and (request := self._next_request()):
                response = self._answer(request)
                if isinstance(response, Response):
                    self._send(response)
        except BadRequest as error:
            self._is_ending = True
            self._buffer.clear()
            self.transport.write(encode(text(error.status, str(error)), keeps_alive=False))
            self.deadline = self._loop.time() + LINGER_SECONDS

    def _next_request(self) -> Request | None:
        if self._head is None:
            self._head = read_head(self._buffer)
            if self._head and self._head.expects_continue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = self._head
        if head is None or len(self._buffer) < head.head_bytes + head.body_bytes:
            return None
        body = bytes(self._buffer[head.head_bytes : head.head_bytes + head.body_bytes])
        return Request(head.method, head.path, body)

    def _answer(self, request: Request) -> Response | None:
        """Return the response; None if it comes later, and the peer is not read until then."""
        try:
            response = self._listener.handle(request)
        except Exception as error:  # noqa: BLE001 - the peer gets an answer whatever happens
            return _failure(error)
        if isinstance(response, Response):
            return response
        self.transport.pause_reading()
        self._answering = asyncio.create_task(self._answer_later(response))
        return None

    async def _answer_later(self, response: Awaitable[Response]) -> None:
        try:
            answer = await response
        except Exception as error:  # noqa: BLE001 - likewise
            answer = _failure(error)
        self._answering = None
        self._send(answer)
        self.transport.resume_reading()
        self._proceed()

    def _send(self, response: Response) -> None:
        head = cast("Head", self._head)
        keeps_alive = head.keeps_alive and not self._listener.is_draining
        del self._buffer[: head.head_bytes + head.body_bytes]
        self._head = None
        self.is_busy = bool(self._buffer)
        self.deadline = self._loop.time() + (REQUEST_SECONDS if self.is_busy else IDLE_SECONDS)
        self.transport.write(encode(response, keeps_alive=keeps_alive, has_body=head.method != "HEAD"))
        if not keeps_alive:
            self._is_ending = True
            self.transport.close()
        self._listener.ease()


def _bind(port: int) -> socket.socket:
    """Return a socket for both families, or for IPv4 where the machine has no IPv6; raises OSError that names it."""
    try:
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):
        try:
            return socket.create_server(("", port))
        except OSError as error:
            raise OSError(f"can't listen on port {port}: {os.strerror(error.errno or 0)}") from None


def _failure(error: Exception) -> Response:
    log.write("error", "failure", {"error": type(error).__name__, "message": str(error)[:200]})
    return text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log of the webhook names it")
