"""Log lines."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from emulator import log

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_795_597_200.0


def test_line() -> None:
    """A line is key=value, with what is empty left out and what is not a word in quotes."""
    fields = {"namespace": "team", "pod": "", "message": 'a "b"\n\\c=é', "role": "arn:aws:iam::123456789012:role/r"}
    expected = (
        "time=2026-11-25T09:00:00Z level=info event=started namespace=team "
        'message="a \\"b\\" \\\\c=é" role=arn:aws:iam::123456789012:role/r\n'
    )

    assert expected == log.line("info", "started", fields, NOW)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (None, ["info", "warning", "error"]),
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(level: str | None, expected: list[str]) -> None:
    """Lines of a level and of those above it are written; from info on where nobody chose."""
    with pipe() as (read, _):
        if level:
            log.show_from(level)
        for each in log.ORDER:
            log.write(each, "x", {})
        logged = os.read(read, 4096).decode()
    log.show_from("info")

    assert expected == [line.split("level=")[1].split()[0] for line in logged.splitlines()]


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Return the ends of a pipe; what is written to standard error goes into it."""
    saved = os.dup(2)
    read, write = os.pipe()
    os.dup2(write, 2)
    yield read, write
    os.dup2(saved, 2)
    for descriptor in (saved, write):
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.close(read)


def test_nobody_reads() -> None:
    """A log that nobody takes any more does not stop the server."""
    with pipe() as (read, _):
        os.close(read)
        log.write("info", "started", {})


def test_nobody_reads_now() -> None:
    """A log that nobody takes for now does not hold the server up: a line is lost; later ones are whole."""
    with pipe() as (read, write):
        os.set_blocking(write, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write, b"x" * 4096)
        os.set_blocking(write, True)
        log.write("info", "lost", {})
        os.set_blocking(read, False)
        with contextlib.suppress(BlockingIOError):
            while os.read(read, 65536):
                pass
        log.write("info", "whole", {})
        logged = os.read(read, 4096)

    assert logged.endswith(b" level=info event=whole\n")
