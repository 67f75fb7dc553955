"""AssumeRoleWithWebIdentity as bytes: the request, and what STS may answer. No sockets."""

# Source: STS API Reference, AssumeRoleWithWebIdentity, version 2011-06-15 (AWS query protocol). The request is not
# signed: the token is the proof.
# Only the short-lived child of an exchange imports this.

import pyexpat  # the C module under `xml.parsers.expat`, three modules and 0.6 ms less
from datetime import UTC, datetime

from emulator.sidecar.credentials import BAD_ANSWER, Failure

API_VERSION = "2011-06-15"
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CODE_LIMIT = 100  # characters; the longest that AWS documents has 37
MESSAGE_LIMIT = 400  # characters of an error's message that logs and answers repeat
READ_LIMIT = 4 * MESSAGE_LIMIT  # characters of it that are read at all
TOKEN_PART = 16  # characters by which a part of the token is known in a message
ANSWER_LIMIT = 65536
RETRY_AFTER_LIMIT_SECONDS = 300  # however long an answer tells us to wait

# Where an answer says what is wanted; an element of the same name elsewhere is another thing.
_GRANT = "/AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult"
PLACES = {
    f"{_GRANT}/Credentials/AccessKeyId": "AccessKeyId",
    f"{_GRANT}/Credentials/SecretAccessKey": "SecretAccessKey",
    f"{_GRANT}/Credentials/SessionToken": "SessionToken",
    f"{_GRANT}/Credentials/Expiration": "Expiration",
    f"{_GRANT}/AssumedRoleUser/Arn": "Arn",
    "/AssumeRoleWithWebIdentityResponse/ResponseMetadata/RequestId": "RequestId",
    "/ErrorResponse/Error/Code": "Code",
    "/ErrorResponse/Error/Message": "Message",
    "/ErrorResponse/RequestId": "RequestId",
}


class Grant:
    """What STS gave; `expiration` and `date` in Unix seconds of STS's clock, `date` None if STS did not send it."""

    __slots__ = ("access_key_id", "date", "expiration", "request_id", "secret_access_key", "token")

    def __init__(  # noqa: PLR0913 - the fields of the answer
        self,
        access_key_id: str,
        secret_access_key: str,
        token: str,
        expiration: float,
        *,
        date: float | None,
        request_id: str,
    ) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.token = token
        self.expiration = expiration
        self.date = date
        self.request_id = request_id


