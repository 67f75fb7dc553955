"""What a hostile client asks: for another host, for another path, for another header, through a proxy."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import TYPE_CHECKING

import pytest

from emulator.webhook.namespaces import Namespaces
from tests.process.security.starting import refusal
from tests.support.wire.process import CREDENTIALS, LIST, connect, wait_until
from tests.support.wire.stub_sts import error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.wire.fixtures import World
    from tests.support.wire.process import Answer, Emulator

HEADERS = {"server", "date", "content-type", "content-length"}


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """Listen on a port that nobody has a reason to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)  # noqa: FBT003 - positional only
        yield listening


@pytest.mark.claim("S04")
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("CONNECT 127.0.0.1:{port}", 400),
        ("CONNECT http://127.0.0.1:{port}/", 405),
        ("GET http://localhost.example:{port}/", 421),
        ("GET http://example.com/latest/meta-data/iam/security-credentials/app-role", 421),
        ("GET http://169.254.169.254@127.0.0.2:{port}/latest", 421),
        ("GET ftp://127.0.0.1:{port}/", 421),
        ("GET 127.0.0.1:{port}/", 400),
        ("GET http://127.0.0.1:{port}/secret", 404),
        ("GET /http://127.0.0.1:{port}/secret", 404),
        ("GET /latest/meta-data/http://127.0.0.1:{port}/secret", 404),
        ("GET /?url=http://127.0.0.1:{port}/secret", 200),
    ],
)
def test_no_proxy(shared: Emulator, elsewhere: socket.socket, target: str, status: int) -> None:
    """A request for another host or port is answered by the emulator itself, which connects to nobody for it."""
    port = elsewhere.getsockname()[1]
    hosts = f"Host: 127.0.0.1:{port}\r\nX-Forwarded-Host: 127.0.0.1:{port}\r\nForwarded: host=127.0.0.1:{port}\r\n"
    with connect(shared.port) as client:
        answer = client.ask(f"{target.format(port=port)} HTTP/1.1\r\n{hosts}\r\n".encode())

    assert (status, "EC2ws") == (answer.status, answer.headers["server"])
    assert "ASIASTUB" not in answer.body
    with pytest.raises(BlockingIOError):
        elsewhere.accept()


DOWN = "../" * 8


@pytest.mark.claim("S05")
@pytest.mark.parametrize(
    "path",
    [
        f"/{DOWN}etc/passwd",
        f"/latest/{DOWN}etc/passwd",
        f"{LIST}../security-credentials/app-role",
        f"{LIST}..%2fsecurity-credentials%2fapp-role",
        f"{LIST}%2e%2e/%2e%2e/iam/security-credentials/app-role",
        "/latest/meta-data/iam%2fsecurity-credentials%2fapp-role",
        "/latest%2fmeta-data/iam/security-credentials/app-role",
        f"{LIST}x/../app-role",
        f"{LIST}./app-role",
        f"{LIST}app-role%00",
        f"{LIST}app-role%2f",
        f"{LIST}app-role%2e",
        f"{LIST}app-role;x",
        f"{LIST}app-role\\",
        f"{LIST}APP-ROLE",
        f"{LIST}%61pp-role%20",
        f"{LIST}%252e%252e/app-role",
        f"{LIST}team/app-role",
        f"{LIST}..%c0%af..%c0%afapp-role",
        "/token",
        "/var/run/secrets/imds-emulator/token",
        "/proc/self/environ",
    ],
)
def test_no_traversal(shared: Emulator, path: str) -> None:
    """A path is compared name by name, after decoding and without dots being followed: what is not the role is 404."""
    answer = shared.get(path)

    assert (404, "not found", HEADERS) == (answer.status, answer.body, set(answer.headers))


@pytest.mark.claim("S05")
def test_encoded_name(shared: Emulator) -> None:
    """Encoding is undone inside a name, as some clients encode: the test above does not pass for lack of it."""
    assert 200 == shared.get(f"{LIST}%61pp%2Drole").status


@pytest.mark.claim("S05")
def test_path_at_the_api_server() -> None:
    """The one path of the API server that is made of a request's text, a namespace's name, can't become another."""
    asked = []

    class Api:
        def get(self, path: str) -> dict[str, dict[str, str]]:
            asked.append(path)
            return {"metadata": {}}

    asyncio.run(Namespaces(Api()).annotations("../secrets/x?watch=1#\r\n"))  # type: ignore[arg-type]

    assert ["/api/v1/namespaces/..%2Fsecrets%2Fx%3Fwatch%3D1%23%0D%0A"] == asked


@pytest.mark.claim("S06")
@pytest.mark.parametrize(
    "path", [f"{LIST}x%0d%0aX-Evil:%201", f"{LIST}x\rX-Evil: 1".replace(" ", ""), "/%0d%0a%0d%0ax"]
)
def test_no_header_of_the_client(shared: Emulator, path: str) -> None:
    """No text of a request comes back in the answer's headers or its body."""
    answer = shared.get(path, headers={"X-Evil": "1", "Origin": "https://evil.example"})

    assert (404, "not found", HEADERS) == (answer.status, answer.body, set(answer.headers))


