"""Which claims docs/security.md makes, and which tests say that they prove them.

In: the page; the test files, read and not run. Out: claims by number; the claims of each test.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "security.md"
ROW = re.compile(r"^\| (?P<number>S\d\d) \| (?P<claim>.+) \|$", re.MULTILINE)
NUMBER = re.compile(r"\bS\d\d\b")


@dataclass(frozen=True)
class Marked:
    """A function with the mark `claim`."""

    test: str
    numbers: tuple[str, ...]


def claimed(page: str) -> dict[str, str]:
    """Return the claims of the page; raises ValueError for a number that two rows have, or that no row has."""
    rows = [(row["number"], row["claim"]) for row in ROW.finditer(page)]
    claims = dict(rows)
    if len(claims) != len(rows):
        raise ValueError("two claims have one number")
    if unknown := set(NUMBER.findall(page)) - set(claims):
        raise ValueError(f"the page speaks of {', '.join(sorted(unknown))}, which no row of a table claims")
    return claims


def marked(folder: Path = TESTS) -> Iterator[Marked]:
    """Yield each function of the test files that has the mark, in a decorator or on one of its parameters."""
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        if "mark.claim(" in text:
            yield from in_text(text, str(path.relative_to(folder)))


def in_text(text: str, name: str) -> Iterator[Marked]:
    """Yield those of one file; raises ValueError for a mark that is on no test, which pytest would not run either."""
    found = []
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            calls = [call for decorator in node.decorator_list for call in _calls(decorator)]
            found += calls
            if calls:
                yield Marked(f"{name}::{node.name}", tuple(number for call in calls for number in _numbers(call)))
    if astray := set(_calls(tree)) - set(found):
        lines = ", ".join(str(call.lineno) for call in astray)
        raise ValueError(f"{name}: a claim is marked on no test, line {lines}")


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.claim":
            yield node


def _numbers(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            raise TypeError(f"line {call.lineno}: a claim is a text such as 'S01', not {ast.unparse(argument)}")
        yield argument.value
