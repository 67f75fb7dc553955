"""What `injection` is written in: leaves of a tree of dict, list and constants, and steps that add such trees to a pod.

`patch` reads this data and `cel` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Param:
    """A parameter's text."""

    key: str


@dataclass(frozen=True)
class Number:
    """A parameter as a number, plus a constant."""

    key: str
    plus: int = 0


@dataclass(frozen=True)
class Joined:
    """A constant text with a parameter after it."""

    prefix: str
    key: str


@dataclass(frozen=True)
class Fact:
    """What `facts` tells of the pod: a text, or a condition."""

    name: str


@dataclass(frozen=True)
class FactText(Fact):
    """The same of a text, which as a condition holds if it is not empty."""


@dataclass(frozen=True)
class Part:
    """One of `PARTS`."""

    name: str


@dataclass(frozen=True)
class When:
    """A value of a dict, or an item of a list, that is there if the parameter is not empty or the fact holds."""

    condition: Param | Fact
    then: Any


@dataclass(frozen=True)
class Ensure:
    """Create the pod's list at `path` if it is missing."""

    path: str
    when: tuple[str, ...]


@dataclass(frozen=True)
class Add:
    """A JSON patch's `add` of `value` at `path` (RFC 6902 section 4.1)."""

    path: str
    value: Any
    when: tuple[str, ...]


@dataclass(frozen=True)
class AddNames:
    """Add an object {"name": ...} at `path` for each text of a fact that is a list."""

    path: str
    fact: str
    when: tuple[str, ...]


@dataclass(frozen=True)
class AddVariables:
    """Add variables, name and value, to the containers that are not ours and set none of them."""

    variables: dict[str, Any]
    when: tuple[str, ...]


@dataclass(frozen=True)
class ReplaceVariables:
    """Replace the emulator's variables that are keys of the fact `values` and say something else than it."""

    values: str
    when: tuple[str, ...]


@dataclass(frozen=True)
class MoveFirst:
    """Move our init containers to the head of the list, the emulator first."""

    when: tuple[str, ...]


@dataclass(frozen=True)
class EnsureVariables:
    """Create `env` in the containers that `steps` add to, where it is missing."""

    steps: tuple[AddVariables, ...]
