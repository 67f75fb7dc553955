"""What STS says to one request; no sockets here.

In: a request as it came. Out: an answer, and one record in the call log, which holds no secret.
"""

import collections
import datetime as dt
import hashlib
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.sts import answers
from tests.support.sts.errors import StsError
from tests.support.sts.faults import Fault, Faults
from tests.support.sts.roles import Role, TrustPolicy, parse, permit
from tests.support.sts.sessions import Request, Sessions, region_of
from tests.support.sts.tokens import Verifier

_VERSION = "2011-06-15"
_CALLS_KEPT = 10_000


@dataclass(frozen=True)
class Answer:
    """What goes back; `reset` means that nothing does."""

    status: int
    text: str
    request_id: str
    content_type: str = "text/xml"
    reset: bool = False


@dataclass
class Service:
    """STS for one cluster. `policies` may be replaced at any time."""

    verifier: Verifier
    policies: tuple[TrustPolicy, ...]
    faults: Faults = field(default_factory=Faults)
    sessions: Sessions = field(default_factory=Sessions)
    _calls: collections.deque[dict[str, Any]] = field(default_factory=lambda: collections.deque(maxlen=_CALLS_KEPT))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def calls(self) -> list[dict[str, Any]]:
        """Every call since the log was cleared, in the order of their beginning."""
        with self._lock:
            return [dict(call) for call in self._calls]

    def forget(self) -> None:
        """Clear the call log."""
        with self._lock:
            self._calls.clear()

    def answer(self, request: Request) -> Answer:
        """Answer and record."""
        parameters = _parameters(request)
        call = _record(request, parameters)
        with self._lock:
            self._calls.append(call)
        request_id = str(uuid.uuid4())
        fault = Fault()
        try:
            if call["action"] == "AssumeRoleWithWebIdentity":
                fault = self.faults.take(parameters.get("RoleArn", ""))
            self.faults.delay(fault)
            answer = Answer(200, self._act(request, parameters, call, fault, request_id), request_id)
        except StsError as error:
            call["code"] = error.code
            answer = Answer(error.status, answers.error(error, request_id), request_id)
        answer = _spoilt(answer, fault)
        call["status"] = answer.status
        return answer

    def _act(
        self, request: Request, parameters: Mapping[str, str], call: dict[str, Any], fault: Fault, request_id: str
    ) -> str:
        if fault.answer == "error":
            raise StsError(fault.code, fault.message, fault.status)
        if "Action" not in parameters:
            raise StsError("MissingAction", "The request is missing an action or a required parameter.")
        if parameters.get("Version") == _VERSION:
            if parameters["Action"] == "AssumeRoleWithWebIdentity":
                return self._assume(parameters, call, fault, request_id)
            if parameters["Action"] == "GetCallerIdentity":
                session = self.sessions.signer(request)
                call["identity"] = session.arn
                return answers.identity(session, request_id)
        raise StsError(
            "InvalidAction",
            f"Could not find operation {parameters['Action']} for version {parameters.get('Version', '')}",
        )

    def _assume(self, parameters: Mapping[str, str], call: dict[str, Any], fault: Fault, request_id: str) -> str:
        for name in ("RoleArn", "RoleSessionName", "WebIdentityToken"):
            _constrain(name, parameters.get(name))
        duration_seconds = _duration(parameters.get("DurationSeconds", "3600"))
        role = parse(parameters["RoleArn"])
        _check_partition(role, str(call["host"]))
        claims = self.verifier.claims(parameters["WebIdentityToken"])
        call["subject"] = claims["sub"]
        permit(self.policies, role, claims["sub"], duration_seconds)
        lifetime = dt.timedelta(seconds=fault.lifetime_seconds or duration_seconds)
        session = self.sessions.issue(role, parameters["RoleSessionName"], dt.datetime.now(dt.UTC) + lifetime)
        call["accessKeyId"] = session.access_key_id
        audience = claims["aud"] if isinstance(claims["aud"], str) else claims["aud"][0]
        provider = f"arn:{role.partition}:iam::{role.account}:oidc-provider/{claims['iss'].removeprefix('https://')}"
        return answers.assumed(session, claims["sub"], audience, provider, request_id)


