"""`python -m tests.experiments.conformance`: real clients against the emulator, in every IMDS mode.

In: which clients and modes. Out: a table, docs/clients.md if asked for, and exit status 1 if anything differs from the
table of clients. Clients are installed into the cache at their first run; what this machine can't install is named.
"""

import argparse
import sys
from collections.abc import Sequence

from emulator.names import IMDS_VERSIONS
from tests.experiments.conformance import document, pods, report
from tests.experiments.conformance.clients import CLIENTS, Client, select
from tests.experiments.conformance.prepare import prepare
from tests.experiments.conformance.report import Result


def main() -> int:
    """Install, run, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.conformance", description=__doc__)
    parser.add_argument("--client", action="append", default=[], metavar="NAME", help="a name or an id; repeatable")
    parser.add_argument("--mode", action="append", choices=IMDS_VERSIONS, help="repeatable; all if not given")
    parser.add_argument("--short", action="store_true", help="only clients that are quick to install")
    parser.add_argument("--install", action="store_true", help="install them only; says if one can't be")
    parser.add_argument("--write-docs", action="store_true", help="write docs/clients.md; needs every client and mode")
    options = parser.parse_args()
    try:
        clients = select(options.client, short=options.short)
    except ValueError as error:
        parser.error(str(error))
    if options.install:
        return install(clients)
    if reason := pods.unavailable():
        parser.error(f"pods can't be made here: {reason}")
    modes = options.mode or IMDS_VERSIONS
    # Times are for the page: nothing else of ours runs then.
    result = run(clients, [[mode] for mode in modes] if options.write_docs else [modes])
    print(f"\n{result.text()}")
    if result.wrong or result.broken:
        return 1
    if options.write_docs:
        if len(result.outcomes) < len(CLIENTS) * len(IMDS_VERSIONS):
            print(f"--write-docs: {document.FILE} is left as it is: not every client was run in every mode")
            return 1
        document.FILE.write_text(document.document(result.outcomes))
    return 0


def install(clients: Sequence[Client]) -> int:
    """Install the clients that this machine can run; 1 if it should have worked and did not."""
    if reason := pods.unavailable():
        print(f"clients are not installed, since they could not be run: {reason}", file=sys.stderr)
        return 0
    prepared = prepare(clients)
    for client, reason in {**prepared.unavailable, **prepared.failed}.items():
        print(f"{client.title}: {reason}", file=sys.stderr)
    return int(bool(prepared.failed))


def run(clients: Sequence[Client], rounds: Sequence[Sequence[str]]) -> Result:
    """Install the clients, and run them in one pod for each mode, the modes of a round side by side."""
    prepared = prepare(clients)
    broken = [f"{client.title}: {reason}" for client, reason in prepared.failed.items()]
    result = Result({}, prepared.unavailable, broken)
    by_id = {client.id: client for client in clients}
    for modes in rounds:
        try:
            for outcome in pods.outcomes(modes, prepared.folders):
                client = by_id[outcome.client]
                result.outcomes[client, outcome.mode] = outcome
                print(report.line(client, outcome), flush=True)
        except pods.PodFailedError as error:
            result.broken.append(str(error))
    return result


sys.exit(main())
