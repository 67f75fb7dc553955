"""The table of neighbours in the documentation is of those that are tested."""

from __future__ import annotations

from tests.process.netns import __main__ as page
from tests.process.netns.neighbours import NEIGHBOURS
from tests.process.netns.test_neighbours import ORDERS


def test_rows() -> None:
    """Each neighbour has a row of this version in which all held."""
    passed = {f"test_beside[{each.name}-{order}]" for each in NEIGHBOURS for order in ORDERS}
    passed |= {f"test_no_proxy_yet[{each.name}]" for each in NEIGHBOURS if each.is_mesh}
    inside = page.PAGE.read_text().partition(page.START)[2].partition(page.END)[0]

    assert [page.row(each, passed) for each in NEIGHBOURS] == [line for line in inside.splitlines() if "|" in line][2:]


def test_written() -> None:
    """What is not the table stays, and what did not hold says so."""
    text = f"before\n{page.START}old\n{page.END}after\n"

    assert f"before\n{page.START}new\n{page.END}after\n" == page.written(text, "new\n")
    assert page.row(NEIGHBOURS[0], set()).count("**no**") == len(ORDERS) + 1
