"""The figures of an experiment, and the file that keeps them.

In: what a test measured. Out: `records/SECTION/NAME.json`, from which the page is made.
"""

import datetime as dt
import json
import os
import platform
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

RECORDS = Path(__file__).parents[2] / "experiments" / "records"


@dataclass(frozen=True)
class Row:
    """One figure: what it is of, its value with its unit, and the bound that the test held it to ("" for none)."""

    what: str
    value: str
    bound: str = ""


@dataclass
class Figures:
    """What one experiment measured, in the order in which a reader wants it."""

    rows: list[Row] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, value: float | str, unit: str = "", bound: str = "") -> None:
        """Add a figure; a float is kept to three digits."""
        self.rows.append(Row(what, f"{spelled(value)} {unit}".strip(), bound))

    def plot(self, name: str, caption: str) -> None:
        """Show a picture of docs/ under the figures."""
        self.plots[name] = caption


@dataclass(frozen=True)
class Record:
    """An experiment that ran whole: its claim (the test's docstring), the command that repeats it, and its figures.

    `machine` names cores, memory, kernel, and the load before the experiment began. `missed`: which bound a run did not
    hold to, and why, where its record is kept nevertheless.
    """

    section: str
    name: str
    claim: str
    command: str
    date: str
    machine: str
    rows: list[Row]
    plots: dict[str, str] = field(default_factory=dict)
    missed: str = ""


def spelled(value: float | str) -> str:
    """Return a number as a person reads it: thousands apart, floats to three digits."""
    match value:
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case _ if abs(value) >= 1000:
            return f"{value:,.0f}"
        case _:
            return f"{value:.3g}"


def today() -> str:
    """Return the date, in UTC."""
    return dt.datetime.now(dt.UTC).date().isoformat()


def machine() -> str:
    """Describe this machine, and how busy it is now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return f"{cores} cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, load {load:.1f}"


def file_name(name: str) -> str:
    """Return the file of an experiment; a parameter's brackets become a dash.

    >>> file_name("outage[native]")
    'outage-native.json'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-") + ".json"


def write(record: Record, records: Path = RECORDS) -> None:
    """Keep a record, in place of the one before."""
    path = records / record.section / file_name(record.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n")


def read(records: Path = RECORDS) -> list[Record]:
    """Return all records, by section and name."""
    loaded = [json.loads(path.read_text()) for path in sorted(records.glob("*/*.json"))]
    return [Record(**{**fields, "rows": [Row(**row) for row in fields["rows"]]}) for fields in loaded]
