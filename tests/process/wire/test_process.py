"""The emulator as a process: what it loads, how it starts, idles and ends."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emulator.sidecar import serve
from tests.support.wire.process import CREDENTIALS, LIST, MAIN, Client, run_first, wait_until
from tests.support.wire.stub_sts import Reply, error, grant

if TYPE_CHECKING:
    from tests.support.wire.fixtures import World

HEAVY = {"asyncio", "dataclasses", "enum", "json", "logging", "os", "re", "socket", "ssl", "threading", "typing"}
START_ONLY = {"emulator.arn", "emulator.names", "emulator.partitions", "emulator.settings", "emulator.sidecar.sockets"}
CHILD_ONLY = {
    "_ssl",
    "emulator.cores",
    "emulator.sidecar.fetch",
    "emulator.sidecar.proxy",
    "emulator.sidecar.sts",
    "emulator.sidecar.tls_client",
    "resource",
}
ASKED_FOR_ONLY = {"emulator.sidecar.exposition", "emulator.sidecar.imds_tokens"}


def test_what_is_loaded(world: World) -> None:
    """The server's process loads no TLS and no large library, and keeps nothing that only the start needs."""
    emulator = world.start_ready()
    assert 200 == emulator.get(CREDENTIALS).status
    emulator.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "modules: " in emulator.log(), "the list of modules")
    loaded = set(emulator.log().partition("modules: ")[2].split("\n")[0].split())

    assert {"emulator.sidecar.sidecar", "emulator.sidecar.server"} <= loaded
    assert set() == loaded & (HEAVY | START_ONLY | CHILD_ONLY | ASKED_FOR_ONLY)


def test_libraries(world: World) -> None:
    """OpenSSL is not mapped into the server's process, after an exchange neither."""
    emulator = world.start_ready()
    mapped = Path(f"/proc/{emulator.process.pid}/maps").read_text()

    assert "libpython" in mapped or "/python3" in mapped
    assert "libssl" not in mapped
    assert "libcrypto" not in mapped


def test_idle(world: World) -> None:
    """With credentials and no client it is one thread, sleeps, and holds no child and few descriptors."""
    emulator = world.start_ready()
    wait_until(lambda: not emulator.children(), "the child's end")
    status = Path(f"/proc/{emulator.process.pid}/status")
    # Standard streams, three listeners, epoll: the last client is gone.
    wait_until(lambda: len(list(Path(f"/proc/{emulator.process.pid}/fd").iterdir())) <= 7, "seven descriptors")
    before = [line for line in status.read_text().splitlines() if line.startswith(("Threads", "voluntary"))]
    time.sleep(3)  # the time in which nothing happens is what is tested

    assert before == [line for line in status.read_text().splitlines() if line.startswith(("Threads", "voluntary"))]
    assert "Threads:\t1" == before[0]


@pytest.mark.claim("S10")
def test_start(world: World) -> None:
    """It says what it serves, and each change of its credentials, in a line each; never a key or a token."""
    emulator = world.start_ready()
    emulator.end()
    events = [line.split(" event=")[1].split(" ")[0] for line in emulator.log().splitlines()]

    assert ["started", "credentials", "stopped"] == events
    for secret in ("secret/", "token/", "ASIASTUB", world.token_file.read_text()):
        assert secret not in emulator.log()


def test_startup_gate(world: World) -> None:
    """The startup probe passes with the first credentials, with STS answering in 2 s."""
    world.answer(lambda _: grant(after_seconds=2))
    emulator = world.start()
    assert [503, 503] == [emulator.health(path).status for path in ("/startupz", "/readyz")]
    wait_until(lambda: emulator.health("/startupz").status == 200, "startup")

    assert 200 == emulator.get(CREDENTIALS).status


