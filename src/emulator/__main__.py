"""The command `imds-emulator`: finds the command's module and hands it the rest of the line.

A command's module is imported only when it is asked for, because the sidecar pays for each import in memory.
"""

import sys

# command -> (module, one line for the list). The first four are configured by environment variables.
IN_IMAGES = {
    "serve": ("emulator.sidecar.serve", "serve credentials to the pod (the sidecar)"),
    "redirect": ("emulator.redirect.redirect", "redirect 169.254.169.254:80 to the sidecar (the init container)"),
    "hold": ("emulator.sidecar.hold", "hold the app back until the sidecar has started"),
    "webhook": ("emulator.webhook.webhook", "inject labelled pods at admission"),
    "probe": ("emulator.probe.probe", "prove an installation from inside the cluster (helm test)"),
}
COMMANDS = IN_IMAGES | {
    "inject": (
        "emulator.cli.inject",
        "print manifests with the emulator injected, for clusters where it is not installed",
    ),
    "check": ("emulator.cli.check", "find out why a cluster or a pod gets no credentials; list labelled pods"),
    "trust-policy": ("emulator.cli.trust_policy", "print the IAM trust policy for a service account"),
    "completion": ("emulator.completion", "print a script that completes the command line in bash, zsh or fish"),
}
BY_ENVIRONMENT = ("serve", "redirect", "hold", "webhook")
HELP = ("--help", "-h", "help")
VERSION = ("--version", "version")
FLAGS = ("-A", "--all-namespaces", "--check", "--krm")  # options without a value


def main() -> int:
    """Run the command that `sys.argv` names and return its exit status."""
    command, arguments = split(sys.argv[1:])
    if command in VERSION:
        from emulator import __version__  # noqa: PLC0415

        print(__version__)  # noqa: T201
        return 0
    if command in HELP:
        command, arguments = (arguments[0], [*arguments[1:], HELP[0]]) if arguments[:1] else ("", [])
        if not command:
            print(usage())  # noqa: T201
            return 0
    if command not in COMMANDS:
        fault = f'unknown command "{_plain(command)}"' if command else "missing command"
        print(f"imds-emulator: {fault}\n{usage()}", file=sys.stderr)  # noqa: T201
        return 2
    if command in BY_ENVIRONMENT and arguments[:1] and arguments[0] in HELP:
        from emulator.variables import help_text  # noqa: PLC0415

        print(help_text(command, COMMANDS[command][1]))  # noqa: T201
        return 0
    return run(command, arguments)


def run(command: str, arguments: list[str]) -> int:
    """Run a command's module."""
    name = COMMANDS[command][0]
    try:
        module = __import__(name, fromlist=["main"])
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):  # the module, or a package that it is in
            raise
        print(f"imds-emulator: {command} is not part of the images: run it from a checkout", file=sys.stderr)  # noqa: T201
        return 2
    status: int = module.main(arguments)
    return status


def split(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the command and the rest of the line; options may come before it, as kubectl lets them."""
    is_value = False
    for index, word in enumerate(arguments):
        if not is_value and (not word.startswith("-") or (index == 0 and word in HELP + VERSION)):
            return word, arguments[:index] + arguments[index + 1 :]
        is_value = word.startswith("-") and "=" not in word and word not in FLAGS + HELP
    return (arguments[0] if arguments else ""), arguments[1:]


def usage() -> str:
    """Return the list of commands, a line each."""
    lines = [f"  {name:<13} {purpose}" for name, (_, purpose) in COMMANDS.items()]
    lines += ["  version       print the version", "  help          print this list, or the help of a command"]
    end = "Run `imds-emulator COMMAND --help` for a command's options."
    return "\n".join(["usage: imds-emulator COMMAND [OPTION ...]", "", *lines, "", end])


def _plain(text: str) -> str:
    return text.encode("unicode_escape").decode()


if __name__ == "__main__":
    sys.exit(main())
