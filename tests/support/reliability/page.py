"""docs/reliability.md, made from the records.

In: records, and the reasons why some experiments have no short form. Out: the page's text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from tests.support.reliability.figures import Record, Row

# Folder of the experiments: title, and what they are about; in the order of the page.
SECTIONS = {
    "load": ("Load", "More clients, connections and admissions than a pod or a cluster should ever see."),
    "faults": (
        "Faults",
        "Nothing serves an expired or partial credential, no labelled pod runs without the emulator, all heals alone.",
    ),
    "fuzz": (
        "Fuzzing",
        "Inputs made up by a fuzzer that follows the coverage, from the corpus in `tests/experiments/fuzz`.",
    ),
    "scale": ("Scale", "What a large cluster asks of STS, of the API server and of its nodes, and what breaks first."),
    "operators": ("Upgrades and rotations", "What operators do while pods are being created."),
    "soak": ("Soak", "Months of refreshes and rotations in hours."),
}
ACRONYMS = {word.lower(): word for word in ("API", "CA", "DNS", "HTTP", "STS", "TLS")}
HEAD = """\
# Reliability

<!-- Made from tests/experiments/records by `python -m tests.support.reliability`. Do not edit. -->

Every figure here was measured by the command beside it; run it to measure yours. `make chaos` runs all experiments but
the soak (`make soak`), on loopback and the test cluster alone, and writes this page. `make test` runs the short form of
each, but for those listed [at the end](#without-a-short-form). The bound in a row is one that the experiment asserts.
"""


def page(records: Iterable[Record], full_only: Mapping[str, str]) -> str:
    """Return the page; `full_only` maps an experiment's test id to the reason why it has no short form."""
    by_section: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        by_section.setdefault(record.section, {}).setdefault(record.name.partition("[")[0], []).append(record)
    sections = [
        "\n".join([f"## {title}\n", f"{about}\n", *map(_experiment, by_section[name].items())])
        for name, (title, about) in SECTIONS.items()
        if name in by_section
    ]
    return "\n".join([HEAD, *sections, _full_only(full_only)])


def _experiment(named: tuple[str, Sequence[Record]]) -> str:
    """Return an experiment; the variants of one, which are one test, share a table."""
    name, records = named
    first = records[0]
    title = " ".join(ACRONYMS.get(word, word) for word in name.split("_"))
    table = _table(first.rows) if len(records) == 1 else _variants(records)
    plots = [f"\n![{caption}]({file})" for file, caption in first.plots.items()]
    missed = [f"\n**Not held:** {record.missed}" for record in records if record.missed]
    command = first.command if len(records) == 1 else first.command.partition("[")[0].replace("'", "")
    where = f"`{command}` ({_range(r.date for r in records)}; {_range(r.machine for r in records)})"
    return "\n".join(
        [f"### {title[:1].upper()}{title[1:]}\n", f"{first.claim}\n", *table, *missed, *plots, f"\n{where}\n"]
    )


def _table(rows: Iterable[Row]) -> list[str]:
    return _lines([["figure", "measured", "bound"], *([row.what, row.value, row.bound] for row in rows)])


def _variants(records: Sequence[Record]) -> list[str]:
    """Return a table with a line for each variant, and a column for each figure that any of them has."""
    figures = dict.fromkeys(row.what for record in records for row in record.rows)
    bounds = [{row.bound for record in records for row in record.rows if row.what == figure} for figure in figures]
    shared = ["; ".join(bound) if len(bound) == 1 else "" for bound in bounds]  # else each variant has its own
    measured = [
        [
            record.name.partition("[")[2].removesuffix("]"),
            *({r.what: r.value for r in record.rows}.get(f, "") for f in figures),
        ]
        for record in records
    ]
    return _lines([["", *figures], ["*bound*", *shared], *measured])


def _lines(cells: Iterable[Sequence[str]]) -> list[str]:
    head, *rest = ["| " + " | ".join(map(_cell, line)) + " |" for line in cells]
    return [head, "|---" * (len(head.replace("\\|", "").split("|")) - 2) + "|", *rest]


def _range(texts: Iterable[str]) -> str:
    """Return a text that all share, or the first and the last of those that differ in the number at their end."""
    different = sorted(set(texts), key=lambda text: [int(number) for number in re.findall(r"[0-9]+", text)])
    return different[0] if len(different) == 1 else f"{different[0]} to {different[-1].rpartition(' ')[2]}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _full_only(reasons: Mapping[str, str]) -> str:
    lines = [f"| `{test}` | {_cell(reason)} |" for test, reason in sorted(reasons.items())]
    return "\n".join(["## Without a short form\n", "| experiment | why |", "|---|---|", *lines, ""])
