"""Every command line and every key of values.yaml that a page names exists."""

from __future__ import annotations

import functools
import itertools
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator.build.render import __main__ as render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = render.ROOT
VALUES = yaml.safe_load((ROOT / render.CHART / "values.yaml").read_text())
PAGES = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        *(
            ROOT / name
            for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "kustomize/README.md")
        ),
        ROOT / render.CHART / "README.md",
    ]
)


def commands(page: Path) -> Iterator[str]:
    """Yield the lines of the shell examples of a page, and what stands between backticks in its text."""
    text = page.read_text()
    for block in re.findall(r"^ *```(?:sh|bash|shell)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines())
    yield from spans(text)


def spans(text: str) -> list[str]:
    """Return what stands between backticks in running text."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))


def words(command: str) -> list[str]:
    """Return the words of a command before a pipe or a comment."""
    try:
        found = shlex.split(command, comments=True)
    except ValueError:
        return []
    return found[: next((n for n, word in enumerate(found) if word in ("|", "&&", ";", "&", ">")), len(found))]


def all_words(program: str) -> list[tuple[str, list[str]]]:
    """Return page and words of each command line of a program, with variables before it left out."""
    found = []
    for page in PAGES:
        for command in commands(page):
            each = words(command)
            while each and re.fullmatch(r"[A-Z_]+=\S*", each[0]):
                each.pop(0)
            if each[: len(program.split())] == program.split():
                found.append((page.name, each[len(program.split()) :]))
    return found


@functools.cache
def help_of(*command: str) -> str:
    """Return what a command says of itself."""
    shown = subprocess.run(
        [sys.executable, "-m", "emulator", *command, "--help"], capture_output=True, text=True, check=False
    )
    assert 0 == shown.returncode, (command, shown.stderr)
    return shown.stdout


def value_is_there(path: str) -> bool:
    """Whether values.yaml has a key, or a map without keys of its own at its place."""
    found: Any = VALUES
    for part in path.split("."):
        if found == {}:
            return True
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def test_values_of_helm_commands() -> None:
    """Each `--set` of a `helm` command names a value of the chart."""
    given = [
        (page, pair.partition("=")[0])
        for page, each in all_words("helm")
        for option, argument in itertools.pairwise(each)
        if option == "--set"
        for pair in argument.split(",")
    ]

    assert len(given) >= 10
    assert [] == [(page, key) for page, key in given if not value_is_there(key)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_values_in_the_text(page: Path) -> None:
    """What the text of a page calls `group.key`, where the chart has that group, is a value of the chart."""
    groups = {key for key, value in VALUES.items() if isinstance(value, dict)} - {"resources"}
    named = {span.partition(":")[0].partition("=")[0] for span in spans(page.read_text())}
    keys = {name for name in named if re.fullmatch(r"[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)+(?<!\.com)", name)}

    assert [] == sorted(key for key in keys if key.partition(".")[0] in groups and not value_is_there(key))


def test_options_of_our_commands() -> None:
    """Each `imds-emulator` command exists, and has the options that the pages give it."""
    given = [(page, each) for page, each in all_words("imds-emulator") if each]
    wrong = []
    for page, each in given:
        command = [word for word in each[:2] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
        command = command if command[:1] == ["check"] and command[1:] in (["pod"], ["pods"]) else command[:1]
        options = {word.partition("=")[0] for word in each if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
        shown = help_of(*command)
        wrong += [(page, command, option) for option in options if not re.search(rf"(^|[\s\[]){option}\b", shown)]

    assert len(given) >= 30
    assert [] == wrong


def test_modules_and_targets() -> None:
    """Each `python -m` names a module that is there, each `make` a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    modules = {(page, each[0]) for page, each in all_words("python -m") if each}
    made = {(page, word) for page, each in all_words("make") for word in each if re.fullmatch(r"[a-z][a-z-]*", word)}

    missing = [
        (page, name)
        for page, name in modules
        if name.split(".")[0] in ("tests", "emulator")
        and not any(
            (ROOT / base / f"{name.replace('.', '/')}{end}").is_file()
            for base in ("", "src")
            for end in (".py", "/__main__.py")
        )
    ]

    assert [] == sorted(missing)
    assert [] == sorted((page, word) for page, word in made if word not in targets)


def test_paths() -> None:
    """Each file of the checkout that a page names is there."""
    named = [(page.name, span) for page in PAGES for span in spans(page.read_text())]
    paths = [(page, span) for page, span in named if re.fullmatch(r"(src|tests|docs|charts|kustomize)/[\w./-]+", span)]

    assert len(paths) >= 10
    assert [] == [(page, path) for page, path in paths if not (ROOT / path).exists()]
