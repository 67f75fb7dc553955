"""The command `imds-emulator`: finds the command's module and hands it the rest of the line.

Goes in: the command line. Comes out: the command's exit status; 2 for a command line that means nothing.
A command's module is imported only when it is asked for, because the sidecar pays for each import in memory.
"""

from __future__ import annotations

import sys

# command -> (module, one line for the list)
IN_IMAGES = {
    "serve": ("emulator.sidecar.serve", "serve credentials to the pod (the sidecar)"),
    "redirect": ("emulator.redirect.command", "lead 169.254.169.254:80 to the sidecar (the init container)"),
    "hold": ("emulator.sidecar.hold", "hold the app back until the sidecar is started (classic form)"),
    "webhook": ("emulator.webhook.command", "inject labelled pods at admission"),
    "probe": ("emulator.check.probe", "prove an installation from inside the cluster (helm test)"),
}
COMMANDS = IN_IMAGES | {
    "inject": ("emulator.inject.command", "print manifests injected, for clusters where nothing is installed"),
    "check": ("emulator.check.command", "tell why a cluster or a pod gets no credentials"),
    "trust-policy": ("emulator.check.trust_policy", "print the IAM trust policy for a service account"),
    "render": ("emulator.render.command", "write chart and kustomize files from the templates (build time)"),
}


def main() -> int:
    """Run the command that `sys.argv` names and return its exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["--version"], ["version"]):
        from emulator import __version__  # noqa: PLC0415

        print(__version__)  # noqa: T201
        return 0
    if arguments[:1] in (["--help"], ["-h"], ["help"]):
        print(usage())  # noqa: T201
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        given = arguments[0] if arguments else "nothing"
        print(f"imds-emulator: no such command: {given}\n{usage()}", file=sys.stderr)  # noqa: T201
        return 2
    name = COMMANDS[arguments[0]][0]
    try:
        module = __import__(name, fromlist=["main"])
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):  # the module, or a package that it is in
            raise
        print(f"imds-emulator: {arguments[0]} is not in the images: run it from a checkout", file=sys.stderr)  # noqa: T201
        return 2
    status: int = module.main(arguments[1:])
    return status


def usage() -> str:
    """Return the list of commands, a line each."""
    lines = [f"  {name:<13} {purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(["usage: imds-emulator COMMAND [OPTION ...]", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
