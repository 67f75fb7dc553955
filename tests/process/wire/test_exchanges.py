"""Exchanges with STS over real TLS: token, errors, proxy, authorities, time limits."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.wire.authority import make_authority
from tests.support.wire.process import CREDENTIALS, LIST, ROLE_ARN, Client, free_ports, run_first, wait_until
from tests.support.wire.stub_proxy import StubProxy
from tests.support.wire.stub_sts import Reply, StubSts, error, grant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire.fixtures import World
    from tests.support.wire.process import Emulator

GET = f"GET {CREDENTIALS} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def failure_of(emulator: Emulator) -> tuple[int, str, str]:
    """Return status, code and message of what a client gets for its credentials."""
    answer = emulator.get(CREDENTIALS)
    document = json.loads(answer.body)
    return answer.status, document["Code"], document["Message"]


def wait_for_failure(emulator: Emulator, code: str) -> tuple[int, str]:
    """Wait until an exchange failed with `code`; return status and message."""
    wait_until(lambda: f'sts_code="{code}"' in emulator.health("/metrics").body, code)
    status, found, message = failure_of(emulator)
    assert code == found
    return status, message


def test_stampede(world: World) -> None:
    """200 requests at the start, with STS answering after 300 ms, get 200 and one STS call's keys."""
    world.answer(lambda _: grant(after_seconds=0.3))
    emulator = world.start(AWS_WEB_IDENTITY_TOKEN_FILE=str(world.token_file) + ".late")
    clients = [Client(emulator.port) for _ in range(200)]
    wait_until(lambda: "TokenUnreadable" in emulator.log(), "waiting for the token")
    os.link(world.token_file, f"{world.token_file}.late")
    wait_until(lambda: world.sts.requests, "the exchange")
    for client in clients:
        client.send(GET)
    answers = [client.answer() for client in clients]
    for client in clients:
        client.close()

    assert {200} == {answer.status for answer in answers}
    assert 1 == len({answer.body for answer in answers})
    assert 1 == len(world.sts.requests)


def test_slow_sts_at_start(world: World) -> None:
    """Credentials wait 0.4 s and are then 503; the role list and the token answer at once."""
    released = threading.Event()

    def answer(_: dict[str, str]) -> Reply:
        released.wait(3)
        return grant()

    world.answer(answer)
    emulator = world.start()
    wait_until(lambda: world.sts.requests, "the exchange")
    taken = {}
    for method, path in (("GET", CREDENTIALS), ("GET", LIST), ("PUT", "/latest/api/token")):
        started = time.monotonic()
        status = emulator.get(path, method=method).status
        taken[path] = (status, time.monotonic() - started)
    released.set()
    wait_until(lambda: emulator.get(CREDENTIALS).status == 200, "credentials")

    assert [503, 200, 404] == [status for status, _ in taken.values()]
    assert 0.4 <= taken[CREDENTIALS][1] < 0.4 + 0.25
    assert taken[LIST][1] < 0.25
    assert taken["/latest/api/token"][1] < 0.25


def test_slow_sts_and_a_request_in_pieces(world: World) -> None:
    """A request that came in two pieces waits no longer than one that came whole."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        emulator = world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{silent.getsockname()[1]}")
        wait_until(emulator.children, "the child")
        client = Client(emulator.port)
        client.send(GET[:20])
        assert 200 == emulator.get(LIST).status  # the first piece was read
        started = time.monotonic()
        status = client.ask(GET[20:]).status
        taken = time.monotonic() - started
        client.close()

    assert (503, True) == (status, 0.4 <= taken < 1)


def test_role_and_session(world: World) -> None:
    """STS is asked once, unsigned, for the whole ARN in the pod's name; nothing else is asked."""
    world.start_ready()
    form, headers = world.sts.requests[0]

    assert {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE_ARN,
        "RoleSessionName": "team-a.app-0",
        "DurationSeconds": "3600",
        "WebIdentityToken": world.token_file.read_text(),
    } == form
    assert {"Host", "Content-Type", "Accept", "User-Agent", "Content-Length", "Connection"} == set(headers)


