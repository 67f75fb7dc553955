"""docs/clients.md: which client works in which IMDS mode, from a run of every client in every mode.

In: the outcomes. Out: the document's text.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from emulator.names import ANNOTATION_IMDS_VERSION, IMDS_VERSION_DEFAULT, IMDS_VERSIONS
from tests.experiments.conformance import wire
from tests.experiments.conformance.clients import CLIENTS, Client
from tests.experiments.conformance.outcome import Outcome
from tests.experiments.conformance.program import CHECKOUT

FILE = CHECKOUT / "docs" / "clients.md"
SLOW_SECONDS = 0.5

_TEXT = """\
# Clients

Which clients get credentials from the emulator, in each IMDS mode. The page is written by a run of
`python -m tests.experiments.conformance --write-docs`, which fails if a client does anything other than what this page
says. Each client runs as published, in a network namespace where `imds-emulator redirect` redirects 169.254.169.254 to
`imds-emulator serve`. No endpoint is overridden, and no `AWS_` variable is set other than one named in the table. A
client works if the access key, secret and token that it returns, or signs a request with, are those that STS issued.

*Replayed* clients have a toolchain that the test machines cannot install. The requests that their source sends are in
`tests/experiments/conformance/replay`, byte by byte, and are sent as the client would send them.

## What to choose

{choice}

{matrix}

## Time to the first credentials

What a client asks, and the milliseconds from its first request to its credentials, measured on the wire on a machine
that had other work too. `T` asks for an IMDSv2 token, `L` lists the roles, `C` asks for the credentials, `R` for the
region and `Z` for the zone, which no client needs; a status other than 200 stands beside it.

{times}

{slow}
"""
_CHOICE = (
    "`{default}` is the default, as in the Anthos emulator. It serves {v1_count} of the {count} clients below, among"
    " them all that know only IMDSv1. `v1-and-v2` serves every client below; choose it where one of these runs, which"
    " give up without an IMDSv2 token: {v2_only}. `v2` protects against server-side request forgery"
    " ([Security](security.md#what-is-not-protected)); choose it where every client works with it. Set the mode by"
    " `imds.version` for the installation, or by the annotation `{annotation}` for one pod."
)


def document(outcomes: Mapping[tuple[Client, str], Outcome]) -> str:
    """Return the whole document; needs an outcome for every client and mode."""
    rows = [(client.title, *(_asked(outcomes[client, mode]) for mode in IMDS_VERSIONS)) for client in CLIENTS]
    return _TEXT.format(choice=choice(), matrix=matrix(), times=_table(rows), slow=_slow(outcomes))


def choice() -> str:
    """Return the paragraph that says which mode to choose."""
    text = _CHOICE.format(
        annotation=ANNOTATION_IMDS_VERSION,
        default=IMDS_VERSION_DEFAULT,
        v1_count=sum(IMDS_VERSION_DEFAULT not in client.cannot for client in CLIENTS),
        count=len(CLIENTS),
        v2_only=", ".join(_v2_only()),
    )
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def matrix() -> str:
    """Return the table of clients and modes, which a run has found to be so."""
    return _table(
        (
            client.title,
            *(f"cannot: {client.cannot[mode]}" if mode in client.cannot else "works" for mode in IMDS_VERSIONS),
        )
        for client in CLIENTS
    )


def _v2_only() -> list[str]:
    """Return the clients that get nothing in the default mode; by version too if another version does."""
    served = {client.name for client in CLIENTS if IMDS_VERSION_DEFAULT not in client.cannot}
    others = [client for client in CLIENTS if IMDS_VERSION_DEFAULT in client.cannot]
    titles = dict.fromkeys(client.title if client.name in served else client.name for client in others)
    return [title.removesuffix(" (replayed)").replace(", ", " with ") for title in titles]


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
