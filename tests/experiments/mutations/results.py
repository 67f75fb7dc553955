"""What came of the mutants, remembered in a file that several processes write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.experiments.mutations.mutants import Mutant


class Results:
    """Result by mutant, and by the text of its module (`digests`, by path), so that a change makes them void."""

    def __init__(self, file: Path, digests: dict[str, str]) -> None:
        self.file = file
        self.digests = digests
        self.known: dict[tuple[str, str], str] = {}
        self.read()

    def read(self) -> None:
        """Take what the file has; the latest of a mutant counts."""
        if self.file.exists():
            for line in self.file.read_text().splitlines():
                name, digest, result = line.split()
                self.known[name, digest] = result

    def forget(self, result: str) -> None:
        """Leave out all mutants of this result until they have another."""
        self.known = {key: known for key, known in self.known.items() if known != result}

    def get(self, mutant: Mutant) -> str | None:
        """Return the result, None if there is not one."""
        return self.known.get((mutant.name, self.digests[mutant.path]))

    def add(self, mutant: Mutant, result: str) -> None:
        """Write it down."""
        with self.file.open("a") as file:
            file.write(f"{mutant.name} {self.digests[mutant.path]} {result}\n")
