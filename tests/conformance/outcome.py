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
    """`client` is an id. `detail`: the client's own words where it does not work. `fault`: what must not be.

    `told_seconds`: the client's driver took the time; else `seconds` includes the start of the program.
    """

    client: str
    mode: str
    works: bool
    seconds: float
    told_seconds: bool
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
    seconds = round(float(told.get("Seconds", ended.seconds)), 3)
    return Outcome(client.id, mode, works, seconds, "Seconds" in told, detail, fault)


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
