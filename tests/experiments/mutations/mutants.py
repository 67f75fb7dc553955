"""The mutants of a module: what mutmut's operators, and one of ours, make of each node of its syntax.

mutmut itself changes only what is in functions without a decorator; here the tables, which hold most of the rules, are
changed too, as are the facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst
from libcst import matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What no test of behaviour can notice, each with its reason. A node that matches is left as it is, with all below it.
LEFT_OUT = {
    "annotations: they are not evaluated": m.Annotation(),
    "imports: nothing runs without them": m.Import() | m.ImportFrom(),
    "types for mypy alone": m.If(test=m.Name("TYPE_CHECKING")) | m.Assign([m.AssignTarget(m.Name("TYPE_CHECKING"))]),
    "type variables": m.Assign(value=m.Call(m.Name("TypeVar"))),
    "slots: they save memory": m.Assign([m.AssignTarget(m.Name("__slots__"))]),
    "frozen dataclasses: mypy refuses the assignment": m.Decorator(m.Call(m.Name("dataclass"))),
}
# Likewise, but what is below it is changed.
ALIKE = {"None for False: both are false": m.Assign(value=m.Name("False")) | m.AnnAssign(value=m.Name("False"))}


@dataclass(frozen=True)
class Mutant:
    """One change of a module: the `number`-th."""

    path: str
    number: int
    wrapper: MetadataWrapper
    node: cst.CSTNode
    changed: cst.CSTNode

    @property
    def name(self) -> str:
        """What tells it from the others, while its module stays the same."""
        return f"{self.path}#{self.number}"

    @property
    def line(self) -> int:
        """Where it is."""
        return int(self.wrapper.resolve(PositionProvider)[self.node].start.line)

    @property
    def text(self) -> str:
        """The module with the change."""
        return str(self.wrapper.module.deep_replace(self.node, self.changed).code)

    def __str__(self) -> str:
        before, after = (self.wrapper.module.code_for_node(node).strip() for node in (self.node, self.changed))
        return f"{self.path}:{self.line}:\n  - {before}\n  + {after}"


def mutants(root: Path, path: str) -> Iterator[Mutant]:
    """Yield the mutants of the module at `path`, in the order of its text."""
    wrapper = MetadataWrapper(cst.parse_module((root / path).read_bytes()))
    changes = ((node, changed) for node in _nodes(wrapper.module) for changed in _changes(node))
    for number, (node, changed) in enumerate(changes):
        yield Mutant(path, number, wrapper, node, changed)


def _nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if any(m.matches(node, pattern) for pattern in LEFT_OUT.values()):
        return
    yield node
    for child in node.children:
        yield from _nodes(child)


def _changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if any(m.matches(node, pattern) for pattern in ALIKE.values()):
        return
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            changed = operator(node)
            # Of a text, mutmut's first change stands for its three.
            yield from list(changed)[:1] if isinstance(node, cst.BaseString) else changed
    if m.matches(node, m.Expr(m.Call())):  # a call for its effect, left out
        yield cst.Pass()
