"""Release notes: a section of CHANGELOG.md, and how to verify what was released."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A heading of Keep a Changelog -> a kind of Artifact Hub's changes.
KINDS = {
    "Added": "added",
    "Changed": "changed",
    "Deprecated": "deprecated",
    "Removed": "removed",
    "Fixed": "fixed",
    "Security": "security",
}
_HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\](?: - (?P<rest>.+))?$")


@dataclass(frozen=True)
class Section:
    """What CHANGELOG.md says of one version. `date`: as it is written, "" while it is unreleased."""

    version: str
    date: str
    text: str

    def changes(self) -> list[dict[str, str]]:
        """Return each entry with its kind, as Artifact Hub wants them."""
        found: list[dict[str, str]] = []
        kind = ""
        for line in self.text.splitlines():
            if line.startswith("### "):
                kind = KINDS.get(line.removeprefix("### ").strip(), "")
            elif line.startswith("- ") and kind:
                found.append({"kind": kind, "description": line.removeprefix("- ")})
            elif line.startswith("  ") and found:
                found[-1]["description"] += f" {line.strip()}"
        return found

    @property
    def is_security_fix(self) -> bool:
        """Does it have a part `Security`?"""
        return any(change["kind"] == "security" for change in self.changes())


def section(changelog: str, version: str) -> Section:
    """Return the section of `version`: `## [1.2.3] - DATE`, or `## [Unreleased] - 1.2.3` before its release."""
    lines = changelog.splitlines()
    starts = [(number, match) for number, line in enumerate(lines) if (match := _HEADING.match(line))]
    ends = [*(number for number, _ in starts[1:]), len(lines)]
    for (start, match), end in zip(starts, ends, strict=True):
        is_unreleased = match["name"] == "Unreleased"
        if version == (match["rest"] if is_unreleased else match["name"]):
            date = "" if is_unreleased else match["rest"] or ""
            return Section(version, date, "\n".join(lines[start + 1 : end]).strip() + "\n")
    raise ValueError(
        f"CHANGELOG.md: Required value: there is no section for version {version}: add `## [{version}] - DATE`"
    )


def text(said: Section, references: list[str], verify: str) -> str:
    """Return the notes; `references`: what was published, by digest; `verify`: the words after `cosign verify`."""
    published = "\n".join(f"- `{reference}`" for reference in references)
    lines = "\n".join(f"cosign verify {verify} {reference}" for reference in references)
    return f"{said.text}\n### Published\n\n{published}\n\nSigned by cosign:\n\n```sh\n{lines}\n```\n"
