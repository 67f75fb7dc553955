"""What is fuzzed, cheap targets first.

A target has a directory of inputs, their maximum length and a module, whose `one_input(data)` runs the product on some
bytes and raises AssertionError, or any other exception, where an invariant does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent


class Module(Protocol):
    """A target's module."""

    one_input: Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """`longest`: bytes of an input at most. `edits_json`: half of the mutations are of the JSON that an input holds.

    `minutes`: after which a run ends, though there were fewer executions than it was to have.
    """

    name: str
    reads: str
    longest: int
    edits_json: bool = False
    minutes: int = 180

    @property
    def corpus(self) -> Path:
        """The inputs that every run begins with."""
        return HERE / "corpus" / self.name

    @property
    def dictionary(self) -> Path:
        """Words that mutations may put in, in libFuzzer's form."""
        return HERE / "corpus" / f"{self.name}.dict"

    def inputs(self) -> list[Path]:
        """Return the files of the corpus."""
        return sorted(self.corpus.iterdir())

    def load(self) -> Module:
        """Import the module."""
        return cast("Module", import_module(f"tests.experiments.fuzz.{self.name}"))


TARGETS = {
    target.name: target
    for target in (
        Target("webhook_http", "the head of a request to the webhook", 1024),
        Target("words", "role ARNs, regions, globs, annotations, settings", 600),
        Target("sts_answers", "what STS answers, and what the child of an exchange says to its parent", 2048),
        Target("sidecar_http", "the conversation with a client of the credential and the health port", 1024),
        Target("reviews", "AdmissionReviews", 4096, edits_json=True),
        Target("manifests", "manifests and parameters given to `inject`", 700, edits_json=True, minutes=150),
    )
}
