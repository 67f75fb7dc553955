"""The player of requests: it sends what a file has, byte by byte, and goes on as the file says."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.experiments.conformance.clients import CLIENTS
from tests.experiments.conformance.languages import HERE, REPLAY
from tests.experiments.conformance.replay import play

FILES = sorted((HERE / "replay").glob("*.http"))
DOCUMENT = {"AccessKeyId": "ASIA", "SecretAccessKey": "secret", "Token": "session"}
TEXT = """\
Which source.

### token 200=roles 404=roles-v1 tries=2 header=x-ttl
PUT /token HTTP/1.1
Host: here

### roles 200=credentials
GET /roles HTTP/1.1
x-token: {token}

### credentials 200=done new keys=Token
GET /roles/{role} HTTP/1.1
x-token: {token}

### roles-v1 200=credentials
GET /roles HTTP/1.1
"""


def reply(status: int, body: str = "", header: str = "x-ttl: 1") -> str:
    """Return an answer's bytes, as text."""
    return f"HTTP/1.1 {status} -\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n{body}"


@contextmanager
def server(monkeypatch: pytest.MonkeyPatch, replies: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Answer one request after the other; yield (number of its connection, request)."""
    seen: list[tuple[int, str]] = []
    left = list(replies)

    def serve() -> None:
        number = 0
        while left:
            connection, _ = listener.accept()
            number += 1
            with connection:
                while request := connection.recv(65536).decode():
                    seen.append((number, request))
                    connection.sendall(left.pop(0).encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(play, "ADDRESS", listener.getsockname())
        threading.Thread(target=serve, daemon=True).start()
        yield seen


def test_bytes_and_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent is what the file has, with the answers filled in; a new connection only where it says so."""
    document = json.dumps({**DOCUMENT, "Code": "Success"})
    with server(monkeypatch, [reply(200, "t0"), reply(200, "role"), reply(200, document)]) as seen:
        told = play.Player().play(play.parse(TEXT))

    assert told == DOCUMENT
    assert seen == [
        (1, "PUT /token HTTP/1.1\r\nHost: here\r\n\r\n"),
        (1, "GET /roles HTTP/1.1\r\nx-token: t0\r\n\r\n"),
        (2, "GET /roles/role HTTP/1.1\r\nx-token: t0\r\n\r\n"),
    ]


@pytest.mark.parametrize(
    ("replies", "why"),
    [
        ([reply(500), reply(500)], "token: 500"),
        ([reply(200, "t0", "other: 1")], "token: no header x-ttl"),
        ([reply(404), reply(401)], "roles-v1: 401"),
        ([reply(404), reply(200, "role"), reply(200, '{"Code": ""}')], "credentials: no Token"),
    ],
)
def test_gives_up(monkeypatch: pytest.MonkeyPatch, replies: Sequence[str], why: str) -> None:
    """A status without a next step, in all tries, ends it, and so does what the client could not read."""
    with server(monkeypatch, replies) as seen, pytest.raises(play.GaveUpError) as error:
        play.Player().play(play.parse(TEXT))

    assert why == str(error.value)
    assert len(replies) == len(seen)


def test_step_to_nowhere_is_refused() -> None:
    """A misspelt step is found when the file is read."""
    with pytest.raises(ValueError, match="step roles-v1 leads to credentials, which is not there"):
        play.parse("### roles-v1 200=credentials\nGET / HTTP/1.1\n")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_is_of_a_client_in_the_table(file: Path) -> None:
    """Each file belongs to a client, is readable, and says what was read before its first step."""
    names = {client.recipe.driver: client for client in CLIENTS if client.language is REPLAY}
    steps = play.parse(file.read_text())

    assert file.stem == names[file.name].id
    assert not file.read_text().startswith("#")
    assert {"credentials"} <= {name.partition("-")[0] for name in steps}
