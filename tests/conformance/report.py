"""The table of clients and modes: for a terminal while it runs, and as docs/clients.md.

In: the outcomes of a run, the clients that were skipped. Out: texts.
"""

from collections.abc import Iterable, Mapping

from emulator.names import IMDS_VERSIONS
from tests.conformance.clients import CLIENTS, Client
from tests.conformance.outcome import Outcome

SLOW_SECONDS = 0.5

Outcomes = Mapping[tuple[Client, str], Outcome]


def line(client: Client, outcome: Outcome) -> str:
    """Return what to say as soon as one outcome is there."""
    complaint = outcome.complaint(client)
    result = "works" if outcome.works else f"cannot: {client.cannot.get(outcome.mode, '')}"
    return f"{outcome.mode:<10} {client.title:<52} {outcome.seconds:7.2f} s  {complaint and f'FAILED: {complaint}' or result}"


def table(outcomes: Outcomes, skipped: Mapping[Client, str]) -> str:
    """Return one line for each client and each mode that was run, and the skipped ones by name."""
    rows = [("client", *IMDS_VERSIONS)]
    for client in dict.fromkeys(client for client, _ in outcomes):
        rows.append((client.title, *(_short(client, outcomes.get((client, mode))) for mode in IMDS_VERSIONS)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(f"skipped: {client.title}: {reason}" for client, reason in skipped.items())])


def _short(client: Client, outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    if outcome.complaint(client):
        return "FAILED"
    return f"{outcome.seconds:.2f} s" if outcome.works else "cannot"
