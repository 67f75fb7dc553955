"""Where a key or a token must never be found: logs, metrics, errors, the process's own files in /proc, disks."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.security.starting import refusal
from tests.support.webhook.fake_api import SECRET, TOKEN
from tests.support.webhook.running import admit, connect, exchange, pod, post
from tests.support.wire.process import CREDENTIALS, LIST, wait_until
from tests.support.wire.stub_proxy import StubProxy
from tests.support.wire.stub_sts import Reply, error, grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.webhook.fake_api import FakeApi
    from tests.support.webhook.running import Webhook
    from tests.support.wire.fixtures import World
    from tests.support.wire.process import Emulator

# Parts of each, since a part would be a leak too.
KEYS = ("cret/ASIASTUB", "oken/ASIASTUB")
PROXY_PASSWORD = "hunter2"
HEALTH = ("/metrics", "/readyz", "/livez", "/startupz")


def secrets(world: World) -> tuple[str, ...]:
    """Return what must be nowhere."""
    token = world.token_file.read_text()
    return (*KEYS, token[:10], token[-10:], PROXY_PASSWORD)


def told(emulator: Emulator) -> str:
    """Return all that an emulator says but for the credentials themselves."""
    asked = [(method, path) for method in ("GET", "PUT", "POST") for path in (LIST, f"{LIST}other", "/", "/x")]
    answers = [emulator.get(path, method=method) for method, path in asked]
    credentials = emulator.get(CREDENTIALS)
    answers += [emulator.health(path) for path in HEALTH] + [credentials] * (credentials.status != 200)
    return "\n".join([emulator.log(), *(f"{answer.headers} {answer.body}" for answer in answers)])


BAD_ANSWERS: list[Callable[[dict[str, str]], Reply]] = [
    lambda form: error(403, "AccessDenied", f"not with {form['WebIdentityToken']}"),
    lambda form: Reply(200, grant().body.replace("</Expiration>", form["WebIdentityToken"])),
    lambda form: Reply(500, f"<html>{form['WebIdentityToken']}</html>"),
    lambda form: Reply(200, grant().body[:-200], headers={"X": form["WebIdentityToken"]}),
]


@pytest.mark.claim("S10")
def test_with_credentials(world: World) -> None:
    """With credentials in hand they are in the one answer that they belong in, and in nothing else that is said."""
    emulator = world.start_ready()
    given = emulator.get(CREDENTIALS).body

    assert all(key in given for key in KEYS)
    assert [] == [secret for secret in secrets(world) if secret in told(emulator)]


@pytest.mark.claim("S10")
@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_bad_answers(world: World, answer: Callable[[dict[str, str]], Reply]) -> None:
    """Whatever STS answers, its errors reach logs, metrics and clients without keys and token."""
    world.answer(answer)
    emulator = world.start()
    wait_until(lambda: "exchange-failed" in emulator.log(), "the failure")

    assert [] == [secret for secret in secrets(world) if secret in told(emulator)]


@pytest.mark.claim("S10")
def test_password_of_the_proxy(world: World) -> None:
    """The password in HTTPS_PROXY is sent to the proxy and said nowhere, right or wrong."""
    proxy = StubProxy(status="407 Proxy Authentication Required")
    emulator = world.start(HTTPS_PROXY=f"http://me:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}")
    wait_until(lambda: "exchange-failed" in emulator.log(), "the failure")
    proxy.close()
    settings = {**world.environ(), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r"}
    wrong = refusal({**settings, "HTTPS_PROXY": f"ftp://me:{PROXY_PASSWORD}@proxy"})

    assert "invalid HTTPS_PROXY" in wrong
    assert [] == [secret for secret in secrets(world) if secret in told(emulator) + wrong]


@pytest.mark.claim("S10")
@pytest.mark.parametrize(
    "setting",
    ["AWS_ROLE_ARN", "AWS_REGION", "AWS_ENDPOINT_URL_STS", "IMDS_EMULATOR_PORT", "IMDS_EMULATOR_IMDS_VERSION"],
)
def test_termination_message(world: World, setting: str) -> None:
    """The last words, which the kubelet takes as the termination message, name the setting and nothing of the token."""
    right = {**world.environ(), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "AWS_ENDPOINT_URL_STS": ""}
    words = refusal({**right, setting: "!"})

    assert setting in words
    assert 1 == words.count("\n")
    assert [] == [secret for secret in secrets(world) if secret in words]


@pytest.mark.claim("S11")
def test_environment_and_command_line(world: World) -> None:
    """Neither the server nor the child of an exchange has a key or the token in what `ps` and /proc show."""
    held = socket.create_server(("127.0.0.1", 0))
    with held:
        emulator = world.start_ready()
        waiting = world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{held.getsockname()[1]}")
        wait_until(waiting.children, "the child")
        shown = [
            Path(f"/proc/{process}/{file}").read_bytes().decode()
            for process in (emulator.process.pid, waiting.process.pid, *waiting.children())
            for file in ("environ", "cmdline", "comm")
        ]

    assert 9 == len(shown)
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in shown[0]
    assert [] == [secret for secret in secrets(world) if secret in "\n".join(shown)]


@pytest.mark.claim("S12")
def test_open_files(world: World) -> None:
    """With credentials in hand the emulator has nothing open to be written but sockets: it writes nothing down."""
    emulator = world.start_ready()
    wait_until(lambda: not emulator.children(), "the child's end")

    assert {"socket", "anon_inode"} == set(kinds_of_files(emulator.process.pid))


@pytest.mark.claim("S12")
def test_folder_is_left_as_it_was(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After exchanges nothing new lies in the folder it runs in, its home, or where temporary files go."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "home"
    folder.mkdir()
    world.answer(lambda _: grant(life_seconds=2))
    emulator = world.start_ready(HOME=str(folder), TMPDIR=str(folder))
    before = sorted(tmp_path.rglob("*"))
    wait_until(lambda: len(world.sts.requests) > 1, "refreshes")
    emulator.end()

    assert before == sorted(tmp_path.rglob("*"))
    assert [] == list(folder.iterdir())


@pytest.mark.claim("S12", "S15")
def test_webhook(webhook: Webhook, api: FakeApi) -> None:
    """The webhook has its private key in the Secret alone: not in logs, metrics, errors, files, /proc."""
    with connect(webhook.port, api.trusted()[0], "injector.ns.svc") as connection:
        assert admit(connection, pod())["allowed"]
        answers = [exchange(connection, post(body, path)) for body in (b"{}", b"\xff") for path in ("/mutate", "/x")]
    shown = [webhook.health(path)[1] for path in (*HEALTH, "/x")]
    shown += [Path(f"/proc/{webhook.process.pid}/{file}").read_text() for file in ("environ", "cmdline")]
    text = "\n".join([webhook.log, *shown, *map(str, answers)])
    data = api.get(SECRET)["data"]
    keys = [line for name, value in data.items() if name.endswith(".key") for line in pem_lines(value)]

    assert "served.key" in data
    assert keys
    assert [] == [secret for secret in (*keys, TOKEN) if secret in text]
    assert {"socket", "anon_inode"} == set(kinds_of_files(webhook.process.pid))


def kinds_of_files(process: int) -> Iterator[str]:
    """Yield the kind of each file open to be written, of one on a disk its name; the standard streams apart."""
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a connection that has ended meanwhile
            information = Path(f"/proc/{process}/fdinfo/{descriptor.name}").read_text()
            flags = int(information.partition("flags:")[2].split()[0], 8)
            if int(descriptor.name) > 2 and flags & os.O_ACCMODE != os.O_RDONLY:
                yield Path(str(descriptor.readlink()).partition(":")[0]).name


def pem_lines(encoded: str) -> list[str]:
    """Return the lines of a PEM text, base64 of a Secret, that tell of the key."""
    return [line for line in base64.b64decode(encoded).decode().splitlines() if "-----" not in line]