def test_token_is_read_anew(world: World, tmp_path: Path) -> None:
    """Each exchange reads the token again, through the symlinks that the kubelet swaps."""
    for name in ("a", "b"):
        (tmp_path / f"..{name}").mkdir()
        (tmp_path / f"..{name}" / "token").write_text(f"token-{name}\n")
    (tmp_path / "..data").symlink_to("..a")
    (tmp_path / "projected").symlink_to("..data/token")
    world.answer(lambda form: error(500, "InternalFailure", "") if form["WebIdentityToken"] == "token-a" else grant())
    emulator = world.start(AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "projected"))
    wait_until(lambda: world.sts.requests, "the first exchange")
    (tmp_path / "..data_tmp").symlink_to("..b")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    wait_until(lambda: emulator.health("/readyz").status == 200, "credentials")

    tokens = [form["WebIdentityToken"] for form, _ in world.sts.requests]
    assert ["token-a"] * (len(tokens) - 1) + ["token-b"] == tokens


def test_token_that_is_empty_at_first(world: World) -> None:
    """An empty token is not sent; it is read again soon."""
    token = world.token_file.read_text()
    world.token_file.write_text("")
    emulator = world.start()
    status, message = wait_for_failure(emulator, "TokenUnreadable")
    asked = len(world.sts.requests)
    world.token_file.write_text(token)
    wait_until(lambda: emulator.health("/readyz").status == 200, "credentials", 10)

    assert (503, f"{world.token_file} is empty", 0) == (status, message, asked)


def test_expired_token(world: World) -> None:
    """A token that has expired is read again and sent once more, at once."""
    token = world.token_file.read_text()
    world.token_file.write_text("old")

    def answer(form: dict[str, str]) -> Reply:
        world.token_file.write_text(token)
        return grant() if form["WebIdentityToken"] == token else error(400, "ExpiredTokenException", "Token expired")

    world.answer(answer)
    world.start_ready()

    assert ["old", token] == [form["WebIdentityToken"] for form, _ in world.sts.requests]


