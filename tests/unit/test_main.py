"""The command line finds the right command, or says which there are."""

import importlib.util
import sys

import pytest

from emulator import __main__ as cli
from emulator import __version__


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line as `imds-emulator ARGUMENTS` does."""
    monkeypatch.setattr(sys, "argv", ["imds-emulator", *arguments])
    return cli.main()


@pytest.mark.parametrize("arguments", [(), ("serv",), ("--serve",)])
def test_unknown_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """A command that does not exist ends with status 2 and the list of those that do."""
    status = run(monkeypatch, *arguments)
    error = capsys.readouterr().err

    assert status == 2
    assert f"no such command: {arguments[0] if arguments else 'nothing'}" in error
    assert all(name in error for name in cli.COMMANDS)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the one version there is."""
    status = run(monkeypatch, "--version")

    assert (status, capsys.readouterr().out) == (0, f"{__version__}\n")


@pytest.mark.parametrize("module", [module for module, _ in cli.COMMANDS.values()])
def test_every_command_exists(module: str) -> None:
    """Each command that the list promises has its module."""
    assert importlib.util.find_spec(module) is not None
