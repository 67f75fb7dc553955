"""Listeners and their connections: one thread, one epoll, bounded in memory and in time.

What the bytes say is decided in `conversation`.
"""

# `_socket` is the C module under `socket`, which would cost 1.4 MB in each pod. A connection is a plain file
# descriptor, read and written by `posix`: 0.3 KB each. `_accept` is what `socket.accept` itself calls.

import posix
from select import EPOLLIN, EPOLLOUT, epoll

from emulator.sidecar.conversation import ENDING, OUTPUT_LIMIT, READING, REFUSED, WAITING, Answering, Conversation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable

READ_SIZE = 8192
HOLD_SECONDS = 0.4  # a request waits at most so long; the shortest client (aws-sdk-go-v2) gives 0.5 s
IDLE_SECONDS = 60  # between requests
SLOW_SECONDS = 10  # for a request to come whole, and for an answer to be taken
DISCARD_SECONDS = 2  # for the rest of a request that was refused
EVENTS_AT_ONCE = 64
ACCEPTS_AT_ONCE = 128  # in each round of those who are connected, lest newcomers queue until the kernel drops them
LINGER_NOT = b"\1\1\1\1\0\0\0\0"  # struct linger: on, for no second (socket(7)); in either order of bytes
# Of a connection alone, beside the states of its conversation.
SENDING = 5  # answers that its client has not taken yet, or that are made when the others had their turn
IDLE = 6  # between two requests
# State -> what of epoll is awaited, and for how long at most.
AWAITED = {
    IDLE: (EPOLLIN, IDLE_SECONDS),
    READING: (EPOLLIN, SLOW_SECONDS),
    WAITING: (0, HOLD_SECONDS),
    SENDING: (EPOLLOUT, SLOW_SECONDS),
    REFUSED: (EPOLLIN, DISCARD_SECONDS),
}
UNKNOWN = -1  # of a connection's events: epoll does not know it yet
FOREVER = float("inf")


class Listener:
    """A listening socket, who answers on it, and the connections it holds, up to `limit`.

    They are in the order in which they came to wait for what they wait for, the latest last.
    """

    __slots__ = ("answering", "connections", "limit", "socket")

    def __init__(self, socket: "socket", answering: Answering, limit: int) -> None:
        self.socket = socket
        self.answering = answering
        self.limit = limit
        self.connections: dict[Connection, None] = {}


class Connection(Conversation):
    """A conversation on a descriptor: what it did not take yet, what is awaited of it (`events`), and how long."""

    __slots__ = ("deadline", "events", "fd", "listener", "output")

    def __init__(self, fd: int, listener: Listener, deadline: float) -> None:
        super().__init__(listener.answering)
        self.fd = fd
        self.listener = listener
        self.deadline = deadline
        self.events = UNKNOWN
        self.output = b""


