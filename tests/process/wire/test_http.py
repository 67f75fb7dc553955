"""The wire as clients of fifteen years use it, against a running emulator. R numbers are those of the requirements."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.wire.process import CREDENTIALS, LIST, Client, ask, connect, wait_until

if TYPE_CHECKING:
    from tests.support.wire.process import Emulator

GET_LIST = f"GET {LIST} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n".encode()
FAST_SECONDS = 0.25  # the longest that a client may wait; the median of many is far below


def test_every_answer_says_ec2(shared: Emulator) -> None:
    """Server, Date and Content-Length are on every answer, and nothing is chunked or compressed."""
    for path in (LIST, CREDENTIALS, LIST + "other", "/latest", "/", "/latest/api/token"):
        answer = shared.get(path, headers={"Accept-Encoding": "gzip"})

        assert ["EC2ws", True] == [answer.headers["server"], answer.headers["date"].endswith(" GMT")]
        assert {"server", "date", "content-type", "content-length"} == set(answer.headers)


def test_keep_alive(shared: Emulator) -> None:
    """Role list, token and credentials go over one connection, errors between them."""
    with connect(shared.port) as client:
        statuses = [
            client.ask(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).status
            for method, path in (("PUT", "/latest/api/token"), ("GET", LIST), ("GET", "/x"), ("GET", CREDENTIALS))
        ]

    assert [404, 200, 404, 200] == statuses


def test_pipelining(shared: Emulator) -> None:
    """Requests sent at once are answered in their order."""
    requests = b"".join(f"GET {path} HTTP/1.1\r\n\r\n".encode() for path in (LIST, "/x", "/", LIST))
    with connect(shared.port) as client:
        client.send(requests)
        answers = [client.answer() for _ in range(4)]

    assert [(200, "app-role"), (404, "not found"), (200, "latest"), (200, "app-role")] == [
        (answer.status, answer.body) for answer in answers
    ]


def test_many_pipelined_requests(shared: Emulator) -> None:
    """More requests at once than one answer has room for are all answered."""
    with connect(shared.port) as client:
        sender = threading.Thread(target=client.send, args=(GET_LIST * 3000,))
        sender.start()
        answers = [client.answer().body for _ in range(3000)]
        sender.join()

    assert ["app-role"] * 3000 == answers


@pytest.mark.parametrize(
    ("request_bytes", "connection"),
    [
        (f"GET {LIST} HTTP/1.0\r\n\r\n", "close"),
        (f"GET {LIST} HTTP/1.1\r\nConnection: close\r\n\r\n", "close"),
    ],
)
def test_connection_ends(shared: Emulator, request_bytes: str, connection: str) -> None:
    """HTTP/1.0, and a client that asks for it, gets its answer and then the end of the connection."""
    with connect(shared.port) as client:
        answer = client.ask(request_bytes.encode())

        assert (200, connection, "app-role") == (answer.status, answer.headers["connection"], answer.body)
        assert client.is_ended()


def test_http_1_0_keep_alive(shared: Emulator) -> None:
    """HTTP/1.0 with Connection: keep-alive keeps its connection."""
    request = f"GET {LIST} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n".encode()
    with connect(shared.port) as client:
        answers = [client.ask(request) for _ in range(3)]

    assert [(200, "keep-alive")] * 3 == [(answer.status, answer.headers["connection"]) for answer in answers]


def test_head(shared: Emulator) -> None:
    """HEAD has GET's headers, no body, and the connection goes on."""
    request = GET_LIST.replace(b"GET", b"HEAD")
    with connect(shared.port) as client:
        head, get = client.ask(request, method="HEAD"), client.ask(GET_LIST)

    assert {**get.headers, "date": ""} == {**head.headers, "date": ""}
    assert "app-role" == get.body


def test_expect_continue_with_chunked_put(shared: Emulator) -> None:
    """S3fs's PUT is told to go on, read to its end, answered 404, and the next request is understood."""
    put = b"PUT /latest/api/token HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(shared.port) as client:
        go_on = client.ask(put)
        answer = client.ask(b"0\r\n\r\n")
        after = client.ask(GET_LIST)

    assert [100, 404, 200] == [go_on.status, answer.status, after.status]


