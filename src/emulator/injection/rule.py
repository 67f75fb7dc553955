"""A reason to refuse a pod or to warn of it, and what rows of such reasons are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator.injection.cel_text import annotation, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emulator.injection.facts import Facts


@dataclass(frozen=True)
class Rule:
    """One reason. `name` is the reason's name in tests and metrics."""

    name: str
    cel: str
    find: Callable[[Facts], str]
    message: str


def path(key: str) -> str:
    """Return the path of a pod's annotation, as messages name it."""
    return f"metadata.annotations['{key}']"


def only(name: str, key: str, choices: tuple[str, ...]) -> Rule:
    """Return the rule for an annotation that may have one of a few values."""
    return Rule(
        name,
        f"{annotation(key)} in {texts(('', *choices))} ? '' : {annotation(key)}",
        lambda facts: "" if (facts.annotations.get(key) or "") in ("", *choices) else facts.annotations[key],
        f"{path(key)}: Invalid value: $found: must be {', '.join(choices[:-1])} or {choices[-1]}",
    )


def containers_where(condition: str) -> str:
    """Return CEL for the names of those containers `c`, not ours, for which a condition holds, as `listed` has them."""
    return f"variables.others.filter(c, {condition}).map(c, string(c.name)).join(', ')"


def listed(names: Iterable[str]) -> str:
    """Return what a rule found, several as one text."""
    return ", ".join(names)


def not_allowed(facts: Facts, mode: str) -> str:
    """Return the role that the allow-list lacks, where it is in this mode."""
    return facts.role_arn if facts.parameters["allowedRolesMode"] == mode and not facts.role_allowed else ""
