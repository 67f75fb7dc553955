"""Quantities as Kubernetes reads them, and what is taken from a person."""

from __future__ import annotations

from fractions import Fraction

import pytest

from emulator.injection.quantities import exceeds, is_number, quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", Fraction(1)),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("100m", Fraction(1, 10)),
        ("100n", Fraction(1, 10**7)),
        ("2k", Fraction(2000)),
        ("1E", Fraction(10**18)),
        ("1E3", Fraction(1000)),
        ("1e-3", Fraction(1, 1000)),
        ("64Mi", Fraction(64 * 1024**2)),
        ("1Ei", Fraction(1024**6)),
        ("", None),
        ("m", None),
        ("-1", None),
        ("64MB", None),
        ("64 Mi", None),
        ("1mi", None),
        ("1\n", None),
    ],
)
def test_quantity(text: str, expected: Fraction | None) -> None:
    """A quantity is read by its suffix; what is none has no value."""
    assert expected == quantity(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("10m", "0.1", "64Mi", "1e8", "1E9")),
        *((text, False) for text in ("0", "0m", "1E", ".5", "1e-3", "0.0001", "1\n")),
    ],
)
def test_number(text: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """Of a person a quantity above 0 is taken, in a form that CEL reads alike."""
    assert expected == is_number(text)


@pytest.mark.parametrize(
    ("request_", "limit", "expected"),
    [("1", "1000m", False), ("1001m", "1", True), ("1Gi", "1G", True), ("", "1", False), ("1", "", False)],
)
def test_exceeds(request_: str, limit: str, expected: bool) -> None:  # noqa: FBT001 - likewise
    """A request is above its limit by its value, however both are written; without either nothing is."""
    assert expected == exceeds(request_, limit)
