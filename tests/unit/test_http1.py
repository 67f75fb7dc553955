"""The reader of requests: what is one, what is none, and what each is answered with."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.webhook import http1
from emulator.webhook.http1 import BODY_BYTES, HEAD_BYTES, BadRequest, Head, Response, encode, read_head

POST = "POST /mutate?timeout=5s HTTP/1.1\r\nHost: a\r\n"


def head(**changed: object) -> Head:
    """Return the head that POST is read as, its length aside."""
    values: dict[str, object] = {
        "method": "POST",
        "path": "/mutate",
        "head_bytes": 0,
        "body_bytes": 0,
        "keeps_alive": True,
        "expects_continue": False,
    }
    return Head(**{**values, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (POST, head()),
        ("GET /readyz HTTP/1.1\r\n", head(method="GET", path="/readyz")),
        (f"{POST}Content-Length: 12\r\n", head(body_bytes=12)),
        (f"{POST}content-length:12\r\nContent-Length: 12\r\n", head(body_bytes=12)),
        (f"{POST}Connection: close\r\n", head(keeps_alive=False)),
        ("POST /mutate HTTP/1.0\r\n", head(keeps_alive=False)),
        ("POST /mutate HTTP/1.0\r\nConnection: Keep-Alive\r\n", head()),
        (f"{POST}Expect: 100-continue\r\n", head(expects_continue=True)),
        (f"{POST}Content-Length: {BODY_BYTES}\r\n", head(body_bytes=BODY_BYTES)),
    ],
)
def test_read_head(text: str, expected: Head) -> None:
    """A whole head is read, and what follows it is left alone."""
    raw = f"{text}\r\n".encode()

    actual = read_head(raw + b"body\r\n\r\n")

    assert head(**{**vars(expected), "head_bytes": len(raw)}) == actual


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("nonsense\r\n", HTTPStatus.BAD_REQUEST),
        ("GET  / HTTP/1.1\r\n", HTTPStatus.BAD_REQUEST),
        ("GET / HTTP/2.0\r\n", HTTPStatus.BAD_REQUEST),
        ("GET / HTTP/1.1\r\nno colon\r\n", HTTPStatus.BAD_REQUEST),
        ("GET / HTTP/1.1\r\nName : value\r\n", HTTPStatus.BAD_REQUEST),
        ("GET / HTTP/1.1\r\n folded: value\r\n", HTTPStatus.BAD_REQUEST),
        ("GET / HTTP/1.1\r\n: value\r\n", HTTPStatus.BAD_REQUEST),
        (f"{POST}Content-Length: -1\r\n", HTTPStatus.BAD_REQUEST),
        (f"{POST}Content-Length: ten\r\n", HTTPStatus.BAD_REQUEST),
        (f"{POST}Content-Length: \u00b2\r\n", HTTPStatus.BAD_REQUEST),
        (f"{POST}Content-Length: 1\r\nContent-Length: 2\r\n", HTTPStatus.BAD_REQUEST),
        (f"{POST}Content-Length: {BODY_BYTES + 1}\r\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (f"{POST}Content-Length: {'9' * 5000}\r\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (f"{POST}Transfer-Encoding: chunked\r\n", HTTPStatus.LENGTH_REQUIRED),
        (f"{POST}X: {'x' * HEAD_BYTES}\r\n", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    ],
)
def test_bad_request(text: str, status: HTTPStatus) -> None:
    """What is no request, or too large a one, is refused with its status and one line."""
    with pytest.raises(BadRequest, match=r"^[^\n]+$") as caught:
        read_head(f"{text}\r\n".encode("latin-1"))

    assert status == caught.value.status


def test_unfinished_head() -> None:
    """A head whose end has not come is none yet, however it is cut."""
    raw = f"{POST}Content-Length: 3\r\n\r\n".encode()

    assert [None] * len(raw) == [read_head(raw[:end]) for end in range(len(raw))]


@given(st.binary(max_size=400))
def test_any_bytes(raw: bytes) -> None:
    """Whatever bytes come, the reader answers with a head, with None, or with BadRequest."""
    try:
        actual = read_head(raw + b"\r\n\r\n")
    except BadRequest:
        return
    assert actual is not None


@pytest.mark.parametrize(
    ("keeps_alive", "has_body", "expected"),
    [
        (True, True, "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 2\r\n\r\nok"),
        (False, False, "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"),
    ],
)
def test_encode(keeps_alive: bool, has_body: bool, expected: str) -> None:  # noqa: FBT001 - columns of the table
    """A response has its length, and says when the connection ends; that to HEAD has no body."""
    actual = encode(Response(200, b"ok", "text/x"), keeps_alive=keeps_alive, has_body=has_body)

    assert expected.encode() == actual


def test_any_message() -> None:
    """A message that repeats half a surrogate pair, which JSON may hold, is sent."""
    assert b"\\ud800 is no text\n" == http1.text(HTTPStatus.BAD_REQUEST, "\ud800 is no text").body
