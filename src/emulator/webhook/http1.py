"""HTTP/1.1 as bytes: the head of a request out of what a peer sent, a response into what it gets. No sockets.

Goes in: the bytes received so far.
Comes out: a `Head`, None while it is not whole, or BadRequest with the status to answer; a response's bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

HEAD_BYTES = 16 * 1024
BODY_BYTES = 3 * 1024 * 1024  # the API server takes no larger request itself (MaxRequestBodyBytes)


@dataclass(frozen=True)
class Request:
    """A request without the headers, which no handler needs."""

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """A response; `body` is sent as it is."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class BadRequest(Exception):  # noqa: N818 - the phrase of RFC 9110 section 15.5.1
    """The peer sent what is no request, or one too large; carries the status it is answered with."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Head:
    """The part of a request before its body, and how many bytes both take."""

    method: str
    path: str
    head_bytes: int
    body_bytes: int
    keeps_alive: bool
    expects_continue: bool


def read_head(buffer: bytes | bytearray) -> Head | None:
    """Return the head at the start of `buffer`, None if its end has not come yet; raises BadRequest.

    Source: RFC 9112 sections 3 (request line), 6.3 (length of the body) and 9.3 (persistence).
    """
    end = buffer.find(b"\r\n\r\n", 0, HEAD_BYTES)
    if end < 0:
        if len(buffer) >= HEAD_BYTES:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers take more than {HEAD_BYTES} bytes")
        return None
    request_line, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    words = request_line.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):  # noqa: PLR2004 - method, target, version
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the request line is not METHOD TARGET HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a header line is not NAME: VALUE")
        if name.lower() == "content-length" and headers.get("content-length", value.strip()) != value.strip():
            raise BadRequest(HTTPStatus.BAD_REQUEST, "there are two Content-Length")
        headers[name.lower()] = value.strip()
    connection = headers.get("connection", "").lower()
    return Head(
        method=words[0],
        path=words[1].partition("?")[0],
        head_bytes=end + 4,
        body_bytes=_body_bytes(headers),
        keeps_alive=connection != "close" if words[2] == "HTTP/1.1" else connection == "keep-alive",
        expects_continue=headers.get("expect", "").lower() == "100-continue",
    )


def _body_bytes(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequest(HTTPStatus.LENGTH_REQUIRED, "a body needs Content-Length, Transfer-Encoding is not read")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "Content-Length is no number")
    if len(length) > len(str(BODY_BYTES)) or int(length) > BODY_BYTES:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body takes more than {BODY_BYTES} bytes")
    return int(length)


def text(status: HTTPStatus, message: str) -> Response:
    """Return one line of text."""
    return Response(status, message.encode(errors="backslashreplace") + b"\n")


def encode(response: Response, *, keeps_alive: bool, has_body: bool = True) -> bytes:
    """Return the bytes of a response; without its body if the request was HEAD."""
    connection = "" if keeps_alive else "Connection: close\r\n"
    head = (
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n"
        f"{connection}\r\n"
    )
    return head.encode() + (response.body if has_body else b"")