def test_identity_provider_errors_pass(world: World) -> None:
    """Transient errors about the token are tried again within seconds."""
    errors = [
        error(400, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider"),
        error(400, "IDPCommunicationError", "Your identity provider did not answer"),
    ]
    world.answer(lambda _: errors.pop(0) if errors else grant())
    emulator = world.start()
    wait_until(lambda: emulator.health("/readyz").status == 200, "credentials", 10)

    assert 3 == len(world.sts.requests)


def test_access_denied(world: World) -> None:
    """A refusal is 500 at once with its code, logged with the role, and not repeated for each client."""
    world.answer(lambda _: error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"))
    emulator = world.start()
    wait_for_failure(emulator, "AccessDenied")
    started = time.monotonic()
    answers = [failure_of(emulator) for _ in range(50)]
    taken = time.monotonic() - started

    expected = (500, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    assert [expected] * 50 == answers
    assert taken < 50 * 0.05
    assert 1 == len(world.sts.requests)
    assert "app-role" == emulator.get(LIST).body
    line = next(line for line in emulator.log().splitlines() if "exchange-failed" in line)
    for word in (
        "level=error",
        "sts_code=AccessDenied",
        "request_id=req-2",
        f"role={ROLE_ARN}",
        "namespace=team-a",
        "pod=app-0",
        "credentials=none",
    ):
        assert word in line


def test_refused_while_the_next_exchange_hangs(world: World) -> None:
    """After a refusal no client is held while STS is asked again: the refusal is told at once."""
    denied, hanging = error(403, "AccessDenied", "Not authorized"), Reply(503, "", after_seconds=3)
    world.answer(lambda _: denied if len(world.sts.requests) == 1 else hanging)
    emulator = world.start(main=run_first("import emulator.sidecar.credentials as c; c.SLOW_SECONDS = (1, 1)"))
    wait_for_failure(emulator, "AccessDenied")
    wait_until(emulator.children, "the second exchange")
    taken = []
    for _ in range(5):
        started = time.monotonic()
        assert (500, "AccessDenied") == failure_of(emulator)[:2]
        taken.append(time.monotonic() - started)

    assert emulator.children()
    assert min(taken) < 0.3  # others are held for 0.4 s


def test_duration_fallback(world: World) -> None:
    """A duration that the role does not allow falls back to an hour, with a warning."""
    message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    world.answer(lambda form: grant() if form["DurationSeconds"] == "3600" else error(400, "ValidationError", message))
    emulator = world.start_ready(IMDS_EMULATOR_DURATION_SECONDS="43200")

    assert ["43200", "3600"] == [form["DurationSeconds"] for form, _ in world.sts.requests]
    assert "level=warning event=shorter-sessions" in emulator.log()


def test_name_that_does_not_resolve(world: World) -> None:
    """A name that does not resolve ends nothing; clients fail fast meanwhile."""
    emulator = world.start(AWS_ENDPOINT_URL_STS="https://sts.invalid")
    status, message = wait_for_failure(emulator, "NameNotResolved")

    assert (503, True) == (status, message.startswith("sts.invalid: "))
    assert 200 == emulator.health("/livez").status


def test_sts_that_comes_late(world: World) -> None:
    """Within 5 s of the time that STS can be reached there are credentials."""
    port = free_ports(1)[0]
    emulator = world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{port}")
    wait_for_failure(emulator, "ConnectFailed")
    sts = StubSts(world.authority.certificate, world.authority.key, lambda _: grant(), port=port)
    wait_until(lambda: emulator.health("/readyz").status == 200, "credentials", 5.5)
    sts.close()


def test_sts_that_hangs(world: World) -> None:
    """An exchange ends within 5 s, and its child with it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        emulator = world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{silent.getsockname()[1]}")
        wait_until(lambda: 'sts_code="Timeout"' in emulator.health("/metrics").body, "the time limit", 8)
        taken = time.monotonic() - started

    assert taken < 5 + 1  # of starting


def test_child_that_does_not_end(world: World) -> None:
    """A child that keeps no time limit is killed, reaped, and another one tried."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        emulator = world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{silent.getsockname()[1]}")
        wait_until(emulator.children, "the child")
        child = emulator.children()[0]
        os.kill(child, signal.SIGSTOP)
        wait_until(lambda: 'sts_code="ExchangeDied"' in emulator.health("/metrics").body, "the kill", 8)

    assert child not in emulator.children()


def test_connection_closes_while_an_exchange_runs(world: World) -> None:
    """A client that was told `Connection: close` sees the end, though a child lives that was forked meanwhile."""
    later = {"Retry-After": "1"}
    world.answer(lambda _: Reply(503, "", headers=later))
    emulator = world.start()
    wait_until(lambda: "exchange-failed" in emulator.log(), "the first exchange")
    client = Client(emulator.port)
    client.socket.settimeout(1)
    client.ask(f"GET {LIST} HTTP/1.1\r\n\r\n".encode())  # so the server has it
    world.answer(lambda _: Reply(503, "", after_seconds=3, headers=later))
    wait_until(lambda: len(world.sts.requests) == 2, "the second exchange")
    client.ask(f"GET {LIST} HTTP/1.0\r\n\r\n".encode())

    assert client.is_ended()
    client.close()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, ""),
        Reply(200, "<html>hello</html>"),
        Reply(200, grant().body.replace("<AccessKeyId>ASIASTUB", "<AccessKeyId>")),
        Reply(403, "<html>denied</html>"),
        Reply(502, "Bad Gateway"),
    ],
)
def test_odd_answers(world: World, reply: Reply) -> None:
    """What STS would not say becomes a 503, never a 200 without keys."""
    world.answer(lambda _: reply)
    emulator = world.start()

    assert 503 == wait_for_failure(emulator, "BadAnswer")[0]