class Answer:
    """An HTTP answer: status, headers with names in lower case, body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def request(  # noqa: PLR0913 - the parameters of the call
    host: str,
    path: str,
    *,
    role_arn: str,
    session_name: str,
    session_policies: str,
    duration_seconds: int,
    token: str,
) -> bytes:
    """Return the whole HTTP request; `host` with its port if that is not 443, `session_policies` as in the settings."""
    policy_arns = session_policies.split(",") if session_policies else []
    body = form(
        {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": API_VERSION,
            "RoleArn": role_arn,
            "RoleSessionName": session_name,
            **{f"PolicyArns.member.{number}.arn": arn for number, arn in enumerate(policy_arns, 1)},
            "DurationSeconds": str(duration_seconds),
            "WebIdentityToken": token,
        }
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
        f"Accept: text/xml\r\nUser-Agent: imds-emulator\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def form(fields: dict[str, str]) -> bytes:
    """Return `fields` as application/x-www-form-urlencoded."""
    return b"&".join(f"{name}={_quote(value)}".encode() for name, value in fields.items())


def _quote(value: str) -> str:
    return "".join(chr(byte) if byte in PLAIN else f"%{byte:02X}" for byte in value.encode())


def read_answer(data: bytes) -> Answer | None:
    """Return the HTTP answer in `data`, all that the other side sent; None if it is truncated or is not HTTP."""
    status = "100"
    while status.startswith("1"):  # an interim answer: the real one follows
        head, separator, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        status = rest.partition(" ")[0]
        if not separator or not version.startswith("HTTP/1.") or len(status) != 3 or not _is_number(status):  # noqa: PLR2004
            return None
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body: bytes | None = data
    length = headers.get("content-length")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunk(data)
    elif length is not None:
        is_whole = _is_number(length) and len(length) <= len(str(ANSWER_LIMIT)) and len(data) >= int(length)
        body = data[: int(length)] if is_whole else None
    return None if body is None else Answer(int(status), headers, body)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _unchunk(data: bytes) -> bytes | None:
    """Return a chunked body put together, None if its end is missing (RFC 9112 section 7.1)."""
    parts: list[bytes] = []
    while True:
        line, separator, data = data.partition(b"\r\n")
        digits = line.partition(b";")[0].strip()
        if not separator or not digits or not HEX_DIGITS.issuperset(digits):
            return None
        size = int(digits, 16)
        if size == 0:
            return b"".join(parts)
        if data[size : size + 2] != b"\r\n":
            return None
        parts.append(data[:size])
        data = data[size + 2 :]


def read_outcome(answer: Answer | None, token: str, role_arn: str, now: float) -> Grant | Failure:
    """Return what an answer of STS means. `token`: the one sent, which no message may repeat. `now`: by this clock."""
    if answer is None:
        return Failure(BAD_ANSWER, "the response was truncated or was not HTTP")
    fields = _fields(answer.body)
    request_id = clean(fields.get("RequestId", answer.headers.get("x-amzn-requestid", "")), token)
    date = _http_date(answer.headers.get("date", ""))
    if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
        code, message = clean(fields.get("Code", ""), token), clean(fields.get("Message", ""), token)
        if not code.isalnum() or len(code) > CODE_LIMIT:
            code, message = BAD_ANSWER, f"HTTP {answer.status} without an error code of STS"
        wait_seconds = retry_after_seconds(answer.headers.get("retry-after", ""), now if date is None else date)
        return Failure(code, message, answer.status, request_id, wait_seconds)
    access_key_id, secret_access_key, session_token = (
        fields.get(name, "") for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    )
    expiration = _timestamp(fields.get("Expiration", ""))
    if expiration is None or not (_is_key(access_key_id) and _is_key(secret_access_key) and _is_key(session_token)):
        return Failure(BAD_ANSWER, "HTTP 200 without usable credentials", request_id=request_id)
    session = fields.get("Arn", "")
    if session and not session.startswith(sessions_of(role_arn)):  # empty from some services that stand in for STS
        return Failure(BAD_ANSWER, clean(f"credentials of another role: {session}", token), request_id=request_id)
    return Grant(access_key_id, secret_access_key, session_token, expiration, date=date, request_id=request_id)


def sessions_of(role_arn: str) -> str:
    """Return how the ARNs of a role's sessions begin; they leave the role's path out (IAM User Guide, identifiers)."""
    _, partition, _, _, account, role = role_arn.split(":", 5)
    return f"arn:{partition}:sts::{account}:assumed-role/{role.rpartition('/')[2]}/"


def clean(message: str, token: str) -> str:
    """Return a message fit for a log line: printable ASCII, of bounded length, nothing of the token in it."""
    message = message.replace(token, "[token]")[:READ_LIMIT] if token else message[:READ_LIMIT]
    parts = (at for at in range(len(message) - TOKEN_PART + 1) if message[at : at + TOKEN_PART] in token)
    message = message[: next(parts, None)]
    plain = "".join(c if " " <= c <= "~" else " " for c in message)
    return " ".join(plain.split())[:MESSAGE_LIMIT]


def retry_after_seconds(text: str, now: float) -> float:
    """Return how long the header Retry-After says to wait, bounded; 0 if it can't be read (RFC 9110 section 10.2.3)."""
    if _is_number(text):
        return min(float(text), RETRY_AFTER_LIMIT_SECONDS)
    date = _http_date(text)
    return 0 if date is None else min(max(date - now, 0), RETRY_AFTER_LIMIT_SECONDS)


class _Unexpected(Exception):  # noqa: N818 - it does not leave this module
    """The document has what no answer of STS has."""


def _fields(body: bytes) -> dict[str, str]:
    """Return the texts at PLACES of an XML document by their names.

    {} where it is not XML, or has what no answer of STS has: a document type, which could define entities; one of the
    places twice; an element in one.
    """
    fields: dict[str, str] = {}
    text: list[str] = []
    path = ""

    def doctype(*_: object) -> None:
        raise _Unexpected

    def start(name: str, _attributes: object) -> None:
        nonlocal path
        if path in PLACES:
            raise _Unexpected
        path += "/" + name.rpartition(" ")[2]
        text.clear()

    def end(_name: str) -> None:
        nonlocal path
        field = PLACES.get(path)
        if field in fields:
            raise _Unexpected
        if field is not None:
            fields[field] = "".join(text).strip()
        path = path.rpartition("/")[0]

    # A document that names its encoding could else have any codec of Python's loaded.
    parser = pyexpat.ParserCreate("utf-8", " ")
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.CharacterDataHandler = text.append
    parser.EndElementHandler = end
    try:
        parser.Parse(body, True)  # noqa: FBT003 - positional only
    except (pyexpat.ExpatError, _Unexpected):  # an undefined entity is an error of expat's
        return {}
    return fields


def _is_key(text: str) -> bool:
    """Tell whether this is a key or token as STS gives them; some clients read our JSON by cutting it at commas."""
    return text != "" and all("!" <= c <= "~" and c not in '",\\' for c in text)


def _timestamp(text: str) -> float | None:
    """Return an ISO 8601 time in Unix seconds, None if it is malformed; without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _http_date(text: str) -> float | None:
    """Return a date of the form `Wed, 25 Nov 2026 09:00:00 GMT` in Unix seconds, None for any other."""
    try:
        _, day, month, year, time, _ = text.split(" ")
        hour, minute, second = time.split(":")
        date = datetime(int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return date.timestamp()