def _parameters(request: Request) -> dict[str, str]:
    """Return the parameters of a query (GET) or a form (POST), as the AWS query protocol has them."""
    text = request.body.decode(errors="replace") if request.method == "POST" else urlsplit(request.target).query
    return dict(parse_qsl(text, keep_blank_values=True))


def _record(request: Request, parameters: Mapping[str, str]) -> dict[str, Any]:
    token = parameters.get("WebIdentityToken", "")
    return {
        "at": dt.datetime.now(dt.UTC).isoformat(),
        "action": parameters.get("Action", ""),
        "method": request.method,
        "host": request.headers.get("host", ""),
        "peer": request.peer,
        "signed": "authorization" in request.headers,
        "roleArn": parameters.get("RoleArn", ""),
        "sessionName": parameters.get("RoleSessionName", ""),
        "durationSeconds": parameters.get("DurationSeconds", ""),
        "tokenDigest": hashlib.sha256(token.encode()).hexdigest()[:16] if token else "",
        "subject": "",
        "identity": "",
        "accessKeyId": "",
        "code": "",
        "status": 0,
    }


# AWS STS API Reference, AssumeRoleWithWebIdentity, "Request Parameters": name to (AWS's member, least, most, pattern).
_CONSTRAINTS = {
    "RoleArn": ("roleArn", 20, 2048, r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD]+"),
    "RoleSessionName": ("roleSessionName", 2, 64, r"[\w+=,.@-]*"),
    "WebIdentityToken": ("webIdentityToken", 4, 20000, None),
}


def _constrain(name: str, value: str | None) -> None:
    member, least, most, pattern = _CONSTRAINTS[name]
    complaint = ""
    if value is None:
        complaint = "Member must not be null"
    elif len(value) < least:
        complaint = f"Member must have length greater than or equal to {least}"
    elif len(value) > most:
        complaint = f"Member must have length less than or equal to {most}"
    elif pattern and not re.fullmatch(pattern, value, re.ASCII):
        complaint = f"Member must satisfy regular expression pattern: {pattern}"
    if complaint:
        shown = f"'{value}' " if name != "WebIdentityToken" and value is not None else ""
        raise StsError(
            "ValidationError",
            f"1 validation error detected: Value {shown}at '{member}' failed to satisfy constraint: {complaint}",
        )


def _duration(text: str) -> int:
    seconds = int(text) if text.isascii() and text.isdigit() else -1
    bound = "greater than or equal to 900" if seconds < 900 else "less than or equal to 43200"
    if not 900 <= seconds <= 43200:
        raise StsError(
            "ValidationError",
            f"1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value {bound}",
        )
    return seconds


# IAM User Guide, "AWS partitions": a region belongs to one partition, named by its prefix; others are `aws`.
_PARTITION_OF_PREFIX = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}


def _check_partition(role: Role, host: str) -> None:
    """Refuse a role of another partition than the endpoint's: it is unknown there."""
    region = region_of(host)
    at = next((name for prefix, name in _PARTITION_OF_PREFIX.items() if region.startswith(prefix)), "aws")
    if region and role.partition != at:
        raise StsError("ValidationError", f"{role.arn} is invalid")


def _spoilt(answer: Answer, fault: Fault) -> Answer:
    """Return the answer as the fault leaves it."""
    if fault.answer == "truncated":
        return Answer(answer.status, answer.text[: len(answer.text) // 2], answer.request_id)
    if fault.answer == "html":
        return Answer(fault.status or 200, answers.HTML, answer.request_id, "text/html")
    if fault.answer == "empty":
        return Answer(fault.status or 200, "", answer.request_id)
    if fault.answer == "foreign":
        return Answer(200, answers.foreign(answer.request_id), answer.request_id)
    if fault.answer == "reset":
        return Answer(0, "", answer.request_id, reset=True)
    return answer