class Server:
    """Serves all listeners from one thread. With no client and no timer it sleeps: no wake-ups.

    `wake_at`: when `run`'s `tick` is to be called next.
    """

    __slots__ = ("_clock", "_connections", "_epoll", "_listeners", "_now", "_sweep_at", "_watched", "wake_at")

    def __init__(self, clock: "Callable[[], float]") -> None:
        self._clock = clock
        self._now = clock()
        self._epoll = epoll()
        self._listeners: list[Listener] = []
        self._connections: dict[int, Connection] = {}
        self._watched: dict[int, Callable[[float], None]] = {}
        self._sweep_at = FOREVER  # no deadline of a connection is earlier
        self.wake_at = self._now

    def listen(self, listener: Listener) -> None:
        """Take connections from a socket that listens already."""
        self._listeners.append(listener)
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
        """Wait for events, do what is due, answer."""
        until = min(self.wake_at, self._sweep_at)
        # The wait does not count the time that the machine sleeps. What falls due then is done at the next event
        # (a request, the kubelet's probe), and before it is answered.
        events = self._epoll.poll(None if until == FOREVER else max(until - self._now, 0), EVENTS_AT_ONCE)
        self._now = now = self._clock()
        if now >= self.wake_at:
            self.wake_at = tick(now)
        if now >= self._sweep_at:
            self._sweep(now)
        for fd, _ in events:
            connection = self._connections.get(fd)
            if connection is None:
                call = self._watched.get(fd)
                if call is not None:
                    call(now)
            elif connection.events == EPOLLIN:
                self._receive(connection, now)
            elif connection.events == EPOLLOUT:
                self._flush(connection, now)
            else:
                self._close(connection)  # no event was asked for: the client is gone

    def release(self, now: float) -> None:
        """Ask again for the answers that requests are waiting for."""
        for connection in [c for c in self._connections.values() if c.state == WAITING]:
            request = connection.waiting
            response = None if request is None else connection.answering.respond(request, now)
            if response is not None:
                self._send(connection, connection.answer_waiting(response, now), now)

    def make_room(self) -> None:
        """Close a connection where there are most, since descriptors or memory are wanting."""
        self._evict(max(self._listeners, key=_size))

    def _accept(self, listener: Listener, now: float) -> None:
        """Take the connections that have come."""
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                fd, _ = listener.socket._accept()  # type: ignore[attr-defined] # noqa: SLF001 - see the top
            except BlockingIOError:
                return
            except OSError:
                self.make_room()
                return
            if len(listener.connections) >= listener.limit and not self._evict(listener):
                posix.close(fd)
                return
            posix.set_blocking(fd, False)
            connection = Connection(fd, listener, now + IDLE_SECONDS)
            self._connections[fd] = connection
            listener.connections[connection] = None
            self._receive(connection, now)  # most requests are there by now; some connections end unknown to epoll

    def _evict(self, listener: Listener) -> bool:
        """Close the connection that has waited for its client longest; one whose client waits for us, never."""
        for connection in listener.connections:
            if connection.state != WAITING:
                self._abandon(connection)
                return True
        return False

    def _receive(self, connection: Connection, now: float) -> None:
        try:
            data = posix.read(connection.fd, READ_SIZE)
        except BlockingIOError:
            self._await(connection, EPOLLIN, connection.deadline)
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif connection.state != REFUSED:
            begun = connection.buffer != b""
            output = connection.feed(data, now)
            if output or connection.state == WAITING or not begun:  # else the time runs on from its first byte
                self._send(connection, output, now)

    def _send(self, connection: Connection, output: bytes, now: float) -> None:
        """Send answers; what the client does not take goes out once it reads."""
        try:
            sent = posix.write(connection.fd, output) if output else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        connection.output = output[sent:]
        state = connection.state
        if connection.output or (connection.buffer and len(output) >= OUTPUT_LIMIT):
            state = SENDING
        elif state == ENDING:
            self._close(connection)
            return
        elif state == REFUSED:
            _shut_down(connection.fd)
        elif state != WAITING:
            state = READING if connection.buffer else IDLE
        events, seconds = AWAITED[state]
        self._await(connection, events, now + seconds)

    def _flush(self, connection: Connection, now: float) -> None:
        """Send the rest of the output, else the answers to what the client has sent besides."""
        self._send(connection, connection.output or connection.answers(now), now)

    def _await(self, connection: Connection, events: int, deadline: float) -> None:
        connection.deadline = deadline
        connections = connection.listener.connections
        del connections[connection]
        connections[connection] = None
        if deadline < self._sweep_at:  # noqa: PLR1730 - `min` takes three times as long
            self._sweep_at = deadline
        if events != connection.events:
            change = self._epoll.register if connection.events == UNKNOWN else self._epoll.modify
            change(connection.fd, events)
            connection.events = events

    def _sweep(self, now: float) -> None:
        """Answer the requests that have waited long enough, close the connections that are overdue."""
        for connection in [c for c in self._connections.values() if c.deadline <= now]:
            if connection.state == WAITING and not connection.output:
                self._send(connection, connection.answer_waiting(connection.answering.late(), now), now)
            elif connection.events == EPOLLOUT:
                self._abandon(connection)
            else:
                self._close(connection)
        self._sweep_at = min((c.deadline for c in self._connections.values()), default=FOREVER)

    def _abandon(self, connection: Connection) -> None:
        """Close, and throw away what the client did not take: the kernel would keep it for minutes, as our memory."""
        _forget_on_close(connection.fd)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        del self._connections[connection.fd]
        del connection.listener.connections[connection]
        posix.close(connection.fd)
        if not self._connections:
            self._sweep_at = FOREVER


def _size(listener: Listener) -> int:
    return len(listener.connections)


def _shut_down(fd: int) -> None:
    """End our side; closing at once, with bytes unread, would reset the connection and lose the answer."""
    from _socket import SHUT_WR, socket  # noqa: PLC0415 - only this needs one

    socket_of_fd = socket(fileno=fd)
    try:
        socket_of_fd.shutdown(SHUT_WR)
    except OSError:
        pass  # the client is gone
    finally:
        socket_of_fd.detach()


def _forget_on_close(fd: int) -> None:
    from _socket import SO_LINGER, SOL_SOCKET, socket  # noqa: PLC0415 - likewise

    socket_of_fd = socket(fileno=fd)
    socket_of_fd.setsockopt(SOL_SOCKET, SO_LINGER, LINGER_NOT)
    socket_of_fd.detach()