@pytest.mark.claim("S10")
def test_no_message_repeats_the_token(world: World) -> None:
    """An error that repeats the token reaches neither log nor client with it."""
    world.answer(lambda form: error(400, "ValidationError", f"Value '{form['WebIdentityToken']}' failed"))
    emulator = world.start()
    wait_for_failure(emulator, "ValidationError")

    assert world.token_file.read_text() not in emulator.log() + emulator.get(CREDENTIALS).body


@pytest.mark.claim("S41")
def test_unknown_authority(world: World, tmp_path: Path) -> None:
    """STS must show a certificate of an authority that is trusted."""
    other = make_authority(tmp_path, "localhost")
    emulator = world.start(AWS_CA_BUNDLE=str(other.ca))
    failure = wait_for_failure(emulator, "TlsFailed")

    assert (503, f"https://localhost:{world.sts.port}: unable to get local issuer certificate") == failure
    assert [] == world.sts.requests


@pytest.mark.claim("S41")
def test_other_name(world: World, tmp_path: Path) -> None:
    """STS must show a certificate for its name."""
    other = make_authority(tmp_path, "sts.example")
    sts = StubSts(other.certificate, other.key, lambda _: grant())
    emulator = world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{sts.port}", AWS_CA_BUNDLE=str(other.ca))
    status, message = wait_for_failure(emulator, "TlsFailed")
    sts.close()

    assert (503, True) == (status, "Hostname mismatch" in message)
    assert [] == sts.requests


def test_address_in_the_certificate(world: World) -> None:
    """An endpoint given by its address is verified by its address."""
    world.start_ready(AWS_ENDPOINT_URL_STS=f"https://127.0.0.1:{world.sts.port}")


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "No such file or directory"), ("hello", "does not contain a PEM certificate")]
)
def test_unreadable_bundle(world: World, tmp_path: Path, text: str | None, reason: str) -> None:
    """A bundle that can't be used is named."""
    bundle = tmp_path / "bundle.pem"
    if text is not None:
        bundle.write_text(text)
    emulator = world.start(AWS_CA_BUNDLE=str(bundle))
    status, message = wait_for_failure(emulator, "RootsUnreadable")

    assert (503, True, True) == (status, str(bundle) in message, reason in message)


@pytest.mark.claim("S41")
def test_proxy(world: World) -> None:
    """STS is reached through the proxy, with user and password; TLS is end to end."""
    proxy = StubProxy()
    world.start_ready(HTTPS_PROXY=f"http://me:p%40ss@127.0.0.1:{proxy.port}")
    proxy.close()

    assert [(f"CONNECT localhost:{world.sts.port} HTTP/1.1", "Basic bWU6cEBzcw==")] == proxy.seen


def test_no_proxy(world: World) -> None:
    """NO_PROXY leads past the proxy."""
    proxy = StubProxy()
    world.start_ready(https_proxy=f"http://127.0.0.1:{proxy.port}", no_proxy="169.254.169.254,localhost")
    proxy.close()

    assert [] == proxy.seen


@pytest.mark.claim("S10")
def test_proxy_that_refuses(world: World) -> None:
    """A proxy that refuses is named, without its password."""
    proxy = StubProxy(status="407 Proxy Authentication Required")
    emulator = world.start(HTTPS_PROXY=f"http://me:hidden@127.0.0.1:{proxy.port}")
    status, message = wait_for_failure(emulator, "ProxyFailed")
    proxy.close()

    refused = f"refused CONNECT localhost:{world.sts.port}: HTTP/1.1 407 Proxy Authentication Required"
    assert (503, f"proxy 127.0.0.1:{proxy.port} {refused}") == (status, message)
    assert "hidden" not in emulator.log()


