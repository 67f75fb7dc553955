"""Who is let in, and who must go: the server's sockets, a turn at a time."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from emulator.sidecar.conversation import Answering
from emulator.sidecar.server import Listener, Server
from emulator.sidecar.wire import Request, Response
from tests.support.wire.process import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET / HTTP/1.1\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\n\r\n"
OK = Response(200, "ok")
LIMIT = 3


class Door:
    """A server that holds LIMIT connections; its clock stands still, and it moves by `turn` alone."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0)
        self._server = Server(lambda: 0.0)
        self._released = False
        self._server.listen(Listener(self._socket, Answering(self._respond, lambda: OK, lambda _: None), LIMIT))
        self.clients: list[Client] = []

    def enter(self, first: bytes = b"") -> Client:
        """Connect a client and let it send its first bytes."""
        client = Client(self._socket.getsockname()[1])
        client.socket.settimeout(0.2)
        client.send(first)
        self.clients.append(client)
        return client

    def turn(self) -> None:
        """Do all that there is to do now."""
        self._server.turn(lambda now: now)

    def release(self) -> None:
        """Answer those who wait."""
        self._released = True
        self._server.release(0.0)

    def _respond(self, request: Request, _: float) -> Response | None:
        return OK if self._released or request.segments != ("wait",) else None

    def close(self) -> None:
        """Close what was opened."""
        for client in self.clients:
            client.close()
        self._socket.close()


@pytest.fixture
def door() -> Iterator[Door]:
    """Return a server of this test's own."""
    door = Door()
    yield door
    door.close()


def test_who_waits_for_an_answer_is_not_thrown_out(door: Door) -> None:
    """One connection too many ends none whose answer is still to come, be it the oldest."""
    waiting = door.enter(WAIT)
    door.turn()
    idle = [door.enter() for _ in range(LIMIT)]
    door.turn()
    door.release()

    assert 200 == waiting.answer().status
    assert [True] + [False] * (LIMIT - 1) == [client.is_ended() for client in idle]


def test_all_are_taken_at_once(door: Door) -> None:
    """However many connections have come, one turn takes them all: none waits for the turns of the others' requests."""
    clients = [door.enter(GET) for _ in range(LIMIT)]
    door.turn()

    assert [200] * LIMIT == [client.answer().status for client in clients]


def test_the_longest_idle_makes_room(door: Door) -> None:
    """One connection too many ends the one that has been idle longest."""
    clients = [door.enter() for _ in range(LIMIT + 1)]
    door.turn()

    assert [True] + [False] * LIMIT == [client.is_ended() for client in clients]


def test_a_request_under_way_outlives_the_idle(door: Door) -> None:
    """A client whose request comes in two pieces keeps its place when others crowd in between."""
    door.enter()
    door.turn()
    client = door.enter(GET[:5])
    door.turn()
    for _ in range(LIMIT - 1):
        door.enter()
    door.turn()

    client.send(GET[5:])
    door.turn()

    assert 200 == client.answer().status


def test_an_answer_makes_young(door: Door) -> None:
    """A connection that was just used is not the one that must go."""
    used, *_ = [door.enter() for _ in range(LIMIT)]
    door.turn()
    used.send(GET)
    door.turn()
    used.answer()
    door.enter()
    door.turn()

    assert not used.is_ended()


def test_dripping_makes_no_younger(door: Door) -> None:
    """A request that grows by a byte now and then counts from its first byte."""
    dripping = door.enter(b"G")
    door.turn()
    for _ in range(LIMIT - 1):
        door.enter()
    door.turn()
    dripping.send(b"E")
    door.turn()
    door.enter()
    door.turn()

    assert dripping.is_ended()


def test_who_made_room_is_forgotten(door: Door) -> None:
    """The kernel does not keep for a client that was thrown out what it did not take: that is memory of ours."""
    deaf = door.enter(GET)
    door.turn()
    for _ in range(LIMIT):
        door.enter()
    door.turn()

    assert deaf.answer().body == "ok"
    with pytest.raises(ConnectionResetError):
        deaf.socket.recv(1)
