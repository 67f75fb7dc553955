"""What `imds-emulator check` found: one line each, ok or not, with its remedy.

Goes in: findings. Comes out: text for a person (coloured on a terminal only) or JSON for a program.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

State = Literal["ok", "warning", "failed"]
_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("ok", "\033[32m"),
    "warning": ("warning", "\033[33m"),
    "failed": ("FAILED", "\033[31m"),
}
_RESET = "\033[0m"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its state, what was seen, and what to do unless it is ok."""

    subject: str
    state: State
    seen: str
    remedy: str = ""


def ok(subject: str, seen: str) -> Finding:
    """Return the finding that `subject` is as it should be."""
    return Finding(subject, "ok", seen)


def warning(subject: str, seen: str, remedy: str) -> Finding:
    """Return the finding that `subject` works, yet not as most people mean it."""
    return Finding(subject, "warning", seen, remedy)


def failed(subject: str, seen: str, remedy: str) -> Finding:
    """Return the finding that `subject` keeps credentials away, and how to mend it."""
    return Finding(subject, "failed", seen, remedy)


def status(findings: Sequence[Finding]) -> int:
    """Return the exit status: 1 if anything failed, else 0."""
    return int(any(finding.state == "failed" for finding in findings))


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON list of objects with the fields of `Finding`."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def as_text(findings: Sequence[Finding], *, coloured: bool) -> str:
    """Return a line for each finding, and under it the remedy where there is one."""
    lines = []
    for finding in findings:
        mark, colour = _MARKS[finding.state]
        padded = f"{mark:<8}"
        lines.append(f"{colour}{padded}{_RESET} " if coloured else f"{padded} ")
        lines[-1] += f"{finding.subject}: {finding.seen}"
        if finding.remedy:
            lines.append(f"{'':<8} -> {finding.remedy}")
    return "\n".join(lines)