def test_startup_gate_without_sts(world: World) -> None:
    """With STS down the startup probe passes after the bounded wait; the pod is not ready."""
    world.answer(lambda _: error(503, "ServiceUnavailable", "down"))
    emulator = world.start(IMDS_EMULATOR_STARTUP_SECONDS="1")
    wait_until(lambda: emulator.health("/startupz").status == 200, "startup", 5)

    assert [503, 200] == [emulator.health(path).status for path in ("/readyz", "/livez")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end(world: World, number: signal.Signals) -> None:
    """SIGTERM ends it at once, with status 0: a native sidecar is ended after the app."""
    emulator = world.start_ready()
    started = time.monotonic()

    assert 0 == emulator.end(number)
    assert time.monotonic() - started < 2


def test_end_during_an_exchange(world: World) -> None:
    """SIGTERM does not wait for STS, and leaves no child behind."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        emulator = world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{silent.getsockname()[1]}")
        wait_until(emulator.children, "the child")
        child = emulator.children()[0]

        assert 0 == emulator.end()
        assert not Path(f"/proc/{child}").exists()


def test_killed_during_an_exchange(world: World) -> None:
    """If it is killed, its child ends by itself, though nothing that the child does would end."""
    hang = "import time, emulator.sidecar.fetch as f; f.fetch = lambda *_: time.sleep(60)"
    emulator = world.start(main=run_first(hang))
    wait_until(emulator.children, "the child")
    child = emulator.children()[0]
    emulator.end(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child), "the child's end", 8)


def test_serves_after_sigterm(world: World) -> None:
    """Where the app is told to end at the same time, it goes on serving for the seconds it was given."""
    emulator = world.start_ready(IMDS_EMULATOR_SERVE_AFTER_SIGTERM_SECONDS="2")
    started = time.monotonic()
    emulator.process.send_signal(signal.SIGTERM)
    answered = 0
    while time.monotonic() - started < 1.5:
        assert 200 == emulator.get(CREDENTIALS).status
        answered += 1

    assert 0 == emulator.process.wait(10)
    assert 1.9 < time.monotonic() - started < 5
    assert answered > 1


def test_refresh_on_the_way(world: World) -> None:
    """Short credentials are replaced at half life, while every client is answered."""
    numbers = iter(range(1, 100))
    world.answer(lambda _: grant(f"ASIA{next(numbers)}", life_seconds=4))
    emulator = world.start_ready()
    seen: list[str] = []
    with_client = Client(emulator.port)
    while len(set(seen)) < 3:
        answer = with_client.ask(f"GET {CREDENTIALS} HTTP/1.1\r\n\r\n".encode())
        assert 200 == answer.status
        seen.append(answer.body.split('"AccessKeyId" : "')[1].split('"')[0])
    with_client.close()

    assert ["ASIA1", "ASIA2", "ASIA3"] == sorted(set(seen))
    assert sorted(seen) == seen


def test_outage_to_the_end(world: World) -> None:
    """Old credentials are served through an outage to their end, and then 503; STS back, it heals."""
    world.answer(lambda _: grant(life_seconds=5))
    emulator = world.start_ready()
    world.answer(lambda _: error(500, "InternalFailure", "outage"))
    wait_until(lambda: "exchange-failed" in emulator.log(), "the failed refresh")
    assert 200 == emulator.get(CREDENTIALS).status
    wait_until(lambda: emulator.get(CREDENTIALS).status != 200, "the end", 5)
    status, body = emulator.get(CREDENTIALS)[::2]
    ready = emulator.health("/readyz").status
    world.answer(lambda _: grant(life_seconds=2))
    wait_until(lambda: emulator.get(CREDENTIALS).status == 200, "healing")
    world.answer(lambda _: error(500, "InternalFailure", "outage"))
    wait_until(lambda: emulator.get(CREDENTIALS).status != 200, "the second end", 5)

    assert (503, True, 503) == (status, '"Code" : "InternalFailure"' in str(body), ready)
    assert 2 == emulator.log().count("event=expired")


def test_no_cores(world: World) -> None:
    """By the time that it has keys the server dumps no core, whatever limit it was started with."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] in (0, 1):
        pytest.skip("what starts here may dump no core anyway")
    emulator = world.start_ready()

    assert (1, 1) == resource.prlimit(emulator.process.pid, resource.RLIMIT_CORE)


def test_many_refreshes_leave_nothing(world: World) -> None:
    """Children are reaped and their pipes closed."""
    world.answer(lambda _: error(400, "IDPCommunicationError", ""))
    emulator = world.start()
    wait_until(lambda: len(world.sts.requests) >= 4, "some exchanges")
    wait_until(lambda: not emulator.children(), "no child")

    assert len(list(Path(f"/proc/{emulator.process.pid}/fd").iterdir())) <= 9


def test_requests_while_an_exchange_runs(world: World) -> None:
    """While STS is slow, held credentials are answered at once."""
    slow = threading.Event()

    def answer(_: dict[str, str]) -> Reply:
        if slow.is_set():
            time.sleep(1)
        slow.set()
        return grant(life_seconds=3)

    world.answer(answer)
    emulator = world.start_ready()
    wait_until(lambda: len(world.sts.requests) == 2, "the refresh")
    taken = []
    for _ in range(10):
        started = time.monotonic()
        assert 200 == emulator.get(CREDENTIALS).status
        taken.append(time.monotonic() - started)

    assert min(taken) < 0.05


WRONG = [
    (
        {"AWS_ROLE_ARN": "x"},
        "imds-emulator serve: invalid AWS_ROLE_ARN: 'x' is not the ARN of an IAM role: it is not an ARN",
    ),
    ({"AWS_ROLE_ARN": ""}, "imds-emulator serve: AWS_ROLE_ARN is not set: set it to a role's ARN"),
    (
        {"IMDS_EMULATOR_IMDS_VERSION": "v3"},
        "imds-emulator serve: invalid IMDS_EMULATOR_IMDS_VERSION='v3': must be one of",
    ),
]


@pytest.mark.parametrize(("extra", "message"), WRONG)
def test_wrong_setting(extra: dict[str, str], message: str) -> None:
    """A wrong setting ends it at once with status 2 and one line."""
    environ = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t", **extra}
    command = [sys.executable, "-I", "-S", "-c", MAIN, "serve"]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)

    assert (2, "", message, 1) == (
        result.returncode,
        result.stdout,
        result.stderr[: len(message)],
        len(result.stderr.splitlines()),
    )


