"""Values deep in decoded JSON, of which nothing is taken for granted.

A value on the way that is of another kind counts as missing.
"""

from __future__ import annotations

from typing import Any


def at(value: Any, *path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value at a path of keys, or None."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def maps(value: Any, *path: str) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Return the maps in the list at a path, or an empty list."""
    found = at(value, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