@pytest.mark.parametrize("ahead_seconds", [-7200, 7200])
def test_clock_skew(world: World, ahead_seconds: int) -> None:
    """Where the node's clock is off, the document speaks the node's time and lives as long as STS meant.

    By how much it is off is logged.
    """
    world.answer(lambda _: grant(now=time.time() + ahead_seconds))
    emulator = world.start_ready()
    assert -ahead_seconds == pytest.approx(int(emulator.log().partition(" ahead_of_sts_seconds=")[2].split()[0]), abs=3)
    text = emulator.health("/metrics").body
    remaining = next(
        float(line.split()[1]) for line in text.splitlines() if line.startswith("imds_emulator_credentials")
    )

    assert 3500 < remaining <= 3601


def test_no_skew(world: World) -> None:
    """Clocks that agree are not mentioned."""
    emulator = world.start_ready()

    assert "clock-skew" not in emulator.log()


def test_skew_without_a_date(world: World) -> None:
    """Where STS does not tell its time, credentials that seem to end soon are served, and asked for once a minute."""
    world.answer(lambda _: Reply(200, grant(life_seconds=5).body))
    emulator = world.start_ready()
    time.sleep(3)  # at half of their life they would be refreshed

    assert 1 == len(world.sts.requests)
    assert "event=clock-skew" in emulator.log()
    assert 'known="by the expiration alone"' in emulator.log()


def test_retry_after(world: World) -> None:
    """No call is made before the time that STS asked for, and the credentials in hand are served meanwhile."""
    started: list[float] = []

    def answer(_: dict[str, str]) -> Reply:
        started.append(time.monotonic())
        return Reply(429, "", headers={"Retry-After": "3"}) if len(started) == 2 else grant(life_seconds=10)

    world.answer(answer)
    emulator = world.start_ready()
    while len(started) < 3:
        assert 200 == emulator.get(CREDENTIALS).status
        time.sleep(0.05)

    assert 3 <= started[2] - started[1] < 5


def test_long_token(world: World) -> None:
    """A session token of 4096 characters reaches the client as STS gave it."""
    token = "A+/=" * 1024
    world.answer(lambda _: Reply(200, grant().body.replace("token/ASIASTUB==", token)))
    emulator = world.start_ready()

    assert token == json.loads(emulator.get(CREDENTIALS).body)["Token"]


def test_insecure_endpoint(world: World) -> None:
    """Where it is allowed, STS is asked without TLS, past any proxy, and the log says so."""
    sts = StubSts(None, None, lambda _: grant("ASIAPLAIN"))
    emulator = world.start_ready(
        AWS_ENDPOINT_URL_STS=f"http://localhost:{sts.port}",
        IMDS_EMULATOR_ALLOW_INSECURE_ENDPOINT="true",
        HTTPS_PROXY="http://127.0.0.1:1",
    )
    sts.close()

    assert "ASIAPLAIN" == json.loads(emulator.get(CREDENTIALS).body)["AccessKeyId"]
    assert f"localhost:{sts.port}" == sts.requests[0][1]["Host"]
    warning = next(line for line in emulator.log().splitlines() if "event=insecure-endpoint" in line)
    assert "level=warning" in warning
    assert f"http://localhost:{sts.port} unencrypted" in warning


def test_short_sessions(world: World) -> None:
    """Sessions so short that old SDKs ask at every call are warned of at the start."""
    warned = ["short-sessions" in world.start(IMDS_EMULATOR_DURATION_SECONDS=text).log() for text in ("1799", "1800")]

    assert [True, False] == warned


def test_session_policies(world: World) -> None:
    """Session policies are sent as STS takes them."""
    world.start_ready(IMDS_EMULATOR_SESSION_POLICIES="arn:aws:iam::aws:policy/A,arn:aws:iam::123456789012:policy/b/C")
    form, _ = world.sts.requests[0]

    assert ["arn:aws:iam::aws:policy/A", "arn:aws:iam::123456789012:policy/b/C"] == [
        form[f"PolicyArns.member.{number}.arn"] for number in (1, 2)
    ]
