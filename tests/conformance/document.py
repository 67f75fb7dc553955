"""docs/clients.md: which client works in which IMDS mode, from a run of every client in every mode.

In: the outcomes. Out: the document's text.
"""

from collections.abc import Iterable, Mapping, Sequence

from emulator.names import ANNOTATION_IMDS_VERSION, IMDS_VERSION_DEFAULT, IMDS_VERSIONS
from tests.conformance import wire
from tests.conformance.clients import CLIENTS, Client
from tests.conformance.outcome import Outcome
from tests.conformance.program import CHECKOUT

FILE = CHECKOUT / "docs" / "clients.md"
SLOW_SECONDS = 0.5

_TEXT = """\
# Clients

Which clients get credentials from the emulator, in each IMDS mode. Written by a run of
`python -m tests.conformance --write-docs`, which fails if a client does anything else than this table says. Each
client, as published, runs in a network namespace where `imds-emulator redirect` leads 169.254.169.254 to
`imds-emulator serve`, without an endpoint override and without any `AWS_` variable. It works if the access key,
secret and token that it ends up with, or signs a request with, are those that STS issued.

{matrix}

The mode is the chart's `imds.version`, or a pod's own by its annotation `{annotation}`. `{default}` is the default:
{v1_count} of these {count} clients work with it, scripts aside. `v1-and-v2` is for pods that run one of the others,
which give up without an IMDSv2 token; clients that know IMDSv1 only go on working there:

{v2_only}.

## Time to the first credentials

What a client asks, and the milliseconds from its first request to its credentials, seen on the wire of one machine
that had other work too. `T` asks for an IMDSv2 token, `L` lists the roles, `C` asks for the credentials, `R` for the
region and `Z` for the zone, which nobody needs; a status that is not 200 stands beside it.

{times}

{slow}
"""


def document(outcomes: Mapping[tuple[Client, str], Outcome]) -> str:
    """Return the whole document; needs an outcome for every client and mode."""
    programs = [client for client in CLIENTS if client.recipe.package != "curl"]
    rows = [(client.title, *(_asked(outcomes[client, mode]) for mode in IMDS_VERSIONS)) for client in CLIENTS]
    return _TEXT.format(
        matrix=matrix(),
        annotation=ANNOTATION_IMDS_VERSION,
        default=IMDS_VERSION_DEFAULT,
        v1_count=sum(IMDS_VERSION_DEFAULT not in client.cannot for client in programs),
        count=len(programs),
        v2_only=", ".join(client.name for client in programs if IMDS_VERSION_DEFAULT in client.cannot),
        times=_table(rows),
        slow=_slow(outcomes),
    )


def matrix() -> str:
    """Return the table of clients and modes, which a run has found to be so."""
    return _table(
        (
            client.title,
            *(f"cannot: {client.cannot[mode]}" if mode in client.cannot else "works" for mode in IMDS_VERSIONS),
        )
        for client in CLIENTS
    )


def _asked(outcome: Outcome) -> str:
    if not outcome.works:
        return ", ".join(outcome.asked)
    first = outcome.asked[: outcome.asked.index(wire.CREDENTIALS) + 1]
    return f"{', '.join(first)} ({outcome.seconds * 1000:.0f})"


def _slow(outcomes: Mapping[tuple[Client, str], Outcome]) -> str:
    """Say who loses time by asking for a token that it does not get."""
    losses = [
        f"{client.title} ({loss:.1f} s)"
        for client in CLIENTS
        if not set(client.cannot) & {"v1", "v2"}
        and (loss := outcomes[client, "v1"].seconds - outcomes[client, "v2"].seconds) > SLOW_SECONDS
    ]
    who = ", ".join(losses) or "none"
    return f"Clients that lost more than {SLOW_SECONDS} s in `v1` against `v2`, by falling back to IMDSv1: {who}."


def _table(rows: Iterable[Sequence[str]]) -> str:
    head = ("client", *(f"`{mode}`" for mode in IMDS_VERSIONS))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
