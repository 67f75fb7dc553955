"""Lines for a person: nothing that a pod, a file or an API server says reaches a terminal as it came."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

# Invisible, though `str.isprintable` takes them for letters and marks.
# Source: Unicode Character Database, DerivedCoreProperties, Default_Ignorable_Code_Point; U+2800 is a blank.
_INVISIBLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)


def escaped(text: str) -> str:
    """Return one line: control characters, and those that can't be seen or that reorder a line, as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if _is_visible(character) else character.encode("unicode_escape").decode() for character in text
    )


def show(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines to `stream`, by default standard output: the only way out for text that others wrote."""
    out = stream or sys.stdout
    for line in lines:
        text = f"{escaped(line)}\n"
        try:
            out.write(text)
        except UnicodeEncodeError:  # a terminal, or a file, of another character set
            out.write(text.encode("ascii", "backslashreplace").decode())


def _is_visible(character: str) -> bool:
    return character.isprintable() and not any(low <= ord(character) <= high for low, high in _INVISIBLE)
