"""Listeners and their connections: one thread, one epoll, bounded in memory and in time.

Goes in: for each listener a function from request and time to response; descriptors to watch; a timer.
Comes out: bytes on sockets. What they mean is decided elsewhere.
"""

# `_socket` is the C module under `socket`, which would cost 1.4 MB in each pod. A connection is a plain file
# descriptor, read and written by `posix`: 0.3 KB each. `_accept` is what `socket.accept` itself calls.

import posix
import time
from _socket import SHUT_WR
from select import EPOLLIN, EPOLLOUT, epoll

from emulator.wire import CONTINUE, Malformed, Reader, Response, awaits_continue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable

    from emulator.wire import Request

READ_SIZE = 8192
OUTPUT_LIMIT = 4096  # bytes of answers after which it is the next client's turn, and the client must have read
HOLD_SECONDS = 0.4  # a request waits at most so long; the shortest client (aws-sdk-go-v2) gives 0.5 s
IDLE_SECONDS = 60  # between requests
SLOW_SECONDS = 10  # for a request to come whole, and for an answer to be taken
DISCARD_SECONDS = 2  # for the rest of a request that was refused
EVENTS_AT_ONCE = 64
FOREVER = float("inf")


class Listener:
    """A listening socket, who answers on it, and how many connections it holds.

    `respond(request, now)` returns None for a request that is to wait for `Server.release`; if that does not come
    within HOLD_SECONDS, `late()` answers it. `count(status)` is told of each answer.
    """

    __slots__ = ("connections", "count", "late", "limit", "respond", "socket")

    def __init__(
        self,
        socket: "socket",
        limit: int,
        respond: "Callable[[Request, float], Response | None]",
        late: "Callable[[], Response]",
        count: "Callable[[int], None]",
    ) -> None:
        self.socket = socket
        self.limit = limit
        self.respond = respond
        self.late = late
        self.count = count
        self.connections: set[Connection] = set()


class Connection:
    """One client: what it sent and was not answered yet, what it was answered and did not take yet."""

    __slots__ = (
        "buffer",
        "continued",
        "deadline",
        "discarding",
        "ending",
        "events",
        "fd",
        "listener",
        "output",
        "waiting",
    )

    def __init__(self, fd: int, listener: Listener, deadline: float) -> None:
        self.fd = fd
        self.listener = listener
        self.deadline = deadline
        self.events = EPOLLIN
        self.buffer = b""
        self.output = b""
        self.waiting: Request | None = None  # the request that waits for `release`
        self.continued = False  # the client was told to send its body
        self.ending = False  # to be closed once the output is taken
        self.discarding = False  # what still comes is not read as a request


