"""Log lines: one for each change of state, as key=value, to standard error."""

import posix
import time
from select import POLLOUT, poll

STDERR = 2
ORDER = ("debug", "info", "warning", "error")
LEVELS = ("debug", "info", "error")  # from which on one may have lines written
shown = {"info", "warning", "error"}


def show_from(level: str) -> None:
    """Write lines of this level and of those above it from now on."""
    shown.clear()
    shown.update(ORDER[ORDER.index(level) :])


def write(level: str, event: str, fields: dict[str, str]) -> None:
    """Write one line, if its level is shown.

    Where nobody takes it (a closed or full pipe, a full disk) it is lost; the server goes on.
    """
    if level not in shown:
        return
    writable = poll()
    writable.register(STDERR, POLLOUT)
    try:
        if writable.poll(0):  # a pipe then takes 4096 bytes at once
            posix.write(STDERR, line(level, event, fields, time.time()).encode())
    except OSError:
        return


def line(level: str, event: str, fields: dict[str, str], now: float) -> str:
    """Return the line; fields that are empty are left out."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    known = {"time": stamp, "level": level, "event": event, **fields}
    return " ".join(f"{name}={_value(value)}" for name, value in known.items() if value) + "\n"


def _value(text: str) -> str:
    """Return the text, in quotes if it would not read as one word."""
    if text.isascii() and text.isprintable() and not any(c in text for c in ' "=\\'):
        return text
    plain = "".join(c if c.isprintable() else " " for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
