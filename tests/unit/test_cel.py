"""The CEL text, as far as it can be judged without an API server; tests/process/parity has the rest."""

from __future__ import annotations

import re

import pytest

from emulator.injection import cel, cel_text
from emulator.injection.facts import QUESTIONS
from emulator.injection.steps import PARAMETERS

POLICIES = {
    "mutation": (cel.mutation_variables(), [{"expression": cel.mutation()}]),
    "guard": (cel.validation_variables(), cel.validations()),
    "advice": (cel.warning_variables(), cel.warnings()),
    "label advice": (cel.label_warning_variables(), cel.label_warnings()),
}


def named(*expressions: str) -> set[str]:
    """Return the variables that expressions read; the manifests add that of the parameters."""
    return set(re.findall(r"variables\.(\w+)", " ".join(expressions))) - {cel_text.PARAMETERS}


@pytest.mark.parametrize("policy", POLICIES)
def test_variables_are_those_needed(policy: str) -> None:
    """Each variable is defined before it is used, and none is there for nothing."""
    variables, entries = POLICIES[policy]
    used = named(*(text for entry in entries for text in entry.values()))
    known: set[str] = set()
    for variable in variables:
        needed = named(variable["expression"])
        assert needed <= known, variable["name"]
        used |= needed
        known.add(variable["name"])

    assert used == known


def test_every_fact_is_used() -> None:
    """No question is asked whose answer nobody wants."""
    used = {variable["name"] for variables, _ in POLICIES.values() for variable in variables}
    assert set(QUESTIONS) <= used


def test_every_parameter_is_used() -> None:
    """The parameters of `injection` are just those that the policies read."""
    expressions = [
        e for variables, entries in POLICIES.values() for entry in (*variables, *entries) for e in entry.values()
    ]
    assert set(PARAMETERS) == set(re.findall(r"variables\.parameters\.(\w+)", " ".join(expressions)))


def test_expressions_have_one_line() -> None:
    """An expression of several lines would need a message beside its messageExpression.

    Source: Kubernetes API reference, ValidatingAdmissionPolicy v1, Validation, message.
    """
    assert [] == [e for _, entries in POLICIES.values() for e in entries if "\n" in e["expression"] and "reason" in e]


def test_value_refuses_what_has_no_form() -> None:
    """A node that CEL can't say is an error when the text is made, not at admission."""
    with pytest.raises(TypeError, match=r"^1.5 has no form in CEL$"):
        cel.value(1.5)
