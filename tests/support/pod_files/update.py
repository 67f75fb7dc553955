"""Rewrite the outcomes beside the pods: `python -m tests.support.pod_files.update`; then read the difference.

It writes NAME.injected.yaml and the like for each case, and deletes those without a case.
"""

from __future__ import annotations

from tests.support.pod_files import pure
from tests.support.pod_files.cases import DIRECTORY, OUTCOMES, cases


def main() -> None:
    """Write all outcome files and delete the others."""
    wanted = {f"{case.name}{suffix}": text for case in cases() for suffix, text in pure.outcome(case).files().items()}
    for path in DIRECTORY.iterdir():
        if path.name.endswith(OUTCOMES) and path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (DIRECTORY / name).write_text(text)


if __name__ == "__main__":
    main()
