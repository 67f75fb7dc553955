"""What `imds-emulator check` found: one line each, with its remedy; text for a person, or JSON for a program."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from emulator.terminal import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

State = Literal["ok", "warning", "unknown", "failed"]
_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("ok", "\033[32m"),
    "warning": ("warning", "\033[33m"),
    "unknown": ("unknown", "\033[36m"),
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
    """Return the finding that `subject` works, but probably not as intended."""
    return Finding(subject, "warning", seen, remedy)


def unknown(subject: str, seen: str, right: str) -> Finding:
    """Return the finding that the user may not look; `right`: what somebody must be allowed to do who can."""
    return Finding(subject, "unknown", seen, f"ask someone with the RBAC permission to {right}")


def failed(subject: str, seen: str, remedy: str) -> Finding:
    """Return the finding that `subject` keeps credentials away, and how to fix it."""
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
        lines[-1] += escaped(f"{finding.subject}: {finding.seen}")
        if finding.remedy:
            lines.append(f"{'':<8} -> {escaped(finding.remedy)}")
    return "\n".join(lines)