def test_put_without_length(shared: Emulator) -> None:
    """A PUT without a word about its body is answered at once, and the next request is understood."""
    with connect(shared.port) as client:
        statuses = [client.ask(b"PUT /latest/api/token HTTP/1.1\r\n\r\n").status, client.ask(GET_LIST).status]

    assert [404, 200] == statuses


def test_body_is_read_past(shared: Emulator) -> None:
    """A body that nobody wants is not taken for the next request."""
    with connect(shared.port) as client:
        body = b"GET / HTTP/1.1\r\n\r\n"
        put = b"PUT /latest/api/token HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        statuses = [client.ask(put + body).status, client.ask(GET_LIST).status]

    assert [404, 200] == statuses


@pytest.mark.parametrize(
    "request_text",
    [
        f"GET http://169.254.169.254{LIST} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
        f"GET {LIST} HTTP/1.1\r\nHost: whatever:1\r\n\r\n",
        f"GET {LIST} HTTP/1.1\r\n\r\n",
        f"GET {LIST} HTTP/1.1\nHost: x\n\n",
        f"\r\n\r\nGET {LIST} HTTP/1.1\r\n\r\n",
        f"GET {LIST} HTTP/1.1\r\nX-aws-ec2-metadata-token: <html>\nnot found</html>\r\n\r\n",
        f"GET {LIST} HTTP/1.1\r\nX-aws-ec2-metadata-token:\r\n\r\n",
    ],
)
def test_odd_requests(shared: Emulator, request_text: str) -> None:
    """Absolute form, any host, bare line feeds, empty lines, tokens of any kind are taken."""
    with connect(shared.port) as client:
        answer = client.ask(request_text.encode())

    assert (200, "app-role") == (answer.status, answer.body)


def test_byte_by_byte(shared: Emulator) -> None:
    """A request in as many segments as it has bytes is one request."""
    with connect(shared.port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GET_LIST:
            client.send(bytes([byte]))

        assert "app-role" == client.answer().body


def test_half_closed(shared: Emulator) -> None:
    """A client that has said all it has to say still gets its answer."""
    with connect(shared.port) as client:
        client.send(GET_LIST)
        client.socket.shutdown(socket.SHUT_WR)

        assert "app-role" == client.answer().body
        assert client.is_ended()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n", 413),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + b"x" * 30_000, 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
    ],
)
def test_refused_requests(shared: Emulator, data: bytes, status: int) -> None:
    """What can't be served gets an answer, and then the end of the connection."""
    with connect(shared.port) as client:
        answer = client.ask(data)

        assert (status, "close", "EC2ws") == (answer.status, answer.headers["connection"], answer.headers["server"])
        client.socket.shutdown(socket.SHUT_WR)
        assert client.is_ended()


def test_ipv6(shared: Emulator) -> None:
    """Where the pod has IPv6, the credential port is on ::1 too, and the health port on all addresses."""
    if not _has_ipv6():
        pytest.skip("no ::1 here")

    assert "app-role" == ask(shared.port, LIST, host="::1").body
    assert 200 == ask(shared.health_port, "/livez", host="::1").status


