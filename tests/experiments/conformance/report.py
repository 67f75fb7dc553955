"""What a run says on a terminal: a line for each outcome, a table at the end.

In: the outcomes of a run, the clients that were skipped. Out: texts.
"""

from dataclasses import dataclass

from emulator.names import IMDS_VERSIONS
from tests.experiments.conformance.clients import Client
from tests.experiments.conformance.outcome import Outcome


@dataclass
class Result:
    """What became of a run. `skipped`: clients that this machine can't have, and why; `broken`: what failed around."""

    outcomes: dict[tuple[Client, str], Outcome]
    skipped: dict[Client, str]
    broken: list[str]

    @property
    def wrong(self) -> list[Outcome]:
        """Return the outcomes that differ from the table of clients."""
        return [outcome for (client, _), outcome in self.outcomes.items() if outcome.complaint(client)]

    def text(self) -> str:
        """Return a line for each client with its modes, then what was skipped and what failed, by name."""
        clients = dict.fromkeys(client for client, _ in self.outcomes)
        rows = [[client.title, *(self._cell(client, mode) for mode in IMDS_VERSIONS)] for client in clients]
        rows.insert(0, ["client", *IMDS_VERSIONS])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [f"skipped: {client.title}: {reason}" for client, reason in self.skipped.items()]
        lines += [f"failed: {what}" for what in self.broken]
        failed = len(self.wrong) + len(self.broken)
        lines.append(f"{len(self.outcomes) - len(self.wrong)} passed, {failed} failed, {len(self.skipped)} skipped")
        return "\n".join(lines)

    def _cell(self, client: Client, mode: str) -> str:
        outcome = self.outcomes.get((client, mode))
        if outcome is None:
            return "not run"
        if outcome.complaint(client):
            return "FAILED"
        return f"{outcome.seconds:.3f} s" if outcome.works else "cannot"


def line(client: Client, outcome: Outcome) -> str:
    """Return what to say as soon as one outcome is there."""
    result = "works" if outcome.works else f"cannot: {client.cannot.get(outcome.mode, '')} ({outcome.detail[:100]})"
    if complaint := outcome.complaint(client):
        result = f"FAILED: {complaint}"
    asked = ", ".join(outcome.asked)
    return f"{outcome.mode:<10} {client.title:<52} {outcome.seconds:6.3f} s  {asked:<12}  {result}"
