"""What the emulator's log says last of its exchanges with STS, and what to do about each error code."""

from __future__ import annotations

import re
from dataclasses import dataclass

# STS error code -> remedy. Source: AWS STS API Reference, AssumeRoleWithWebIdentity, Errors.
REMEDIES = {
    "AccessDenied": "the role's trust policy does not let this service account in: compare with "
    "`imds-emulator trust-policy -n {namespace} --service-account {account}`",
    "InvalidIdentityToken": "IAM has no OIDC provider for this cluster's issuer with the token's audience, "
    "or cannot read its keys: run `imds-emulator check`",
    "IDPCommunicationError": "AWS could not read the issuer's keys: they must be public over HTTPS",
    "IDPRejectedClaim": "the issuer's token was rejected: see the message in the log, and run `imds-emulator check`",
    "ExpiredTokenException": "the projected token is stale: see the kubelet's log, and the node's clock",
    "ValidationError": "role ARN, session name or duration are refused: see the message in the log",
    "PackedPolicyTooLarge": "the session policies are too large together: name fewer of them",
    "MalformedPolicyDocument": "a session policy is malformed: see the message in the log",
    "RegionDisabledException": "STS is not enabled for this region in the account: enable it, or choose another region",
}
OTHER = "see the message in the emulator's log, and AWS STS API Reference, AssumeRoleWithWebIdentity, Errors"
_CODE = re.compile(r" sts_code=(\w+)")
_ANSWERED = " request_id="  # which STS gives with each answer; an exchange that did not reach it has none


@dataclass(frozen=True)
class Word:
    """`code`: STS's last error, '' if it gave none since the last credentials; `line`: the log's last line.

    `trouble`: the last error code, of STS or, where it was not reached, of the emulator.
    """

    code: str
    trouble: str
    is_good: bool
    line: str


def last_word(log: str) -> Word:
    """Return what a log says last: an error of STS, credentials, or neither."""
    _, got, after = log.rpartition(" event=credentials ")
    lines = [line for line in after.splitlines() if " event=stopped " not in line]
    last = (lines or ["no log yet"])[-1]
    codes = [code for line in reversed(lines) for code in _codes(line)]
    answered = [code for line in reversed(lines) for code in _codes(line) if code in REMEDIES or _ANSWERED in line]
    code, trouble = (next(iter(found), "") for found in (answered, codes))
    return Word(code, trouble, is_good=bool(got) and " event=expired " not in after and not code, line=last)


def _codes(line: str) -> list[str]:
    return _CODE.findall(line) or [code for code in REMEDIES if code in line]


def remedy(code: str, namespace: str, account: str) -> str:
    """Return what to do about an error code of STS."""
    return REMEDIES.get(code, OTHER).format(namespace=namespace, account=account)
