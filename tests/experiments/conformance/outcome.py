"""What became of one client in one mode: credentials that STS issued, none, or something that must not be.

In: a client, what was seen of it, and the sessions of STS. Out: an Outcome.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.experiments.conformance import s3, wire
from tests.experiments.conformance.clients import Client
from tests.experiments.conformance.program import Ended
from tests.experiments.conformance.wire import CREDENTIALS, Exchange
from tests.support.sts.sessions import Request, Sessions


@dataclass(frozen=True)
class Outcome:
    """`client` is an id. `detail`: the client's own words where it does not work. `fault`: what must not be.

    `asked`: its requests, as `wire` names them; `seconds`: from the first one to the credentials.
    """

    client: str
    mode: str
    works: bool
    seconds: float
    asked: Sequence[str]
    detail: str = ""
    fault: str = ""

    def complaint(self, client: Client) -> str:
        """Say what differs from the table, "" if nothing does."""
        if self.fault:
            return self.fault
        if self.works and self.mode in client.cannot:
            return f"works, but the table says that it can't: {client.cannot[self.mode]}"
        if not self.works and self.mode not in client.cannot:
            return f"does not work: {self.detail}"
        return ""


@dataclass(frozen=True)
class Seen:
    """All that a client did: how its program ended, what it asked the emulator, what it signed for S3."""

    ended: Ended
    exchanges: Sequence[Exchange]
    requests: Sequence[Request] = ()


def judge(client: Client, mode: str, seen: Seen, sessions: Sessions) -> Outcome:
    """Compare what the client got with what STS issued."""
    ended, exchanges, requests = seen.ended, seen.exchanges, seen.requests
    told = _told(ended.stdout)
    works, detail, fault = False, "", ""
    if client.signs and requests:
        session = sessions.issued(s3.access_key_id(requests[0]))
        works = session is not None and s3.is_signed_by(requests[0], session)
        fault = "" if works else "signed with credentials that STS did not issue"
    elif "AccessKeyId" in told:
        works = _issued(told, sessions)
        fault = "" if works else f"has credentials that STS did not issue: {told['AccessKeyId']}"
    elif "Error" in told:
        detail = " ".join(str(told["Error"]).split())
    elif client.language.tool:
        detail = ended.last_words
    else:
        fault = f"its driver is broken: {ended.last_words}"
    asked = [str(exchange) for exchange in exchanges]
    if works and not any((exchange.name, exchange.status) == (CREDENTIALS, 200) for exchange in exchanges):
        works, fault = False, f"has credentials from elsewhere; it asked: {', '.join(asked) or 'nothing'}"
    return Outcome(client.id, mode, works, round(wire.seconds(exchanges), 3), asked, detail, fault)


def _told(stdout: str) -> Mapping[str, Any]:
    """Return the JSON object that stdout is, or that its last line is; an empty one if there is none."""
    for text in (stdout, *stdout.strip().splitlines()[-1:]):
        try:
            told = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(told, dict):
            return told
    return {}


def _issued(told: Mapping[str, Any], sessions: Sessions) -> bool:
    session = sessions.issued(str(told["AccessKeyId"]))
    return session is not None and (told.get("SecretAccessKey"), told.get("Token")) == (
        session.secret_access_key,
        session.session_token,
    )
