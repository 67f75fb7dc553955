"""`python -m tests.conformance`: real clients against the emulator, in every IMDS mode.

In: which clients and modes. Out: a table, docs/clients.md if asked for, and exit status 1 if anything differs from the
table of clients. Clients are installed into the cache at their first run; what this machine can't install is named.
"""

import argparse
import sys
from pathlib import Path

from emulator.names import IMDS_VERSIONS
from tests.conformance import pods, report
from tests.conformance.clients import Client, select
from tests.conformance.languages import UnavailableError
from tests.conformance.outcome import Outcome
from tests.conformance.prepare import prepare
from tests.tools.progress import StepFailedError


def main() -> int:
    """Install, run, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--client", action="append", default=[], metavar="NAME", help="a name or NAME-VERSION; repeatable")
    parser.add_argument("--mode", action="append", choices=IMDS_VERSIONS, help="repeatable; all if not given")
    parser.add_argument("--short", action="store_true", help="only clients that are quick to install")
    options = parser.parse_args()
    try:
        clients = select(options.client, short=options.short)
    except ValueError as error:
        parser.error(str(error))
    if reason := pods.unavailable():
        parser.error(f"pods can't be made here: {reason}")
    folders: dict[Client, Path] = {}
    skipped: dict[Client, str] = {}
    outcomes: dict[tuple[Client, str], Outcome] = {}
    broken: list[str] = []
    for client in clients:
        try:
            folders[client] = prepare(client)
        except UnavailableError as error:
            skipped[client] = str(error)
        except StepFailedError as error:
            broken.append(f"{client.title}: {error}")
    by_id = {client.id: client for client in clients}
    for mode in options.mode or IMDS_VERSIONS:
        try:
            for outcome in pods.outcomes(mode, folders):
                client = by_id[outcome.client]
                outcomes[client, mode] = outcome
                print(report.line(client, outcome), flush=True)
        except pods.PodFailedError as error:
            broken.append(str(error))
    failed = sum(bool(outcome.complaint(client)) for (client, _), outcome in outcomes.items()) + len(broken)
    print(f"\n{report.table(outcomes, skipped)}")
    print("\n".join(broken))
    print(f"{len(outcomes) - failed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed else 0


sys.exit(main())
