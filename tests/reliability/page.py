"""docs/reliability.md, made from the records.

In: records, and the reasons why some experiments have no short form. Out: the page's text.
"""

from collections.abc import Iterable, Mapping

from tests.reliability.figures import Record, Row

# Folder of the experiments: title, and what they are about; in the order of the page.
SECTIONS = {
    "load": ("Load", "More clients, connections and admissions than a pod or a cluster should ever see."),
    "faults": (
        "Faults",
        "Nothing serves an expired or partial credential, no labelled pod runs without the emulator, all heals alone.",
    ),
    "fuzz": ("Fuzzing", "Inputs made up by a fuzzer that follows the coverage, from the corpus in `tests/fuzz`."),
    "scale": ("Scale", "What a large cluster asks of STS, of the API server and of its nodes, and what breaks first."),
    "operators": ("Upgrades and rotations", "What operators do while pods are being created."),
    "soak": ("Soak", "Months of refreshes and rotations in hours."),
}
HEAD = """\
# Reliability

<!-- Made from tests/reliability/records by `python -m tests.reliability`. Do not edit. -->

Every figure here was measured by the command beside it; run it to measure yours. `make chaos` runs all experiments but
the soak (`make soak`), on loopback and the test cluster alone, and writes this page. `make test` runs the short form of
each, but for those listed [at the end](#without-a-short-form). The bound in a row is one that the experiment asserts.
"""


def page(records: Iterable[Record], full_only: Mapping[str, str]) -> str:
    """Return the page; `full_only` maps an experiment's test id to the reason why it has no short form."""
    by_section: dict[str, list[Record]] = {}
    for record in records:
        by_section.setdefault(record.section, []).append(record)
    sections = [
        "\n".join([f"## {title}\n", f"{about}\n", *map(_experiment, by_section[name])])
        for name, (title, about) in SECTIONS.items()
        if name in by_section
    ]
    return "\n".join([HEAD, *sections, _full_only(full_only)])


def _experiment(record: Record) -> str:
    return "\n".join(
        [
            f"### {_title(record.name)}\n",
            f"{record.claim}\n",
            *_table(record.rows),
            *(f"\n![{caption}]({name})" for name, caption in record.plots.items()),
            f"\n`{record.command}` ({record.date}; {record.machine})\n",
        ]
    )


def _title(name: str) -> str:
    words = name.replace("_", " ").replace("[", " (").replace("]", ")")
    return words[:1].upper() + words[1:]


def _table(rows: Iterable[Row]) -> list[str]:
    lines = [f"| {_cell(row.what)} | {_cell(row.value)} | {_cell(row.bound)} |" for row in rows]
    return ["| figure | measured | bound |", "|---|---|---|", *lines]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _full_only(reasons: Mapping[str, str]) -> str:
    lines = [f"| `{test}` | {_cell(reason)} |" for test, reason in sorted(reasons.items())]
    return "\n".join(["## Without a short form\n", "| experiment | why |", "|---|---|", *lines, ""])