class Server:
    """Serves all listeners from one thread. With no client and no timer it sleeps: no wake-ups."""

    __slots__ = (
        "_clock",
        "_connections",
        "_date",
        "_date_second",
        "_epoll",
        "_reader",
        "_sweep_at",
        "_watched",
        "wake_at",
    )

    def __init__(self, clock: "Callable[[], float]") -> None:
        self._clock = clock
        self._epoll = epoll()
        self._reader = Reader()
        self._connections: dict[int, Connection] = {}
        self._watched: dict[int, Callable[[float], None]] = {}
        self._date = b""
        self._date_second = 0
        self._sweep_at = FOREVER
        self.wake_at = 0.0

    def listen(self, listener: Listener) -> None:
        """Take connections from a socket that listens already."""
        self.watch(listener.socket.fileno(), lambda now: self._accept(listener, now))

    def watch(self, fd: int, call: "Callable[[float], None]") -> None:
        """Call `call(now)` whenever there is something to read from `fd`."""
        self._watched[fd] = call
        self._epoll.register(fd, EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Undo `watch`, before `fd` is closed."""
        self._epoll.unregister(fd)
        del self._watched[fd]

    def run(self, tick: "Callable[[float], float]") -> None:
        """Serve until an exception ends it. `tick(now)` is called at `wake_at` and returns the next one."""
        while True:
            self.turn(tick)

    def turn(self, tick: "Callable[[float], float]") -> None:
        """Do what is due, then wait for events and answer them."""
        now = self._clock()
        if now >= self.wake_at:
            self.wake_at = tick(now)
        if now >= self._sweep_at:
            self._sweep(now)
        until = min(self.wake_at, self._sweep_at)
        # The wait does not count the time that the machine sleeps. What falls due then is noticed at the next
        # event, since each goes through here first: a request, or the kubelet's probe.
        timeout = None if until == FOREVER else max(until - now, 0)
        events = self._epoll.poll(timeout, EVENTS_AT_ONCE)
        now = self._clock()
        if now >= self.wake_at:
            self.wake_at = tick(now)
        for fd, _ in events:
            connection = self._connections.get(fd)
            if connection is None:
                call = self._watched.get(fd)
                if call is not None:
                    call(now)
            elif connection.events == EPOLLOUT:
                self._flush(connection, now)
            elif connection.waiting is not None:
                self._close(connection)  # no event was asked for: the client is gone
            else:
                self._receive(connection, now)

    def release(self, now: float) -> None:
        """Ask again for the answers that requests are waiting for."""
        for connection in [c for c in self._connections.values() if c.waiting is not None]:
            request = connection.waiting
            response = None if request is None else connection.listener.respond(request, now)
            if response is not None:
                self._answer_waiting(connection, response, now)

    def _accept(self, listener: Listener, now: float) -> None:
        """Take one connection; if there are others, the next turn does."""
        if len(listener.connections) >= listener.limit:
            self._evict(listener)
        try:
            fd, _ = listener.socket._accept()  # type: ignore[attr-defined] # noqa: SLF001 - see the top
        except OSError:  # it went away meanwhile, or there are no descriptors left
            self._evict(listener)
            return
        posix.set_blocking(fd, False)
        connection = Connection(fd, listener, now + IDLE_SECONDS)
        self._connections[fd] = connection
        listener.connections.add(connection)
        self._epoll.register(fd, EPOLLIN)
        self._sweep_at = min(self._sweep_at, connection.deadline)

    def _evict(self, listener: Listener) -> None:
        """Close the connection whose patience ends first: slow requests before idle ones, waiting ones never."""
        candidates = [c for c in listener.connections if c.waiting is None]
        if candidates:
            self._close(min(candidates, key=_deadline))

    def _receive(self, connection: Connection, now: float) -> None:
        try:
            data = posix.read(connection.fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif not connection.discarding:
            partial = connection.buffer != b""
            connection.buffer += data
            self._serve(connection, now, partial=partial)

    def _serve(self, connection: Connection, now: float, *, partial: bool = False) -> None:
        """Answer what is in the buffer. `partial`: a request in it began in an earlier turn."""
        output = self._answers(connection, now)
        if output and not self._write(connection, output, now):
            return
        if len(output) >= OUTPUT_LIMIT and not connection.ending:
            self._expect(connection, EPOLLOUT, now + SLOW_SECONDS)  # go on when the others had their turn
        else:
            self._settle(connection, now, partial=partial and not output)

    def _answers(self, connection: Connection, now: float) -> bytes:
        """Return the next answers, until they are OUTPUT_LIMIT bytes; b"" if there is nothing to answer now."""
        output = b""
        listener = connection.listener
        while connection.buffer and connection.waiting is None and len(output) < OUTPUT_LIMIT:
            try:
                request = self._reader.read(connection.buffer)
                if request is None:
                    if not connection.continued and awaits_continue(connection.buffer):
                        connection.continued = True
                        output += CONTINUE
                    break
            except Malformed as error:
                connection.buffer = b""
                connection.ending = connection.discarding = True
                listener.count(error.status)
                return output + Response(error.status).encode(None, self._date_at(now))
            connection.buffer = connection.buffer[request.size :]
            connection.continued = False
            response = listener.respond(request, now)
            if response is None:
                connection.waiting = request
                break
            output += self._encode(connection, request, response, now)
        return output

    def _encode(self, connection: Connection, request: "Request", response: Response, now: float) -> bytes:
        connection.listener.count(response.status)
        if not request.keep_alive:
            connection.buffer = b""
            connection.ending = True
        return response.encode(request, self._date_at(now))

    def _answer_waiting(self, connection: Connection, response: Response, now: float) -> None:
        request = connection.waiting
        connection.waiting = None
        if request is not None and self._write(connection, self._encode(connection, request, response, now), now):
            self._serve(connection, now)

    def _write(self, connection: Connection, output: bytes, now: float) -> bool:
        """Send; False if not all of it was taken, then the rest goes out once the client reads."""
        try:
            sent = posix.write(connection.fd, output)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return False
        if sent == len(output):
            return True
        connection.output = output[sent:]
        self._expect(connection, EPOLLOUT, now + SLOW_SECONDS)
        return False

    def _flush(self, connection: Connection, now: float) -> None:
        output, connection.output = connection.output, b""
        if not output or self._write(connection, output, now):
            self._serve(connection, now)

    def _settle(self, connection: Connection, now: float, *, partial: bool) -> None:
        """Decide what comes next on a connection that has been answered as far as possible."""
        if connection.waiting is not None:
            self._expect(connection, 0, now + HOLD_SECONDS)
        elif connection.discarding:
            self._shut_down(connection)
            self._expect(connection, EPOLLIN, now + DISCARD_SECONDS)
        elif connection.ending:
            self._close(connection)
        elif connection.buffer:  # the time for one request runs from its first byte
            self._expect(connection, EPOLLIN, connection.deadline if partial else now + SLOW_SECONDS)
        else:
            self._expect(connection, EPOLLIN, now + IDLE_SECONDS)

    def _expect(self, connection: Connection, events: int, deadline: float) -> None:
        connection.deadline = deadline
        self._sweep_at = min(self._sweep_at, deadline)
        if events != connection.events:
            connection.events = events
            self._epoll.modify(connection.fd, events)

    def _sweep(self, now: float) -> None:
        """Answer the requests that have waited long enough, close the connections that are overdue."""
        for connection in [c for c in self._connections.values() if c.deadline <= now]:
            if connection.waiting is not None:
                self._answer_waiting(connection, connection.listener.late(), now)
            else:
                self._close(connection)
        self._sweep_at = min((c.deadline for c in self._connections.values()), default=FOREVER)

    def _shut_down(self, connection: Connection) -> None:
        """End our side; closing at once, with bytes unread, would reset the connection and lose the answer."""
        from _socket import socket  # noqa: PLC0415 - only this needs one

        socket_of_fd = socket(fileno=connection.fd)
        try:
            socket_of_fd.shutdown(SHUT_WR)
        except OSError:
            pass
        finally:
            socket_of_fd.detach()

    def _close(self, connection: Connection) -> None:
        del self._connections[connection.fd]
        connection.listener.connections.discard(connection)
        posix.close(connection.fd)
        if not self._connections:
            self._sweep_at = FOREVER

    def _date_at(self, now: float) -> bytes:
        second = int(now)
        if second != self._date_second:
            self._date_second = second
            self._date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second)).encode()
        return self._date


def _deadline(connection: Connection) -> float:
    return connection.deadline
