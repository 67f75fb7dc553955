"""Words of CEL, for those who write expressions over a pod, the parameters and the facts."""

from __future__ import annotations

PARAMETERS = "parameters"  # the policies' variable: a map of texts


def text(value: str) -> str:
    """Return a string as a CEL literal."""
    if "'" in value and '"' not in value and "\\" not in value:
        return f'"{value}"'
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def numbered(characters: str) -> str:
    """Return a CEL map of characters, written by their numbers, to names such as U+202E."""
    return "{" + ", ".join(f"'\\u{ord(c):04x}': 'U+{ord(c):04X}'" for c in characters) + "}"


def texts(values: tuple[str, ...] | list[str]) -> str:
    """Return strings as a CEL list."""
    return "[" + ", ".join(text(value) for value in values) + "]"


def param(key: str) -> str:
    """Return a parameter of the installation as CEL."""
    return f"variables.{PARAMETERS}.{key}"


def annotation(key: str) -> str:
    """Return an annotation of the pod as CEL, '' when it is not set."""
    return f"variables.annotations[?{text(key)}].orValue('')"


def trimmed(value: str) -> str:
    """Return a text without the white space around it that YAML leaves, as CEL."""
    return rf"{value}.find(r'(?s)[^ \t\r\n](?:.*[^ \t\r\n])?')"
