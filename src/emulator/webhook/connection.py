"""One connection of the webhook: its requests are read and answered one after the other.

Goes in: bytes from a transport, through TLS if there is a context; what handles a request.
Comes out: responses, one a request, in order; what is no request is answered with its 4xx and the connection closed.
"""

from __future__ import annotations

import asyncio
import ssl
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

from emulator import log
from emulator.webhook.channel import Channel
from emulator.webhook.http1 import BadRequest, Head, Request, Response, encode, read_head, text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[Request], Response | Awaitable[Response]]
    Contexts = Callable[[], ssl.SSLContext]

REQUEST_SECONDS = 10  # for a handshake, and from the first byte of a request to its last; the API server waits for 5
IDLE_SECONDS = 180  # longer than the API server keeps an idle connection (90), so that it is who closes
LINGER_SECONDS = 2  # a refused request is read to its end for so long, else the peer may not see the answer
LARGE_BYTES = 64 * 1024


class State(Enum):
    """What a connection is about."""

    READING = "reading"  # a request; one that has come whole is answered
    QUEUED = "queued"  # the next request is here, and has its turn after the other connections'
    ANSWERING = "answering"  # the answer comes later
    HELD = "held"  # the peer does not take its answers
    ENDING = "ending"  # what still comes is dropped


# State -> those that may follow it. Any other change is left undone.
TRANSITIONS = {
    State.READING: {State.QUEUED, State.ANSWERING, State.HELD, State.ENDING},
    State.QUEUED: {State.READING, State.HELD, State.ENDING},
    State.ANSWERING: {State.READING, State.ENDING},
    State.HELD: {State.READING, State.ENDING},
    State.ENDING: set(),
}
# Those in which the peer is heard.
HEARING = (State.READING, State.ENDING)


class Host(Protocol):
    """What a connection knows of the listener that it belongs to."""

    handle: Handler
    is_draining: bool

    def enter(self, connection: Connection) -> None:
        """Note that the connection has begun."""

    def leave(self, connection: Connection) -> None:
        """Note that it has ended."""

    def prefer(self, connection: Connection) -> None:
        """Note that it was answered."""

    def bound(self) -> None:
        """Hold no more than there is room for."""


