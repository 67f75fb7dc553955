"""What may be typed next, as the shells ask for it: the commands' own parsers decide."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

import pytest

from emulator import completion
from emulator.__main__ import BY_ENVIRONMENT, COMMANDS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ch"], ["check"]),
        (["check", ""], ["cluster", "pod", "pods"]),
        (["check", "p"], ["pod", "pods"]),
        (["check", "pods", "--all"], ["--all-namespaces"]),
        (["-n", "team-a", "trust"], ["trust-policy"]),
        (["check", "--output", ""], ["text", "json"]),
        (["trust-policy", "-o", "j"], ["json"]),
        (["inject", "-f", ""], [completion.FILES]),
        (["inject", "--parameters", "dir/"], [completion.FILES]),
        (["inject", "--set", ""], []),
        (["inject", "--krm", "--c"], ["--check"]),
        (["redirect", "--w"], ["--wait"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["no-command", ""], [*COMMANDS, "help", "version"]),
    ],
)
def test_candidates(words: list[str], expected: list[str]) -> None:
    """Commands, words, options and values are offered where they can stand."""
    assert expected == [line.split("\t")[0] for line in completion.candidates(words)]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_the_help(name: str) -> None:
    """`--help` of every command says what each option means, and completion offers exactly these options."""
    shown = subprocess.run(
        [sys.executable, "-m", "emulator", name, "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = set(re.findall(r"^  (--?[\w-]+)", shown, re.MULTILINE)) | set(
        re.findall(r"^  -\w(?: \S+)?, (--[\w-]+)", shown, re.MULTILINE)
    )
    offered = {line.split("\t")[0] for line in completion.candidates([name, "-"])} - {"--help", "-h"}

    assert offered == options - {"--help", "-h"}


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - set(BY_ENVIRONMENT)))
def test_every_option_has_a_meaning(name: str) -> None:
    """Nothing can be given whose help is empty, in a subcommand either."""

    def check(at: completion.Command, path: str) -> None:
        assert [] == [f"{path} {option.names}" for option in at.options if not option.meaning.strip()]
        for word, below in at.commands.items():
            check(below, f"{path} {word}")

    check(completion.command(name), name)


def test_values_of_an_option() -> None:
    """An option takes one of its choices, a file, or what nobody can list."""
    parser = argparse.ArgumentParser()
    actions = [
        parser.add_argument("--flag", action="store_true"),
        parser.add_argument("--choice", choices=("a", "b")),
        parser.add_argument("--file", metavar="FILE"),
        parser.add_argument("--name"),
    ]

    assert [None, ("a", "b"), (completion.FILES,), ()] == [completion._values(action) for action in actions]  # noqa: SLF001
