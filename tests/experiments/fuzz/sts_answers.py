"""What STS answers, and what the child of an exchange tells its parent of it.

An input is one letter and bytes: H..., an HTTP answer; anything else, what a child has said.
"""

from __future__ import annotations

import json
import re

from emulator import log
from emulator.sidecar import imds
from emulator.sidecar.credentials import Credentials, Failure
from emulator.sidecar.exchange import encode_outcome, outcome_of, pack
from emulator.sidecar.sts import CODE_LIMIT, MESSAGE_LIMIT, TOKEN_PART, Grant, read_answer, read_outcome

NOW = 1_795_597_200.0  # 2026-11-25T09:00:00Z
ROLE = "arn:aws:iam::123456789012:role/team/app-role"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6YTpiIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
TOKEN_PARTS = {TOKEN[at : at + TOKEN_PART] for at in range(len(TOKEN) - TOKEN_PART + 1)}
SECRETS = ("fuzzed/secret/access/key/fuzzed/secret+k", "fuzzed//session//token==")
KEY = re.compile(r"[!#-+\--\[\]-~]+")  # printable ASCII without quote, comma, backslash
PLAIN = re.compile(r"[ -~]*")


def one_input(data: bytes) -> None:
    """Read an answer, whole and broken off, or what a child said."""
    if data[:1] != b"H":
        judge(outcome_of(data[1:], NOW), b"")
        return
    outcome = read(data)
    judge(carried(outcome), data)
    # Somewhere, at another place for each length.
    place = len(data) * 0.618 % 1
    broken = read(data[: int(len(data) * place)])
    # An answer that tells no length ends with its connection: one XML document is then all of it, whatever follows.
    if isinstance(broken, Grant) and _tells_length(data):
        assert _keys(broken) == _keys(outcome), "credentials of half an answer"
    message = pack(encode_outcome(outcome))
    half, _ = outcome_of(message[: int(len(message) * place)], NOW)
    assert isinstance(half, Failure), "credentials of half a message"


def read(data: bytes) -> Grant | Failure:
    """Return what an answer means, and judge it."""
    outcome = read_outcome(read_answer(data), TOKEN, ROLE, NOW)
    if isinstance(outcome, Grant):
        _assert_keys(outcome.access_key_id, outcome.secret_access_key, outcome.token)
    else:
        _assert_told(outcome.code, outcome.message, outcome.request_id)
        # What STS says of a refusal is repeated. Of a grant that can't be used nothing is, but the request's id.
        if outcome.status == 0:
            assert not any(secret in outcome.code + outcome.message for secret in SECRETS)
    return outcome


def carried(outcome: Grant | Failure) -> tuple[Credentials | Failure, str]:
    """Return the outcome as it arrives in the parent."""
    return outcome_of(pack(encode_outcome(outcome)), NOW)


def judge(arrived: tuple[Credentials | Failure, str], data: bytes) -> None:
    """Fail if what the server holds, serves and logs after an exchange is not whole, or tells too much."""
    outcome, request_id = arrived
    if isinstance(outcome, Credentials):
        assert outcome.expires_at > NOW
        document = imds.json_object(imds.document(outcome))
        if data:
            _assert_keys(outcome.access_key_id, outcome.secret_access_key, outcome.token)
            assert all(json.loads(document).values())
        said = log.line("info", "credentials", {"request_id": request_id}, NOW)
    else:
        imds.error_response(503, outcome, NOW)
        said = log.line(
            "warning", "exchange-failed", {"sts_code": outcome.code, "message": outcome.message, "id": request_id}, NOW
        )
    assert said.count("\n") == 1, said
    if data:
        assert not any(part in said for part in TOKEN_PARTS), "the token is told"


def _tells_length(data: bytes) -> bool:
    answer = read_answer(data)
    return answer is None or not {"content-length", "transfer-encoding"}.isdisjoint(answer.headers)


def _keys(outcome: Grant | Failure) -> tuple[str, str, str, float]:
    assert isinstance(outcome, Grant)
    return outcome.access_key_id, outcome.secret_access_key, outcome.token, outcome.expiration


def _assert_keys(*keys: str) -> None:
    assert all(KEY.fullmatch(key) for key in keys), "keys that are not whole"


def _assert_told(code: str, message: str, request_id: str) -> None:
    assert 0 < len(code) <= CODE_LIMIT
    assert code.isascii()
    assert code.isalnum()
    for text in (message, request_id):
        assert len(text) <= MESSAGE_LIMIT
        assert PLAIN.fullmatch(text)
    assert not any(part in f"{code} {message} {request_id}" for part in TOKEN_PARTS), "the token is told"
