"""`python -m tests.cluster COMMAND`: up, down, kubeconfig, load, status, exec.

In: a command line. Out: what was asked for on stdout, progress on stderr; 1 and a line or more if it failed.
"""

import argparse
import os
import sys
from pathlib import Path

from tests.cluster.native import Native
from tests.tools.progress import StepFailed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--name", default="main")
    commands = parser.add_subparsers(dest="command", required=True)
    for c in ("up", "down", "kubeconfig", "status"):
        commands.add_parser(c)
    load = commands.add_parser("load")
    load.add_argument("archives", nargs="+", type=Path)
    ex = commands.add_parser("exec")
    ex.add_argument("argv", nargs=argparse.REMAINDER)
    o = parser.parse_args()
    cluster = Native(o.name)
    try:
        if o.command == "up":
            cluster.up()
            print(cluster.kubeconfig())
        elif o.command == "down":
            cluster.down()
        elif o.command == "kubeconfig":
            print(cluster.kubeconfig())
        elif o.command == "status":
            fault = cluster.status()
            print(fault or "well")
            return bool(fault)
        elif o.command == "load":
            for a in o.archives:
                print(*cluster.load(a), sep="\n")
        elif o.command == "exec":
            argv = [*cluster.enter(), *o.argv]
            os.execvp(argv[0], argv)
    except StepFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


sys.exit(main())
