"""`python -m tests.support.tools get NAME...`: builds what is missing and prints the path of each program.

In: names of programs or of rows of the table (none: all that the test cluster and the chart tests need).
Out: one path a line on stdout, progress on stderr.
"""

import argparse
import os
import signal
import sys

from emulator.build.progress import StepFailedError
from tests.support.tools import build, programs
from tests.support.tools.table import TOOLS, Tool, find


def main() -> int:
    """Run the command line; 1 if a tool could not be built."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.tools", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    get = commands.add_parser("get", help="build what is missing and print paths")
    get.add_argument("names", nargs="*", metavar="NAME", help="a program or a row of the table")
    path = commands.add_parser("path", help="the same, but print their folders, to be put before PATH")
    path.add_argument("names", nargs="+", metavar="NAME", help="a program")
    commands.add_parser("list", help="print the table: name, version, whether it is built")
    options = parser.parse_args()
    # End like Ctrl-C, so that the compiler ends too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.command == "list":
        for tool in TOOLS.values():
            print(f"{tool.name:22} {tool.version:10} {'built' if build.folder(tool).exists() else '-'}")
        return 0
    try:
        if options.command == "path":
            print(*dict.fromkeys(str(programs.path(name).parent) for name in options.names), sep=os.pathsep)
            return 0
        names = options.names or [name for name, tool in TOOLS.items() if not tool.apart]
        rows = {name: find(name) for name in names}

        def show(tool: Tool) -> None:
            for name, row in rows.items():
                if row is tool:
                    named = list(tool.programs) if name == tool.name else [name]
                    print(*(build.program(tool, program) for program in named), sep="\n", flush=True)

        build.ensure(list({tool.name: tool for tool in rows.values()}.values()), show)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    except StepFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


sys.exit(main())
