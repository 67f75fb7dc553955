"""Completion in the shells themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from emulator.build import apt
from emulator.completion import SCRIPTS

if TYPE_CHECKING:
    from pathlib import Path

# The line `imds-emulator check p`, completed; what a shell would do with the answers is printed.
BASH = """
source script
complete -p imds-emulator
COMP_WORDS=(imds-emulator check p) COMP_CWORD=2
_imds_emulator
printf '%s\\n' "${COMPREPLY[@]}"
cd files
COMP_WORDS=(imds-emulator inject -f a) COMP_CWORD=3
compopt() { :; }
_imds_emulator
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { print -- "$@" }
_describe() { print -l -- "${(@P)2}" }
_files() { print files }
source script
words=(imds-emulator check p) CURRENT=3
_imds_emulator
words=(imds-emulator inject -f a) CURRENT=4
_imds_emulator
"""
FISH = """
source script
complete --do-complete 'imds-emulator check p'
cd files
complete --do-complete 'imds-emulator inject -f a'
"""
POD, PODS = (
    "why does this pod get no credentials?",
    "a table of all labelled pods: injected, ready, role, last answer of STS",
)
EXPECTED = {
    "bash": ["complete -F _imds_emulator imds-emulator", "pod", "pods", "a b.yaml"],
    "zsh": ["_imds_emulator imds-emulator", f"pod:{POD}", f"pods:{PODS}", "files"],
    "fish": [f"pod\t{POD}", f"pods\t{PODS}", "a b.yaml"],
}
LINES = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_completion(shell: str, tmp_path: Path) -> None:
    """Each shell offers the words with what they mean, and files where a file is wanted, blanks in their names too."""
    if os.geteuid() != 0 and apt.program(shell) is None:
        pytest.skip(f"{shell} is not installed")
    apt.ensure({shell: shell})
    (tmp_path / "script").write_text(SCRIPTS[shell])
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a b.yaml").touch()
    program = tmp_path / "imds-emulator"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m emulator "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in ("src", ".")),  # noqa: PTH100 - of PYTHONPATH
    }

    done = subprocess.run(
        [shell, "-c", LINES[shell]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert (EXPECTED[shell], "") == ([line.rstrip() for line in done.stdout.splitlines()], done.stderr)
