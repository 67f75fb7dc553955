"""`python -m emulator.build.images build`: builds the product's images, or one for tests, into archives in the cache.

It prints the path of each archive on stdout and progress on stderr, and exits with 1 if a step failed.
"""

from __future__ import annotations

import argparse
import sys

from emulator.build.images import build
from emulator.build.images.builders import BUILDERS
from emulator.build.progress import StepFailedError


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m emulator.build.images", description=__doc__)
    command = parser.add_subparsers(dest="command", required=True).add_parser("build", help="build and save images")
    command.add_argument("names", nargs="*", metavar="NAME", help="images of the product; default: emulator redirect")
    command.add_argument("--file", help="a Dockerfile; its context is the top of the checkout (default: the product's)")
    command.add_argument("--tag", help="the image's name, with --file")
    command.add_argument("--builder", default="", choices=sorted(BUILDERS), help="default: the first that works here")
    command.add_argument("--no-cache", action="store_true", help="build anew, with the packages of today")
    options = parser.parse_args()
    if bool(options.file) != bool(options.tag):
        parser.error("--file and --tag go together")
    product = tuple(build.product(name) for name in options.names) or build.PRODUCT
    images = (build.Image(options.tag, options.file),) if options.file else product
    try:
        print(*build.ensure(images, builder_name=options.builder, fresh=options.no_cache), sep="\n")
    except StepFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