class Connection(asyncio.Protocol):
    """A protocol of asyncio; `contexts` gives the TLS context of the moment, None stands for plain HTTP."""

    transport: asyncio.Transport

    def __init__(self, host: Host, contexts: Contexts | None) -> None:
        self.deadline = float("inf")
        self._host = host
        self._contexts = contexts
        self._tls: Channel | None = None
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._head: Head | None = None
        self._state = State.READING
        self._answering: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request has begun to arrive and is not answered yet."""
        return bool(self._buffer)

    @property
    def unfinished_bytes(self) -> int:
        """How much is held of a request that has not come whole."""
        return 0 if self._state is State.ANSWERING else len(self._buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self.transport = cast("asyncio.Transport", transport)
        self._host.enter(self)
        self.deadline = self._loop.time() + (REQUEST_SECONDS if self._contexts else IDLE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Forget the connection; an answer under way has nowhere to go."""
        self._buffer.clear()
        self._become(State.ENDING)
        self._host.leave(self)
        if self._answering:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes; answer each request that is whole."""
        if self._state is State.ENDING:
            return
        if self._contexts:
            data = self._decrypted(data, self._contexts)
        if data:
            if not self._buffer:
                self.deadline = self._loop.time() + REQUEST_SECONDS
            self._buffer += data
            self._proceed()
            if len(self._buffer) > LARGE_BYTES:
                self._host.bound()
        if self._tls and self._tls.is_ended:
            self.close()

    def pause_writing(self) -> None:
        """Stop reading from a peer that does not read its answers."""
        self._become(State.HELD)

    def resume_writing(self) -> None:
        """Go on where `pause_writing` stopped."""
        if self._state is State.HELD:
            self._go_on()

    def close(self) -> None:
        """Send what there is to send, then end the connection."""
        self._become(State.ENDING)
        self.deadline = self._loop.time() + LINGER_SECONDS
        if self._tls:
            self._tls.end()
            self.transport.write(self._tls.wire())
        self.transport.close()

    def abort(self) -> None:
        """End the connection at once, and hold nothing of it any more."""
        self._become(State.ENDING)
        self._buffer.clear()
        self.transport.abort()

    def _become(self, state: State) -> bool:
        """Go into a state, if the present one lets it; tell whether."""
        if state not in TRANSITIONS[self._state]:
            return False
        self._state = state
        if state in HEARING:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
        return True

    def _go_on(self) -> None:
        """Read again, and answer what has come."""
        if self._become(State.READING):
            self._proceed()

    def _decrypted(self, data: bytes, contexts: Contexts) -> bytes:
        """Return what the peer said by TLS; one that breaks off is sent the alert, and closed."""
        # Made with the first bytes only: a peer that says nothing takes no memory.
        self._tls = self._tls or Channel(contexts())
        was_established = self._tls.is_established
        try:
            said = self._tls.receive(data)
        except ssl.SSLError:
            self.close()
            return b""
        if wire := self._tls.wire():
            self.transport.write(wire)
        if self._tls.is_established and not was_established:
            self.deadline = self._loop.time() + IDLE_SECONDS
        return said

    def _write(self, data: bytes) -> None:
        if self._tls:
            self._tls.send(data)
            data = self._tls.wire()
        self.transport.write(data)

    def _proceed(self) -> None:
        """Answer the next request, if it has come whole; the one after it when others have had their turn."""
        if self._state is not State.READING:
            return
        try:
            request = self._next_request()
        except BadRequest as error:
            self._become(State.ENDING)
            self._buffer.clear()
            self._write(encode(text(error.status, str(error)), keeps_alive=False))
            self.deadline = self._loop.time() + LINGER_SECONDS
            return
        response = self._answer(request) if request else None
        if response:
            self._send(response)
        if response and self._buffer and self._become(State.QUEUED):
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        if self._state is State.QUEUED:
            self._go_on()

    def _next_request(self) -> Request | None:
        if self._head is None:
            self._head = read_head(self._buffer)
            if self._head and self._head.expects_continue:
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = self._head
        if head is None or len(self._buffer) < head.head_bytes + head.body_bytes:
            return None
        body = bytes(self._buffer[head.head_bytes : head.head_bytes + head.body_bytes])
        return Request(head.method, head.path, body)

    def _answer(self, request: Request) -> Response | None:
        """Return the response; None if it comes later, and the peer is not read until then."""
        try:
            response = self._host.handle(request)
        except Exception as error:  # noqa: BLE001 - the peer gets an answer whatever happens
            return _failure(error)
        if isinstance(response, Response):
            return response
        self._become(State.ANSWERING)
        self._answering = asyncio.create_task(self._answer_later(response))
        return None

    async def _answer_later(self, response: Awaitable[Response]) -> None:
        try:
            answer = await response
        except Exception as error:  # noqa: BLE001 - likewise
            answer = _failure(error)
        self._answering = None
        if self._become(State.READING):
            self._send(answer)
            self._proceed()

    def _send(self, response: Response) -> None:
        head = cast("Head", self._head)
        keeps_alive = head.keeps_alive and not self._host.is_draining
        del self._buffer[: head.head_bytes + head.body_bytes]
        self._head = None
        self.deadline = self._loop.time() + (REQUEST_SECONDS if self.is_busy else IDLE_SECONDS)
        self._write(encode(response, keeps_alive=keeps_alive, has_body=head.method != "HEAD"))
        if not keeps_alive:
            self.close()
        self._host.prefer(self)


def _failure(error: Exception) -> Response:
    log.write("error", "failure", {"error": type(error).__name__, "message": str(error)[:200]})
    return text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log of the webhook names it")
