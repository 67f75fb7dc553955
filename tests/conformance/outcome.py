"""What became of one client in one mode: credentials that STS issued, none, or something that must not be.

In: a client and how its program ended, the sessions of STS, the requests to S3. Out: an Outcome.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.conformance import s3
from tests.conformance.clients import Client
from tests.conformance.program import Ended
from tests.sts.sessions import Request, Sessions


@dataclass(frozen=True)
class Outcome:
    """`client` is an id. `detail`: the client's own words where it does not work. `fault`: what must not be."""

    client: str
    mode: str
    works: bool
    seconds: float
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


def judge(client: Client, mode: str, ended: Ended, sessions: Sessions, requests: list[Request]) -> Outcome:
    """Compare what the client got with what STS issued."""
    told = _told(ended.stdout)
    seconds = round(float(told.get("Seconds", ended.seconds)), 3)

    def outcome(*, works: bool, detail: str = "", fault: str = "") -> Outcome:
        return Outcome(client.id, mode, works, seconds, detail, fault)

    if client.signs and requests:
        session = sessions.issued(s3.access_key_id(requests[0]))
        if session is None or not s3.is_signed_by(requests[0], session):
            return outcome(works=False, fault="signed with credentials that STS did not issue")
        return outcome(works=True)
    if "AccessKeyId" in told:
        if not _issued(told, sessions):
            return outcome(works=False, fault=f"has credentials that STS did not issue: {told['AccessKeyId']}")
        return outcome(works=True)
    if "Error" in told:
        return outcome(works=False, detail=" ".join(str(told["Error"]).split()))
    if client.language.tool:
        return outcome(works=False, detail=ended.last_words)
    return outcome(works=False, fault=f"its driver is broken: {ended.last_words}")


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
