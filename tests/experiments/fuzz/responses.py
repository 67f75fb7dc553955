"""A strict reading of HTTP responses, by which those of a server are judged.

It reads all that a server sent on one connection, and raises AssertionError where a response is malformed or has an
unexpected header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# RFC 9112 sections 4 and 5.
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [A-Za-z ]+")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([!-~](?:[ -~]*[!-~])?)")


@dataclass(frozen=True)
class Answer:
    """One response; `headers`: values by name, in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def read(output: bytes, methods: Sequence[str], expected: dict[bytes, re.Pattern[bytes]]) -> list[Answer]:
    """Return the responses, all of them, to requests of these methods. `expected`: the form of each header's value."""
    answers = []
    for method in methods:
        while output.startswith(CONTINUE):
            output = output[len(CONTINUE) :]
        head, end, output = output.partition(b"\r\n\r\n")
        assert end, "a head without its end"
        lines = head.split(b"\r\n")
        status_line = _STATUS_LINE.fullmatch(lines[0])
        assert status_line, lines[0]
        headers: dict[bytes, bytes] = {}
        for line in lines[1:]:
            header = _HEADER.fullmatch(line)
            assert header, line
            name = header[1].lower()
            assert name not in headers, line
            assert name in expected, line
            assert expected[name].fullmatch(header[2]), line
            headers[name] = header[2]
        length = 0 if method == "HEAD" else int(headers[b"content-length"])
        assert len(output) >= length, "a body that is not whole"
        answers.append(Answer(int(status_line[1]), headers, output[:length]))
        output = output[length:]
    assert output in (b"", CONTINUE), output
    return answers
