"""The chart's values: where they are, how data is written as YAML, and their table for the README.

In values.yaml the comment above a key is its documentation. The table has a row per key; a commented key whose children
are commented too is a heading above them, not a row.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[4] / "charts" / "imds-emulator"
_LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]+):")


def table(text: str) -> str:
    """Return the Markdown table of `text`; raises ValueError for a key without a comment."""
    values = yaml.safe_load(text)
    comments = documented(text)
    headings = {path.rpartition(".")[0] for path in comments if "." in path}
    for group, children in values.items():
        for path in [f"{group}.{child}" for child in children] if group in headings else [group]:
            if path not in comments:
                raise ValueError(f"values.yaml: {path} has no comment; write above it what it is for")
    rows = [
        f"| `{path}` | {comment} | `{json.dumps(_at(values, path), ensure_ascii=False)}` |\n"
        for path, comment in comments.items()
        if path not in headings
    ]
    return "".join(["| key | meaning | default |\n", "|---|---|---|\n", *rows])


def documented(text: str) -> dict[str, str]:
    """Return dotted key -> comment, for the keys of the first two levels that have one right above them."""
    found: dict[str, str] = {}
    comment: list[str] = []
    group = ""
    for line in text.splitlines():
        if line.lstrip().startswith("# "):
            comment.append(line.lstrip().removeprefix("# "))
            continue
        if match := _LINE.match(line):
            key = match["key"] if not match["indent"] else f"{group}.{match['key']}"
            group = group if match["indent"] else key
            if comment:
                found[key] = " ".join(comment)
        comment = []
    return found


def _at(values: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - YAML
    found: Any = values
    for part in path.split("."):
        found = found[part]
    return found


def to_yaml(data: Any, indent: int) -> str:  # noqa: ANN401 - YAML
    """Return data as YAML whose lines but the first are indented; texts of several lines become blocks."""
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=1000).rstrip()
    return text.replace("\n", "\n" + " " * indent)


class _Dumper(yaml.SafeDumper):
    """Of our own, so that its way with texts is nobody else's."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
