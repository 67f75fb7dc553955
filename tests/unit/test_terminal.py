"""What others wrote reaches a terminal as escapes only."""

from __future__ import annotations

import io
import unicodedata

import pytest

from emulator.terminal import escaped, show


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \\ text", "plain \\ text"),
        ("Zürich 東京", "Zürich 東京"),
        ("\x1b[2J\x07\x9b", "\\x1b[2J\\x07\\x9b"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\u202e\u2066\u00ad\u200b\ufeff", "\\u202e\\u2066\\xad\\u200b\\ufeff"),
        ("\u2028\u2800\u3164\ufe0f\U000e0101", "\\u2028\\u2800\\u3164\\ufe0f\\U000e0101"),
        ("\ud800", "\\ud800"),
        ("\xa0", "\\xa0"),
    ],
)
def test_escaped(text: str, shown: str) -> None:
    """Letters of any script stay; what controls, hides or reorders does not."""
    assert escaped(text) == shown


@pytest.mark.claim("S16")
def test_every_control_and_format_character() -> None:
    """None of the kinds Cc, Cf, Cs, Zl and Zp comes through."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    found = [chr(point) for point in range(0x110000) if unicodedata.category(chr(point)) in kinds]

    assert not [character for character in found if escaped(character) == character]


def test_another_character_set() -> None:
    """On a stream that has no such letter it is an escape, not a traceback."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(["Zürich"], stream)
    stream.seek(0)

    assert stream.read() == "Z\\xfcrich\n"