def test_argument() -> None:
    """An argument is refused: there are none."""
    command = [sys.executable, "-I", "-S", "-c", MAIN, "serve", "--port=1"]
    result = subprocess.run(command, env={}, capture_output=True, text=True, timeout=30, check=False)

    expected = "imds-emulator serve: '--port=1' is not an argument: configure serve by environment variables\n"
    assert (2, expected) == (result.returncode, result.stderr)


def test_port_taken(world: World) -> None:
    """A port that somebody has is named with its variable."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = {
            **world.environ(),
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
            "IMDS_EMULATOR_PORT": str(port),
        }
        command = [sys.executable, "-I", "-S", "-c", MAIN, "serve"]
        result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)

    reason = "can't listen on 127.0.0.1: Address already in use: choose a free port"
    assert (2, f"imds-emulator serve: invalid IMDS_EMULATOR_PORT='{port}': {reason}\n") == (
        result.returncode,
        result.stderr,
    )


def test_termination_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """The kubelet finds the reason in the termination log, where there is one."""
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(serve, "TERMINATION_LOG", str(log))

    status = serve.main(["x"])

    expected = "imds-emulator serve: 'x' is not an argument: configure serve by environment variables\n"
    assert (2, expected, expected) == (status, capfd.readouterr().err, log.read_text())


def test_no_termination_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand there is none, and none is made."""
    monkeypatch.setattr(serve, "TERMINATION_LOG", str(tmp_path / "none"))

    assert (2, []) == (serve.main(["x"]), list(tmp_path.iterdir()))


def test_metrics(world: World) -> None:
    """Answers on the credential port and exchanges are counted; the kubelet's probes are not."""
    emulator = world.start_ready()
    for path in (LIST, CREDENTIALS, "/x"):
        emulator.get(path)
    text = emulator.health("/metrics").body

    assert [
        'imds_emulator_requests_total{code="200"} 2',
        'imds_emulator_requests_total{code="404"} 1',
        'imds_emulator_exchanges_total{result="success",sts_code=""} 1',
    ] == [line for line in text.splitlines() if line.startswith(("imds_emulator_requests", "imds_emulator_exchanges"))]


def _is_zombie(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
