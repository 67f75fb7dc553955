"""The command line finds the right command, or says which there are; every command has help."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from emulator import __main__ as cli
from emulator import __version__, names, variables
from emulator.settings import SettingsError, integer, redirect_settings, serve_settings
from emulator.webhook.settings import webhook_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line as `imds-emulator ARGUMENTS` does."""
    monkeypatch.setattr(sys, "argv", ["imds-emulator", *arguments])
    return cli.main()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "missing command"),
        (("serv",), 'unknown command "serv"'),
        (("--serve",), 'unknown command "--serve"'),
        (("help", "serv"), 'unknown command "serv"'),
        (("\x1b[2J",), 'unknown command "\\x1b[2J"'),
    ],
)
def test_unknown_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], fault: str
) -> None:
    """A command that does not exist ends with status 2 and the list of those that do."""
    status = run(monkeypatch, *arguments)
    error = capsys.readouterr().err

    assert status == 2
    assert error.startswith(f"imds-emulator: {fault}\n")
    assert all(re.search(rf"^  {name} +\w", error, re.MULTILINE) for name in cli.COMMANDS)


@pytest.mark.parametrize("argument", cli.VERSION)
def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argument: str) -> None:
    """`version` and `--version` print the one version there is."""
    status = run(monkeypatch, argument)

    assert (status, capsys.readouterr().out) == (0, f"{__version__}\n")


@pytest.mark.parametrize("argument", cli.HELP)
def test_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argument: str) -> None:
    """Help lists every command with one line."""
    status = run(monkeypatch, argument)

    assert (status, capsys.readouterr().out) == (0, f"{cli.usage()}\n")


@pytest.mark.parametrize("module", [module for module, _ in cli.COMMANDS.values()])
def test_every_command_exists(module: str) -> None:
    """Each command that the list promises has its module."""
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("form", ["{} --help", "{} -h", "help {}"])
@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, form: str) -> None:
    """Every command has help, without docstrings meant for a reader of the source, and every option of it has some."""
    status = 0
    try:
        status = run(monkeypatch, *form.format(command).split())
    except SystemExit as error:
        status = int(error.code or 0)
    shown = capsys.readouterr().out

    assert status == 0
    assert shown.startswith(f"usage: imds-emulator {command}")
    assert "Goes in" not in shown
    options = re.split(r"\n(?=  -)", shown)[1:]
    assert all(re.search(r"(  |\n +)\w.*\w", option) for option in options), shown


@pytest.mark.parametrize(
    "words", ["check -n a pod b", "-n a check pod b", "--namespace=a check pod b", "-A check pods"]
)
def test_options_before_the_command(words: str) -> None:
    """Options may come before the command, a value that is a command's name included."""
    command, rest = cli.split(words.split())

    assert (command, sorted([command, *rest])) == ("check", sorted(words.split()))
    assert cli.split(["-n", "check", "check", "pod", "b"])[1] == ["-n", "check", "pod", "b"]


class Recorder(dict[str, str]):
    """An environment that knows which variables were asked for."""

    def __init__(self, **given: str) -> None:
        super().__init__(given)
        self.asked: set[str] = set()

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        """Return the variable."""
        self.asked.add(key)
        return super().get(key, default)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()


SERVING = {
    names.ENV_ROLE_ARN: "arn:aws:iam::123456789012:role/app-role",
    names.ENV_TOKEN_FILE: "/token",
    names.ENV_STS_ENDPOINT: "http://sts",
    names.ENV_ALLOW_INSECURE_ENDPOINT: "true",
}
REGULAR = {key: SERVING[key] for key in (names.ENV_ROLE_ARN, names.ENV_TOKEN_FILE)}
HOOK = {names.ENV_WEBHOOK_CONFIGURATION: "w", names.ENV_API_HOST: "h", names.ENV_POD_NAMESPACE: "n"}
# Read where a pod was injected by 0.1.0, or as curl does: no one should set them by hand.
UNTOLD = {names.ENV_POD_REGION, names.ENV_POD_IMDS_VERSION, "https_proxy", "no_proxy"}


def asked(read: Callable[[Recorder], object], *given: dict[str, str]) -> set[str]:
    """Return which variables a command's settings come from."""
    found: set[str] = set()
    for environ in (Recorder(**each) for each in given):
        with suppress(SettingsError):
            read(environ)
        found |= environ.asked
    return found - UNTOLD


def test_variables_of_serve() -> None:
    """Help and reference list exactly the variables that `serve` reads."""
    assert asked(serve_settings, SERVING, REGULAR) == set(variables.SERVE)


def test_variables_of_redirect_and_webhook(tmp_path: object) -> None:
    """Help lists the variables that the others read."""
    directory = {key: str(tmp_path) for key in (names.ENV_PARAMETERS, names.ENV_SERVICE_ACCOUNT)}
    given = {**HOOK, **directory, names.ENV_CERTIFICATE_SECRET: "s"}

    assert asked(redirect_settings, {}) <= set(variables.REDIRECT)
    assert asked(webhook_settings, given) == set(variables.WEBHOOK)


def test_sidecar_pays_for_no_parser() -> None:
    """`serve` starts without argparse: each module is memory in every pod."""
    code = (
        "import sys; sys.argv = ['imds-emulator', 'serve']; from emulator import __main__ as m;"
        " m.main(); print('argparse' in sys.modules, 'emulator.variables' in sys.modules)"
    )
    command = [sys.executable, "-S", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": "src"})

    assert result.stdout == "False False\n"


def test_integer_is_used() -> None:
    """The recorder stands in for an environment in every reader."""
    assert integer(Recorder(A="5"), "A", 1, (0, 9)) == 5
