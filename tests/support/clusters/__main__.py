"""`python -m tests.support.clusters COMMAND`: a cluster to test on.

In: a command line. Out: what was asked for on stdout, progress on stderr; exit code 1 and the reason if it failed.
"""

import argparse
import os
import re
import signal
import sys
from pathlib import Path

from emulator.build.progress import StepFailedError, say
from tests.support.clusters import apiserver
from tests.support.clusters.archives import BadArchiveError
from tests.support.clusters.provider import NAMES, Provider, choose


def main() -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args()
    # End like Ctrl-C, so that what runs below ends too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.command == "apiserver":
            return _apiserver(options.version)
        return _run(choose(options.name, options.provider), options)
    except (StepFailedError, BadArchiveError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.support.clusters", description="A cluster to test on.")
    parser.add_argument(
        "--name", type=_name, default="main", help="which of several clusters on this machine (default: main)"
    )
    parser.add_argument("--provider", choices=NAMES, default="", help="default: $IMDS_EMULATOR_CLUSTER, else auto")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="make the cluster, or see that it is well; print the path of its kubeconfig")
    commands.add_parser("down", help="end it, and leave nothing behind")
    commands.add_parser("kubeconfig", help="print the path of its kubeconfig")
    commands.add_parser("status", help="say whether it is well")
    load = commands.add_parser("load", help="give the node the images of docker or OCI archives; print their names")
    load.add_argument("archives", nargs="+", type=Path, metavar="IMAGE_ARCHIVE")
    execute = commands.add_parser("exec", help="run a command on the node")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    server = commands.add_parser("apiserver", help="run an API server alone until interrupted; print its kubeconfig")
    server.add_argument("--version", required=True, help="such as 1.24")
    return parser


def _name(text: str) -> str:
    """Return a cluster's name, which becomes a folder and part of a container's name."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be up to 32 of a-z, 0-9 and -, and begin and end with no -")
    return text


def _run(cluster: Provider, options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            cluster.up()
            print(cluster.kubeconfig())
        case "down":
            cluster.down()
        case "kubeconfig":
            print(cluster.kubeconfig())
        case "status":
            fault = cluster.status()
            print(fault or f"cluster {options.name} is well")
            return int(bool(fault))
        case "load":
            for archive in options.archives:
                print(*cluster.load(archive), sep="\n")
        case "exec":
            argv = [*cluster.enter(), *options.argv]
            os.execvp(argv[0], argv)  # noqa: S606 - the person's own command, in place of this process
    return 0


def _apiserver(version: str) -> int:
    with apiserver.running(version) as kubeconfig:
        print(kubeconfig, flush=True)
        say("Ctrl-C ends it")
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


sys.exit(main())
