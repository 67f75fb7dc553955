"""JSON by the C parts of the module `json`, which itself would load `re`: 8 ms in the start of each pod."""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Plain:
    """What `json.JSONDecoder` is by default, as an object for `make_scanner`."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012 - as in json.scanner


_scan = make_scanner(_Plain)  # type: ignore[arg-type]
_chunks = make_encoder(None, None, encode_basestring_ascii, None, ": ", ", ", False, False, False)  # type: ignore[arg-type] # noqa: FBT003


def encode(value: object) -> str:
    """Return a value as JSON."""
    return "".join(_chunks(value, 0))


def decode(text: str) -> Any:  # noqa: ANN401 - decoded JSON
    """Return the first value in a text; raises ValueError."""
    try:
        value, _ = _scan(text.lstrip(), 0)
    except StopIteration:
        raise ValueError("no JSON") from None
    return value
