"""Characters that a person can't see in a value, shown by their numbers."""

from __future__ import annotations

# Controls, and what Unicode has for direction, joining and space. Others outside of ASCII are shown by their bytes:
# CEL can't tell a character's number.
_RANGES = (
    (0x00, 0x1F),
    (0x7F, 0xA0),
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x180E, 0x180E),
    (0x2000, 0x200F),
    (0x2028, 0x202F),
    (0x205F, 0x206F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
INVISIBLE = "".join(chr(number) for first, last in _RANGES for number in range(first, last + 1))


def by_number(character: str) -> str:
    """Return printable ASCII, tabs and line ends as they are, any other character as its number between < and >."""
    if " " <= character <= "~" or character in "\t\r\n":
        return character
    if character in INVISIBLE:
        return f"<U+{ord(character):04X}>"
    return f"<UTF-8 {character.encode(errors='backslashreplace').hex()}>"
