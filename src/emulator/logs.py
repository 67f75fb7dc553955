"""Log lines of the webhook.

Goes in: an event and its fields.
Comes out: one line `time=... event=... key=value ...` on stderr; whatever a value holds, it stays one line.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime

_PLAIN = re.compile(r"[\w.:/@+,*-]+", re.ASCII)


def log(event: str, **fields: object) -> None:
    """Write one line; a field that is None is left out."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    sys.stderr.write(f"time={stamp} {log_line(event, fields)}\n")
    sys.stderr.flush()


def log_line(event: str, fields: dict[str, object]) -> str:
    """Return the line without its time; a value with white space, quotes or the like is written as a JSON string."""
    shown = {"event": event, **{key: value for key, value in fields.items() if value is not None}}
    return " ".join(f"{key}={_quote(str(value))}" for key, value in shown.items())


def _quote(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value)
