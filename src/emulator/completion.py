"""`imds-emulator completion bash|zsh|fish`: prints a script that completes the command line.

The script asks `imds-emulator completion --for WORD...`, whose answer is read from the commands' own parsers.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from emulator import __main__ as program
from emulator.variables import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = ":files"  # a line that stands for the names of files
SCRIPTS = {
    "bash": """\
# In ~/.bashrc: source <(imds-emulator completion bash)
_imds_emulator() {
    local line IFS=$'\\n'
    COMPREPLY=()
    while read -r line; do
        if [[ $line == :files ]]; then
            compopt -o filenames
            COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
        else
            COMPREPLY+=("${line%%$'\\t'*}")
        fi
    done < <(imds-emulator completion --for "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _imds_emulator imds-emulator
""",
    "zsh": """\
#compdef imds-emulator
# In ~/.zshrc, after compinit: source <(imds-emulator completion zsh)
_imds_emulator() {
    local line
    local -a found
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            _files
        else
            found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
        fi
    done < <(imds-emulator completion --for "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( ${#found} )) && _describe imds-emulator found
}
compdef _imds_emulator imds-emulator
""",
    "fish": """\
# imds-emulator completion fish > ~/.config/fish/completions/imds-emulator.fish
function __imds_emulator
    set --local words (commandline --tokenize --current-process --cut-at-cursor) (commandline --current-token)
    imds-emulator completion --for $words[2..] 2>/dev/null
end
complete --command imds-emulator --no-files --arguments '(__imds_emulator | string match --invert :files)'
complete --command imds-emulator --force-files --condition '__imds_emulator | string match --quiet :files'
""",
}


@dataclass(frozen=True)
class Option:
    """An option of a command. `values`: what it takes; None: nothing, empty: what nobody can list."""

    names: tuple[str, ...]
    meaning: str
    values: tuple[str, ...] | None


@dataclass(frozen=True)
class Command:
    """What may follow a command: options, and words with what they mean, each with a command of its own."""

    options: tuple[Option, ...] = ()
    words: dict[str, str] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)


def main(arguments: list[str]) -> int:
    """Print a script, or candidates with what they mean, a line each."""
    if arguments[:1] == ["--for"]:  # not argparse's, which would take a word `--` out
        for candidate in candidates(arguments[1:] or [""]):
            print(candidate)  # noqa: T201
        return 0
    print(SCRIPTS[parser().parse_args(arguments).shell], end="")  # noqa: T201
    return 0


def candidates(words: list[str]) -> list[str]:
    """Return the lines for the last of `words`, which follow `imds-emulator`; a tab stands before a meaning."""
    *before, last = words
    name, rest = program.split(before)
    if name not in program.COMMANDS:
        known = {command: purpose for command, (_, purpose) in program.COMMANDS.items()}
        return list(_lines({**known, "help": "the help of a command", "version": "print the version"}, last))
    at = command(name)
    for word in rest:
        at = at.commands.get(word, at)
    named = {option: each for each in at.options for option in each.names}
    if rest and (taking := named.get(rest[-1])) and taking.values is not None:
        return [value for value in taking.values if value.startswith(last) or value == FILES]
    meanings = {option: each.meaning for option, each in named.items()} if last.startswith("-") else at.words
    return list(_lines(meanings, last))


def command(name: str) -> Command:
    """Return what may follow a command of the list."""
    module = program.COMMANDS[name][0]
    if name in program.BY_ENVIRONMENT:
        shown = {**OPTIONS.get(name, {}), "--help": "print the command's help"}
        return Command(tuple(Option((option,), meaning, None) for option, meaning in shown.items()))
    read: argparse.ArgumentParser = import_module(module).parser()
    return _read(read)


def _read(parser: argparse.ArgumentParser) -> Command:
    options: list[Option] = []
    words: dict[str, str] = {}
    commands: dict[str, Command] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse shows them nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            words |= {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001 - likewise
            commands |= {name: _read(each) for name, each in action.choices.items()}
        elif action.option_strings and action.help != argparse.SUPPRESS:
            meaning = (action.help or "").replace("%(default)s", str(action.default))
            options.append(Option(tuple(action.option_strings), meaning, _values(action)))
        elif action.choices:
            words |= dict.fromkeys(map(str, action.choices), "")
    return Command(tuple(options), words, commands)


def _values(action: argparse.Action) -> tuple[str, ...] | None:
    if action.nargs == 0:
        return None
    if action.choices:
        return tuple(map(str, action.choices))
    return (FILES,) if action.metavar == "FILE" else ()


def _lines(meanings: dict[str, str], start: str) -> Iterator[str]:
    yield from (f"{word}\t{meaning}" for word, meaning in meanings.items() if word.startswith(start))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="imds-emulator completion", description="Print a script that completes the command line in a shell."
    )
    made.add_argument("shell", metavar="SHELL", choices=tuple(SCRIPTS), help=", ".join(SCRIPTS))
    return made
