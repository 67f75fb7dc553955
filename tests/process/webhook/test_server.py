"""The HTTPS server as a peer meets it, over real TLS."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.webhook.running import admit, connect, exchange, pod, post, receive, review

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.webhook.fake_api import FakeApi
    from tests.support.webhook.running import Webhook

NAME = "injector.ns.svc"
REVIEW = json.dumps(review(pod())).encode()


def opened(webhook: Webhook, api: FakeApi) -> socket.socket:
    """Return a connection as the API server makes it."""
    return connect(webhook.port, api.trusted()[0], NAME)


def test_review(webhook: Webhook, api: FakeApi) -> None:
    """A labelled pod is answered with a patch; connections are kept, and many requests go over one."""
    with opened(webhook, api) as connection:
        answers = [admit(connection, pod(), uid=str(n)) for n in range(3)]

    assert [("0", True), ("1", True), ("2", True)] == [(each["uid"], each["allowed"]) for each in answers]
    assert 1 == len({each["patch"] for each in answers})


def test_names(webhook: Webhook, api: FakeApi) -> None:
    """The certificate is good for <svc>.<ns>.svc and <svc>.<ns>, for OpenSSL at its strictest."""
    for name in (NAME, "injector.ns"):
        connect(webhook.port, api.trusted()[0], name).close()


def test_curl(webhook: Webhook, api: FakeApi, tmp_path: Path) -> None:
    """A person with curl gets an answer, also for a body that curl announces first (Expect: 100-continue)."""
    (tmp_path / "ca").write_text(api.trusted()[0])
    big = review(pod(spec={"containers": [{"name": "app", "image": "x" * 1_500_000}]}))
    (tmp_path / "body").write_text(json.dumps(big))

    shown = subprocess.run(
        [
            "curl",
            "-sS",
            "--cacert",
            tmp_path / "ca",
            "--connect-to",
            f"{NAME}:443:127.0.0.1:{webhook.port}",
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            f"@{tmp_path / 'body'}",
            f"https://{NAME}/mutate",
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == shown.stderr
    assert json.loads(shown.stdout)["response"]["allowed"]


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (post(b"{"), 400, "the body is not JSON\n"),
        (post(b"[" * 100_000), 400, "the body is not JSON\n"),
        (post(b"{}"), 400, "the body is not an AdmissionReview of admission.k8s.io/v1 with a request\n"),
        (post(b"[" + b"[],[{}]," * 40_000 + b"0]"), 400, "the body holds more than 100000 objects and lists\n"),
        (b"nonsense\r\n\r\n", 400, "the request line is not METHOD TARGET HTTP/1.1\n"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "the request line is not METHOD TARGET HTTP/1.1\n"),
        (post(REVIEW, "/other"), 404, "no such path; reviews go to /mutate\n"),
        (b"GET /mutate HTTP/1.1\r\n\r\n", 405, "only POST\n"),
        (post(b"", extra="Transfer-Encoding: chunked\r\n"), 411, "Transfer-Encoding is not read\n"),
        (b"POST /mutate HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413, "takes more than 3145728 bytes\n"),
        (b"GET /" + b"x" * 20_000, 431, "headers take more than 16384 bytes\n"),
    ],
)
def test_bad_request(webhook: Webhook, api: FakeApi, request_: bytes, status: int, body: str) -> None:
    """Whatever a peer sends is answered with its status and one line, and the webhook goes on."""
    with opened(webhook, api) as connection:
        actual, _, text = exchange(connection, request_)

    assert status == actual
    assert text.decode().endswith(body)
    assert 1 == text.count(b"\n")
    with opened(webhook, api) as connection:
        assert admit(connection, pod())["allowed"]


def test_what_is_no_pod(webhook: Webhook, api: FakeApi) -> None:
    """A pod that no API server would send is answered by a line that names the field; the next one is admitted."""
    with opened(webhook, api) as connection:
        status, _, body = exchange(connection, post(json.dumps(review(pod(spec=[1]))).encode()))
        assert admit(connection, pod())["allowed"]

    assert (400, b"request.object.spec: Invalid value: [1]: must be an object\n") == (
        status,
        body,
    )


def test_oversized_body_is_answered_while_it_is_sent(webhook: Webhook, api: FakeApi) -> None:
    """A peer that sends a body too large gets its 413 even if it reads only after sending."""
    size = 4 * 1024 * 1024
    with opened(webhook, api) as connection:
        connection.sendall(f"POST /mutate HTTP/1.1\r\nContent-Length: {size}\r\n\r\n".encode())
        connection.sendall(b"x" * size)
        status, headers, _ = receive(connection)

    assert (413, "close") == (status, headers["connection"])


def test_largest_body(webhook: Webhook, api: FakeApi) -> None:
    """A body of exactly the limit is read."""
    with opened(webhook, api) as connection:
        status, _, _ = exchange(connection, post(REVIEW + b" " * (3 * 1024 * 1024 - len(REVIEW))))

    assert 200 == status


def test_pipelined_requests(webhook: Webhook, api: FakeApi) -> None:
    """Requests that come in one piece are answered in order, each once."""
    uids = [str(n) for n in range(50)]
    requests = b"".join(post(json.dumps(review(pod(), uid)).encode()) for uid in uids)
    with opened(webhook, api) as connection:
        connection.sendall(requests)
        answers = [json.loads(receive(connection)[2])["response"]["uid"] for _ in uids]

    assert uids == answers


def test_request_byte_by_byte(webhook: Webhook, api: FakeApi) -> None:
    """A request that comes in small pieces is answered as one in a whole."""
    with opened(webhook, api) as connection:
        for byte in post(REVIEW):
            connection.sendall(bytes([byte]))

        assert 200 == receive(connection)[0]


def test_concurrent_reviews(webhook: Webhook, api: FakeApi) -> None:
    """40 connections with 25 reviews each, all at once, get each its own answer."""
    bundle = api.trusted()[0]

    def ask(client: int) -> list[str]:
        with connect(webhook.port, bundle, NAME) as connection:
            return [admit(connection, pod(), f"{client}-{n}")["uid"] for n in range(25)]

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(40)))

    assert [[f"{client}-{n}" for n in range(25)] for client in range(40)] == answers


@pytest.mark.claim("S08")
def test_slow_peers_hold_nobody_up(webhook: Webhook, api: FakeApi) -> None:
    """Peers that stall in the handshake, in the head or in the body delay no one else, and are dropped in time."""
    stalled = [socket.create_connection(("127.0.0.1", webhook.port)) for _ in range(50)]
    half_head, half_body = opened(webhook, api), opened(webhook, api)
    half_head.sendall(b"POST /mutate HT")
    half_body.sendall(post(REVIEW)[:-10])
    dripping = opened(webhook, api)

    started = time.monotonic()
    dripped_seconds = concurrent.futures.ThreadPoolExecutor(1).submit(drip, dripping)
    with opened(webhook, api) as connection:
        assert admit(connection, pod())["allowed"]

    assert time.monotonic() - started < 2
    for each in (half_head, half_body, stalled[0]):
        each.settimeout(20)
        try:
            assert b"" == each.recv(1)
        except ConnectionResetError:
            continue
    for each in stalled:
        each.close()
    assert 20 > time.monotonic() - started > 8
    assert 20 > dripped_seconds.result(60) > 8


def drip(connection: socket.socket) -> float:
    """Send a byte of a request every half second; return after how long the connection was ended."""
    started = time.monotonic()
    with connection, contextlib.suppress(ConnectionError, BrokenPipeError):
        connection.settimeout(0.5)
        for byte in post(REVIEW)[:80]:
            connection.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                connection.recv(1)
                break
    return time.monotonic() - started


def test_pipelining_holds_nobody_up(webhook: Webhook, api: FakeApi) -> None:
    """Peers that ask 10,000 times at once, and read no answer, have one answered before others have their turn."""
    many = b"GET /mutate HTTP/1.1\r\n\r\n" * 10_000
    held = [opened(webhook, api) for _ in range(10)]
    with opened(webhook, api) as connection:
        for each in held:
            each.sendall(many)
        started = time.monotonic()
        assert admit(connection, pod())["allowed"]
        waited = time.monotonic() - started
        for each in held:
            each.close()

    assert waited < 1


@pytest.mark.claim("S08")
def test_peer_that_does_not_read(webhook: Webhook, api: FakeApi) -> None:
    """A peer that sends on and on and reads no answer is held up itself; memory does not grow with what it sends."""
    many = post(REVIEW) * 20_000
    with opened(webhook, api) as connection:
        taken = sent_until_held_up(connection, many)
    grown = peak_memory(webhook)

    assert taken < len(many)
    assert grown < 100
    with opened(webhook, api) as connection:
        assert admit(connection, pod())["allowed"]


def sent_until_held_up(connection: socket.socket, data: bytes) -> int:
    """Send until nothing is taken for three seconds; return how much was taken."""
    sent = 0
    connection.settimeout(3)
    with contextlib.suppress(TimeoutError):
        while sent < len(data):
            sent += connection.send(data[sent : sent + 65536])
    return sent


@pytest.mark.claim("S08")
def test_too_many_connections(webhook: Webhook, api: FakeApi) -> None:
    """Beyond 500 connections the one that never asked for anything makes room first; who asks is kept and answered."""
    bundle = api.trusted()[0]
    with connect(webhook.port, bundle, NAME) as asking:
        assert admit(asking, pod())["allowed"]
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            held = list(pool.map(lambda _: connect(webhook.port, bundle, NAME), range(600)))
        assert admit(asking, pod())["allowed"]
        with connect(webhook.port, bundle, NAME) as late:
            assert admit(late, pod())["allowed"]
    still = [each for each in held if is_open(each)]
    for each in held:
        each.close()

    assert 400 < len(still) < 500


def test_idle_connections_take_no_memory(webhook: Webhook, api: FakeApi) -> None:
    """Connections that are full of nothing, or have not even begun with TLS, take less than 20 MiB together."""
    bundle = api.trusted()[0]
    before = peak_memory(webhook)
    held: list[socket.socket] = [connect(webhook.port, bundle, NAME) for _ in range(400)]
    held += [socket.create_connection(("127.0.0.1", webhook.port)) for _ in range(1000)]
    assert is_answered(webhook, bundle)
    for each in held:
        each.close()

    assert peak_memory(webhook) - before < 20


def test_unfinished_bodies_take_no_memory(webhook: Webhook, api: FakeApi) -> None:
    """Bodies that never end are held up to 8 MiB in all; beyond that who has been sending longest is dropped."""
    bundle = api.trusted()[0]
    before = peak_memory(webhook)
    held = [opened(webhook, api) for _ in range(40)]
    for each in held:
        with contextlib.suppress(OSError):  # dropped while it sends
            each.sendall(b"POST /mutate HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 2_900_000)
    assert is_answered(webhook, bundle)
    for each in held:
        each.close()

    assert peak_memory(webhook) - before < 40


def test_health_port(webhook: Webhook) -> None:
    """The health port answers kubelet and Prometheus in plain HTTP, and never a review."""
    assert (200, "ok\n") == webhook.health("/readyz")
    assert (200, "ok\n") == webhook.health("/livez")
    assert 404 == webhook.health("/mutate")[0]
    status, metrics = webhook.health("/metrics")
    assert (200, True) == (status, "imds_emulator_webhook_ready 1\n" in metrics)


def is_open(connection: socket.socket) -> bool:
    """Tell whether the peer has kept a connection, on which nothing is to come."""
    connection.settimeout(0.05)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


def is_answered(webhook: Webhook, bundle: str) -> bool:
    """Tell whether a review gets through."""
    try:
        with connect(webhook.port, bundle, NAME) as connection:
            return bool(admit(connection, pod())["allowed"])
    except OSError:
        return False


def peak_memory(webhook: Webhook) -> int:
    """Return the largest resident memory of the process so far, MiB."""
    with open(f"/proc/{webhook.process.pid}/status") as file:  # noqa: PTH123 - of another process
        peak = next(line for line in file if line.startswith("VmHWM"))
    return int(peak.split()[1]) // 1024
