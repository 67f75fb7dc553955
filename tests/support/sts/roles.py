"""Roles and their trust policies: who may assume which, and for how long.

In: JSON `{role ARN: {"subjects": [glob, ...], "maxSessionDurationSeconds": 3600}}`; an ARN may be a glob too.
Out: `Role`, or StsError with AWS's words. Globs are those of IAM's StringLike: `*` and `?`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.sts.errors import StsError

# IAM User Guide, "IAM identifiers": path of up to 512 characters, name of up to 64.
_ROLE_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):role(?P<path>/(?:[\x21-\x7e]{1,510}/)?)(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)
_MAX_SESSION_DURATION_SECONDS = 3600


class RolesError(ValueError):
    """The trust policies cannot be read; the message names the key."""


@dataclass(frozen=True)
class Role:
    """A role that STS knows by its ARN."""

    arn: str
    partition: str
    account: str
    name: str

    def assumed(self, session_name: str) -> str:
        """Return the ARN of a session of this role; the role's path is not part of it."""
        return f"arn:{self.partition}:sts::{self.account}:assumed-role/{self.name}/{session_name}"


@dataclass(frozen=True)
class TrustPolicy:
    """What one entry of the JSON says."""

    role: str
    subjects: tuple[str, ...]
    max_session_duration_seconds: int = _MAX_SESSION_DURATION_SECONDS


def parse(arn: str) -> Role:
    """Return the role that `arn` names; raises StsError ValidationError."""
    match = _ROLE_ARN.fullmatch(arn)
    if not match:
        raise StsError("ValidationError", f"{arn} is invalid")
    return Role(arn, match["partition"], match["account"], match["name"])


def trust_policies(document: Any) -> tuple[TrustPolicy, ...]:  # noqa: ANN401 - decoded JSON
    """Return the policies in `document`, in its order; raises RolesError."""
    if not isinstance(document, Mapping):
        raise RolesError(f"roles: {document!r} is not an object of role ARNs")
    return tuple(_trust_policy(arn, entry) for arn, entry in document.items())


def _trust_policy(arn: str, entry: Any) -> TrustPolicy:  # noqa: ANN401 - decoded JSON
    known = {"subjects", "maxSessionDurationSeconds"}
    if not isinstance(entry, Mapping) or not set(entry) <= known or not isinstance(entry.get("subjects"), list):
        raise RolesError(f"roles: {arn}: {entry!r} should have subjects (a list), may have maxSessionDurationSeconds")
    duration = entry.get("maxSessionDurationSeconds", _MAX_SESSION_DURATION_SECONDS)
    return TrustPolicy(arn, tuple(entry["subjects"]), duration)


def permit(policies: tuple[TrustPolicy, ...], role: Role, subject: str, duration_seconds: int) -> None:
    """Return if a policy of the role allows the subject; raises StsError as AWS does."""
    allowing = [
        policy
        for policy in policies
        if like(policy.role, role.arn) and any(like(glob, subject) for glob in policy.subjects)
    ]
    if not allowing:
        raise StsError("AccessDenied")
    if duration_seconds > max(policy.max_session_duration_seconds for policy in allowing):
        raise StsError(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )


def like(glob: str, text: str) -> bool:
    """Whether `text` matches `glob` as a whole, by IAM's StringLike."""
    pattern = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in glob)
    return re.fullmatch(pattern, text, re.DOTALL) is not None
