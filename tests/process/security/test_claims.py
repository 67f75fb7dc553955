"""Page and tests agree: no claim without a test, no test of a claim that is not made."""

import ast
from pathlib import Path

import pytest

from tests.process.security.claims import PAGE, Marked, claimed, in_text, marked


def test_every_claim_has_a_test() -> None:
    """What docs/security.md claims is proved by at least one test."""
    proved = {number for each in marked() for number in each.numbers}

    assert [] == sorted(claimed(PAGE.read_text()).keys() - proved)


def test_every_mark_names_a_claim() -> None:
    """A test names only what docs/security.md claims, and something at all."""
    claims = claimed(PAGE.read_text())

    assert [] == [each for each in marked() if not each.numbers or set(each.numbers) - claims.keys()]


def test_tests_of_this_folder() -> None:
    """Here each test proves a claim, but for those of this file."""
    here = Path(__file__).parent
    proving = {each.test for each in marked(here)}
    files = [path for path in here.glob("test_*.py") if path != Path(__file__)]
    tests = {
        f"{path.name}::{node.name}"
        for path in files
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }

    assert proving == tests


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("| S01 | one |\n| S01 | another |\n", "two claims have one number"),
        ("| S01 | one |\n\nas S02 says\n", "the page speaks of S02, which no row of a table claims"),
    ],
)
def test_page(page: str, complaint: str) -> None:
    """A page that is not clear about its claims is refused."""
    with pytest.raises(ValueError, match=complaint):
        claimed(page)


MARKS = """
@pytest.mark.claim("S01", "S02")
def test_one(): ...
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.claim("S03"))])
def test_other(x): ...
"""


def test_marks() -> None:
    """A mark is found as a decorator and on a parameter; on what is not a test it is a mistake."""
    expected = [Marked("f.py::test_one", ("S01", "S02")), Marked("f.py::test_other", ("S03",))]
    assert expected == list(in_text(MARKS, "f.py"))

    with pytest.raises(ValueError, match=r"f.py: a claim is marked on no test, line 1"):
        list(in_text("pytestmark = pytest.mark.claim('S01')", "f.py"))