@pytest.mark.claim("S06")
@pytest.mark.parametrize(
    "ttl", ["60%0d%0aX-Evil: 1", "60\rX-Evil: 1", "60, 60", "+60", "\uff16\uff10", "60 60", "0x3c", "-1"]
)
def test_no_header_of_the_ttl(shared_v2: Emulator, ttl: str) -> None:
    """The one header that repeats what a client sent, the TTL of its token, is a number or the request refused."""
    answer = shared_v2.get("/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": ttl})

    assert (400, "", HEADERS) == (answer.status, answer.body, set(answer.headers))


@pytest.mark.claim("S06")
def test_no_header_of_the_pod(world: World) -> None:
    """Whatever the pod's name and namespace are, the request to STS has its own headers and one session name."""
    evil = "x\r\nX-Evil: 1\r\n\r\nAction=Other&RoleArn=y"
    world.start_ready(POD_NAME=evil, POD_NAMESPACE=evil, IMDS_EMULATOR_POD_REGION="")
    form, headers = world.sts.requests[0]

    assert {"Host", "Content-Type", "Accept", "User-Agent", "Content-Length", "Connection"} == set(headers)
    assert {"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds", "WebIdentityToken"} == set(form)
    assert re.fullmatch(r"[A-Za-z0-9_+=,.@-]{2,64}", form["RoleSessionName"])


@pytest.mark.claim("S06")
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/a\r\nX-Evil:1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/a\rb"),
        ("AWS_ROLE_SESSION_NAME", "a\nb"),
        ("AWS_REGION", "eu-west-1\r\nX-Evil:1"),
        ("IMDS_EMULATOR_POD_REGION", "eu-west-1\nX-Evil:1"),
        ("AWS_ENDPOINT_URL_STS", "https://sts.example/\r\nX-Evil:1"),
        ("AWS_ENDPOINT_URL_STS", "https://sts.example\r\nX-Evil:1"),
    ],
)
def test_no_line_end_in_settings(setting: str, value: str) -> None:
    """Where a setting, be it a pod's annotation, would put a line end into a request, the emulator does not start."""
    known = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}
    words = refusal({**known, setting: value})

    assert setting in words
    assert 1 == words.count("\n")


@pytest.mark.claim("S06")
def test_no_line_of_sts(world: World) -> None:
    """An error of STS, whatever its text, is one line of the log and one text of the JSON that clients get."""
    evil = 'no"}\r\n\r\ntime=2026-01-01T00:00:00Z level=info event=credentials\u2028x'
    world.answer(lambda _: error(403, "AccessDenied", evil))
    emulator = world.start()
    wait_until(lambda: "exchange-failed" in emulator.log(), "the refusal")
    document = json.loads(emulator.get(CREDENTIALS).body)

    assert ["started", "exchange-failed"] == [event_of(line) for line in emulator.log().splitlines()]
    assert {"Code", "Message", "LastUpdated"} == set(document)
    assert "\n" not in document["Message"]


def event_of(line: str) -> str:
    """Return a log line's event."""
    return line.partition(" event=")[2].partition(" ")[0]


@pytest.mark.claim("S07")
@pytest.mark.parametrize("path", ["/", "/latest", LIST, CREDENTIALS, f"{LIST}other", "/x", "//"])
@pytest.mark.parametrize("headers", [{}, {"X-aws-ec2-metadata-token": ""}, {"X-aws-ec2-metadata-token": "x" * 56}])
def test_without_token(shared_v2: Emulator, path: str, headers: dict[str, str]) -> None:
    """Where IMDSv2 is required no GET without a good token is answered but by 401: what most SSRF can send."""
    assert (401, "") == answered(shared_v2.get(path, headers=headers))


@pytest.mark.claim("S07")
@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-for", "X-FORWARDED-FOR"])
def test_forwarded(shared_v2: Emulator, name: str) -> None:
    """A token is not given through a reverse proxy, open or misled, that says for whom it asks."""
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60", name: "203.0.113.1"}

    assert (403, "") == answered(shared_v2.get("/latest/api/token", method="PUT", headers=headers))
    del headers[name]
    assert 200 == shared_v2.get("/latest/api/token", method="PUT", headers=headers).status


@pytest.mark.claim("S07")
def test_cross_origin(shared_v2: Emulator) -> None:
    """A web page of another origin gets no leave: its preflight fails, and no answer may be shared with it (CORS)."""
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    preflight = shared_v2.get("/latest/api/token", method="OPTIONS", headers=origin)
    token = shared_v2.get("/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    given = shared_v2.get(CREDENTIALS, headers={"X-aws-ec2-metadata-token": token.body, **origin})

    assert [405, 200, 200] == [preflight.status, token.status, given.status]
    assert [] == [name for answer in (preflight, token, given) for name in answer.headers if "access-control" in name]


def answered(answer: Answer) -> tuple[int, str]:
    """Return status and body."""
    return answer.status, answer.body
