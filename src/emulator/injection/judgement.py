"""Applies the rules to a pod.

Each rule that finds something gives one line.
"""

from __future__ import annotations

import re
from string import Template
from typing import TYPE_CHECKING

from emulator import names
from emulator.arn import SHOWN_LIMIT
from emulator.injection.advice import WARNINGS
from emulator.injection.facts import QUESTIONS
from emulator.injection.json_values import at
from emulator.injection.rules import LABEL_VALUE, REFUSALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.injection.facts import Facts
    from emulator.injection.rule import Rule


def refusal(facts: Facts) -> str:
    """Return the line that says why the pod is refused, '' if it is not."""
    return next(_lines(REFUSALS, facts), "")


def warnings(facts: Facts) -> list[str]:
    """Return the lines that warn of what is odd in a pod that is admitted."""
    return list(_lines(WARNINGS, facts))


def label_warning(facts: Facts) -> list[str]:
    """Return the line that warns of a label whose value leaves the pod alone; none where the label is absent."""
    has_label = names.LABEL_ENABLED in (at(facts.metadata, "labels") or {})
    return list(_lines((LABEL_VALUE,), facts)) if has_label else []


def _lines(rules: tuple[Rule, ...], facts: Facts) -> Iterator[str]:
    for rule in rules:
        if found := rule.find(facts):
            yield line(rule, found, facts)


def line(rule: Rule, found: str, facts: Facts) -> str:
    """Return the rule's message with what it is about."""
    values = {name: shown(_value(name, found, facts)) for name in Template(rule.message).get_identifiers()}
    return Template(rule.message).substitute(values)


def is_of(rule: Rule, message: str) -> bool:
    """Tell whether a message of an API server comes from this rule, with any values."""
    texts = Template.pattern.sub("\0", rule.message).split("\0")
    return re.search(".*".join(map(re.escape, texts)), message, re.DOTALL) is not None


def _value(name: str, found: str, facts: Facts) -> str:
    if name == "found":
        return found
    value: str = getattr(facts, name) if name in QUESTIONS else facts.parameters[name]
    return value


# As `strings.quote` of CEL does it, so that a message has one line whatever a pod's owner wrote.
_ESCAPES = str.maketrans(
    {
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\v": "\\v",
        "\\": "\\\\",
        '"': '\\"',
    }
)


def shown(value: str) -> str:
    """Return a value as messages show it: quoted, and cut where it is long."""
    cut = value if len(value) <= SHOWN_LIMIT else value[:SHOWN_LIMIT] + "..."
    return f'"{cut.translate(_ESCAPES)}"'
