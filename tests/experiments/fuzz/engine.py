"""The process that fuzzes: `python -m tests.experiments.fuzz.engine TARGET [FLAG OF LIBFUZZER | DIRECTORY]...`.

It prints libFuzzer's report on standard error and exits with 0 if all went well. Coverage is measured in the product
only.
"""

from __future__ import annotations

import json
import random
import sys
from hashlib import sha256

import atheris

from tests.experiments.fuzz.run import finds
from tests.experiments.fuzz.targets import TARGETS
from tests.experiments.fuzz.trees import edited


def main() -> None:
    """Fuzz."""
    target = TARGETS[sys.argv[1]]
    with atheris.instrument_imports(include=["emulator"], enable_loader_override=False):
        module = target.load()
    arguments = {"custom_mutator": mutated} if target.edits_json else {}

    def one_input(data: bytes) -> None:
        try:
            module.one_input(data)
        except BaseException:  # libFuzzer keeps it too, but not where the process comes to its end in another way
            path = finds() / f"{target.name}-{sha256(data).hexdigest()[:16]}"
            path.write_bytes(data)
            print(f"Test unit written to {path}", flush=True)
            raise

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input, **arguments)
    atheris.Fuzz()


def mutated(data: bytes, longest: int, seed: int) -> bytes:
    """Return the input with its JSON edited, or, where it holds none and as often, some of its bytes."""
    if seed % 2:
        try:
            tree = json.loads(data[1:])
        except (ValueError, RecursionError):
            pass
        else:
            text = json.dumps(edited(tree, random.Random(seed)), ensure_ascii=False)  # noqa: S311 - to be repeatable
            made = data[:1] + text.encode("utf-8", "surrogatepass")
            if len(made) <= longest:
                return made
    found: bytes = atheris.Mutate(data, longest)
    return found


if __name__ == "__main__":
    main()
