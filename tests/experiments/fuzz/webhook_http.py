"""The webhook's reading of a request's head, and its responses.

An input is one byte that says where the rest is cut, and the bytes of a peer.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from emulator.webhook.http1 import BODY_BYTES, HEAD_BYTES, BadRequest, Head, encode, read_head, text
from tests.experiments.fuzz.responses import read

REPEATS = 40
HEADERS = {
    b"content-type": re.compile(rb"text/plain; charset=utf-8"),
    b"content-length": re.compile(rb"[0-9]{1,5}"),
    b"connection": re.compile(b"close"),
}
STATUSES = frozenset({400, 411, 413, 431})


def one_input(data: bytes) -> None:
    """Read a head, whole and cut off; answer it."""
    if not data:
        return
    sent = data[1:] * REPEATS if data[0] & 0xE0 == 0x60 else data[1:]
    found = _read(sent)
    earlier = _read(sent[: len(sent) * (data[0] % 32) // 32])
    assert earlier in (None, found), "what is read changes with what comes after"
    if found is None:
        assert len(sent) < HEAD_BYTES, "an endless head"
    elif isinstance(found, Head):
        assert sent[: found.head_bytes].endswith(b"\r\n\r\n")
        assert found.head_bytes <= HEAD_BYTES
        assert 0 <= found.body_bytes <= BODY_BYTES
        assert " " not in found.method + found.path
        assert "?" not in found.path
    _answer(found)


def _read(sent: bytes) -> Head | tuple[HTTPStatus, str] | None:
    try:
        return read_head(bytearray(sent))
    except BadRequest as error:
        return error.status, str(error)


def _answer(found: Head | tuple[HTTPStatus, str] | None) -> None:
    """Answer as the listener does, and read the answer."""
    if isinstance(found, tuple):
        status, message = found
        assert status in STATUSES
        [answer] = read(encode(text(status, message), keeps_alive=False), ["GET"], HEADERS)
        assert (status, message.encode() + b"\n") == (answer.status, answer.body)
    elif found:
        response = text(HTTPStatus.NOT_FOUND, "no such path")
        output = encode(response, keeps_alive=found.keeps_alive, has_body=found.method != "HEAD")
        [answer] = read(output, [found.method], HEADERS)
        assert found.keeps_alive == (b"connection" not in answer.headers)
