"""The page of figures, and the records it is made from."""

from pathlib import Path

import pytest

from tests.support.reliability import figures
from tests.support.reliability.figures import Figures, Record, Row, file_name, spelled, write
from tests.support.reliability.page import HEAD, page


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (1_000_000, "1,000,000"), (0.12345, "0.123"), (12345.6, "12,346"), ("none", "none"), (True, "True")],
)
def test_numbers_are_spelled_for_a_person(value: float | str, expected: str) -> None:
    """Thousands apart, and no digit that says nothing."""
    assert expected == spelled(value)


def test_a_file_for_each_parameter() -> None:
    """The experiments of one test function keep a record each."""
    assert ["outage-native.json", "outage.json"] == [file_name("outage[native]"), file_name("outage")]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Nothing of a record is lost in its file."""
    made = Figures()
    made.add("slowest answer", 12.5, "ms", "250 ms")
    made.plot("scale.svg", "calls over time")
    record = Record("load", "flood", "It holds.", "run it", "2026-01-01", "a machine", made.rows, made.plots)

    write(record, tmp_path)

    assert [record] == figures.read(tmp_path)


def test_page() -> None:
    """A section for each kind of experiment, a table for each one with its variants, and what has no short form."""
    rows = [Row("slowest | answer", "12.5 ms", "250 ms")]
    records = [
        Record(
            "faults",
            "outage[long]",
            "It heals.",
            "'two[long]'",
            "2026-01-02",
            "b, load 1.5",
            [Row("healed", "9 s")],
            missed="Late.",
        ),
        Record(
            "faults",
            "outage[short]",
            "It heals.",
            "'two[short]'",
            "2026-01-02",
            "b, load 12.5",
            [Row("lost", "0", "0"), Row("healed", "8 s")],
        ),
        Record("load", "keep_alive_flood", "It holds.", "one", "2026-01-01", "a", rows, {"x.svg": "calls"}),
    ]

    _, load, faults, rest = page(records, {"tests/experiments/soak/test_soak.py::test_soak": "two hours"}).split(
        "\n## "
    )

    assert HEAD.rstrip() == page([], {}).partition("\n## ")[0].rstrip()
    assert load.endswith(
        "### Keep alive flood\n\nIt holds.\n\n"
        "| figure | measured | bound |\n|---|---|---|\n| slowest \\| answer | 12.5 ms | 250 ms |\n"
        "\n![calls](x.svg)\n\n`one` (2026-01-01; a)\n"
    )
    assert faults.endswith(
        "### Outage\n\nIt heals.\n\n"
        "|  | healed | lost |\n|---|---|---|\n| *bound* |  | 0 |\n| long | 9 s |  |\n| short | 8 s | 0 |\n"
        "\n**Not held:** Late.\n"
        "\n`two` (2026-01-02; b, load 1.5 to 12.5)\n"
    )
    assert rest == (
        "Without a short form\n\n| experiment | why |\n|---|---|\n"
        "| `tests/experiments/soak/test_soak.py::test_soak` | two hours |\n"
    )
