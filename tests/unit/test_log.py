"""Log lines."""

from __future__ import annotations

import os

from emulator import log

NOW = 1_795_597_200.0


def test_line() -> None:
    """A line is key=value, with what is empty left out and what is no word in quotes."""
    fields = {"namespace": "team", "pod": "", "message": 'a "b"\n\\c=é', "role": "arn:aws:iam::123456789012:role/r"}
    expected = (
        "time=2026-11-25T09:00:00Z level=info event=started namespace=team "
        'message="a \\"b\\" \\\\c=é" role=arn:aws:iam::123456789012:role/r\n'
    )

    assert expected == log.line("info", "started", fields, NOW)


def test_nobody_reads() -> None:
    """A log that nobody takes does not stop the server."""
    saved = os.dup(2)
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 2)
    try:
        log.write("info", "started", {})
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(write)