@pytest.mark.claim("S01", "S03")
def test_credentials_on_loopback_only(shared: Emulator) -> None:
    """The credential port is not to be reached from outside the pod."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")

    with pytest.raises(ConnectionRefusedError):
        ask(shared.port, LIST, host=address)
    assert 404 == ask(shared.health_port, LIST, host=address).status


def test_twenty_parallel_clients(shared: Emulator) -> None:
    """With 20 clients at once, 99 of 100 answers take less than 50 ms, none more than 250 ms.

    The best of some rounds counts: what the machine does besides is not the emulator's.
    """
    rounds: list[float] = []
    while not rounds or (min(rounds) > 0.050 and len(rounds) < 10):
        taken = sorted(_parallel(shared.port, clients=20, requests=25))
        assert taken[-1] < FAST_SECONDS or len(rounds) < 9
        rounds.append(taken[int(len(taken) * 0.99)])

    assert min(rounds) <= 0.050


def _parallel(port: int, clients: int, requests: int) -> list[float]:
    """Return how long each of the requests took, made by so many clients in turn, all of which wait at a time."""
    connections = [Client(port) for _ in range(clients)]
    request = f"GET {CREDENTIALS} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    taken = []
    for _ in range(requests):
        started = time.monotonic()
        for client in connections:
            client.send(request)
        for client in connections:
            assert 200 == client.answer().status
            taken.append(time.monotonic() - started)
    for client in connections:
        client.close()
    return taken


def _quickest_answer(port: int) -> float:
    """Return how long the quickest of five new clients waited."""
    taken = []
    for _ in range(5):
        started = time.monotonic()
        assert "app-role" == ask(port, LIST).body
        taken.append(time.monotonic() - started)
    return min(taken)


@pytest.mark.claim("S08")
def test_slow_clients_starve_nobody(shared: Emulator) -> None:
    """With more half-said requests open than there is room for, others are answered within 250 ms."""
    slow = []
    for _ in range(600):
        client = Client(shared.port)
        client.send(b"GET /latest/")
        slow.append(client)
    taken = _quickest_answer(shared.port)
    for client in slow:
        client.close()

    assert taken < FAST_SECONDS


@pytest.mark.claim("S08")
def test_a_client_that_does_not_read_starves_nobody(shared: Emulator) -> None:
    """Answers that nobody takes are not piled up, and others are answered within 250 ms."""
    before = _private_bytes(shared)
    deaf = []
    for _ in range(20):
        client = Client(shared.port)
        client.socket.setblocking(False)  # noqa: FBT003 - positional only
        try:
            while True:
                client.socket.send(GET_LIST * 500)
        except BlockingIOError:
            deaf.append(client)
    taken = _quickest_answer(shared.port)
    grown = _private_bytes(shared) - before
    for client in deaf:
        client.close()

    assert taken < FAST_SECONDS
    assert grown < 2 << 20


@pytest.mark.claim("S08")
def test_large_requests_take_no_memory(shared: Emulator) -> None:
    """A request that never ends is refused at its limit; nothing of it is kept."""
    before = _private_bytes(shared)
    for _ in range(50):
        with connect(shared.port) as client:
            assert 431 == client.ask(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000).status

    assert _private_bytes(shared) - before < 1 << 20


@pytest.mark.claim("S08")
def test_many_health_connections_take_none_from_the_app(shared: Emulator) -> None:
    """Connections from outside the pod, which reach the health port alone, are few at a time."""
    clients = [Client(shared.health_port) for _ in range(100)]
    wait_until(lambda: 200 == shared.health("/livez").status, "alive")
    open_now = len(list(Path(f"/proc/{shared.process.pid}/fd").iterdir()))
    for client in clients:
        client.close()

    assert open_now < 60


@pytest.mark.claim("S07")
def test_v2_over_one_connection(shared_v2: Emulator) -> None:
    """PUT a token, list, read: as an SDK does it where IMDSv2 is needed."""
    ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\nContent-Length: 0\r\n"
    with connect(shared_v2.port) as client:
        refused = client.ask(GET_LIST)
        token = client.ask(f"PUT /latest/api/token HTTP/1.1\r\n{ttl}\r\n".encode()).body
        header = f"X-aws-ec2-metadata-token: {token}\r\n"
        listed = client.ask(f"GET {LIST} HTTP/1.1\r\n{header}\r\n".encode())
        read = client.ask(f"GET {CREDENTIALS} HTTP/1.1\r\n{header}\r\n".encode())

    assert [401, "app-role", 200] == [refused.status, listed.body, read.status]


def _private_bytes(emulator: Emulator) -> int:
    lines = Path(f"/proc/{emulator.process.pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty"))


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
