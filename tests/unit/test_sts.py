"""AssumeRoleWithWebIdentity: the request's bytes, and what answers mean."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sidecar.credentials import Failure
from emulator.sidecar.sts import MESSAGE_LIMIT, Grant, clean, form, read_answer, read_outcome, request
from tests.support.wire.stub_sts import error, grant

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
ROLE = "arn:aws-cn:iam::123456789012:role/team/app-role"
NOW = 1_795_597_200.0  # 2026-11-25T09:00:00Z


def http(status: int, body: str, headers: str = "") -> bytes:
    """Return an HTTP answer."""
    return f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


def fields(outcome: Grant | Failure) -> dict[str, object]:
    """Return what is in an outcome."""
    return {name: getattr(outcome, name) for name in type(outcome).__slots__}


def test_request() -> None:
    """The call is a POST of a form, unsigned, with the whole ARN."""
    data = request(
        "sts.eu-west-1.amazonaws.com",
        "/",
        role_arn="arn:aws:iam::123456789012:role/team/app-role",
        session_name="team-a.app",
        session_policies="arn:aws:iam::aws:policy/A,arn:aws:iam::aws:policy/B",
        duration_seconds=3600,
        token=TOKEN,
    )

    expected_body = (
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
        "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2Fapp-role&RoleSessionName=team-a.app"
        "&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FA"
        "&PolicyArns.member.2.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FB"
        f"&DurationSeconds=3600&WebIdentityToken={TOKEN}"
    )
    expected = (
        "POST / HTTP/1.1\r\nHost: sts.eu-west-1.amazonaws.com\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nAccept: text/xml\r\n"
        f"User-Agent: imds-emulator\r\nContent-Length: {len(expected_body)}\r\nConnection: close\r\n\r\n{expected_body}"
    )
    assert expected.encode() == data


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(min_size=1)))
def test_form(values: dict[str, str]) -> None:
    """Any text in a form is read back as it was."""
    assert values == {
        name: found[0] for name, found in parse_qs(form(values).decode(), strict_parsing=bool(values)).items()
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (http(200, "body", "Date: x\r\n"), (200, b"body", "x")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x\r\ndy\r\n0\r\n\r\n",
            (200, b"body", None),
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nbody", (200, b"body", None)),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http(403, "no"), (403, b"no", None)),
        (b"HTTP/1.1 100 C\r\n\r\n" * 2000 + http(403, "no"), (403, b"no", None)),
    ],
)
def test_answer(data: bytes, expected: tuple[int, bytes, str | None]) -> None:
    """Status, headers and body, whichever way the body's end is told."""
    answer = read_answer(data)

    assert answer is not None
    assert expected == (answer.status, answer.body, answer.headers.get("date"))


@pytest.mark.parametrize(
    "data", [http(200, "body"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
def test_answer_that_broke_off(data: bytes) -> None:
    """An answer that is not whole is none."""
    whole = data if data.endswith(b"body") else data[:-4]  # the end of the trailers may be missing

    assert [None] * (len(whole) - 1) == [read_answer(whole[:length]) for length in range(1, len(whole))]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 20\xb2 OK\r\n\r\n",  # a digit to str.isdigit, none to int
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n",
    ],
)
def test_no_answer(data: bytes) -> None:
    """What is not HTTP is not an answer."""
    assert read_answer(data) is None


def outcome_of(status: int, body: str, headers: str = "") -> dict[str, object]:
    """Return the fields of what an answer means."""
    return fields(read_outcome(read_answer(http(status, body, headers)), TOKEN, ROLE, NOW))


def test_grant() -> None:
    """Credentials, their end, and the clock of STS are read out of its XML."""
    expected = {
        "access_key_id": "ASIA1",
        "secret_access_key": "secret/ASIA1",
        "token": "token/ASIA1==",
        "expiration": NOW + 3600,
        "date": NOW,
        "request_id": "req-1",
    }

    assert expected == outcome_of(200, grant("ASIA1", now=NOW).body, "Date: Wed, 25 Nov 2026 09:00:00 GMT\r\n")


@pytest.mark.parametrize(
    ("expiration", "expected"),
    [
        ("2026-11-25T10:00:00Z", NOW + 3600),
        ("2026-11-25T10:00:00.500Z", NOW + 3600.5),
        ("2026-11-25T11:00:00+01:00", NOW + 3600),
        ("2026-11-25T10:00:00", NOW + 3600),
    ],
)
def test_expiration(expiration: str, expected: float) -> None:
    """The end is read in any form of ISO 8601."""
    body = grant(now=NOW).body.replace("2026-11-25T10:00:00Z", expiration)

    assert expected == outcome_of(200, body)["expiration"]


@pytest.mark.parametrize("encoding", ["utf-7", "idna", "no-such"])
def test_encoding(encoding: str) -> None:
    """An answer is UTF-8; one that says otherwise has no codec looked up for it."""
    assert (
        NOW + 3600 == outcome_of(200, f'<?xml version="1.0" encoding="{encoding}"?>{grant(now=NOW).body}')["expiration"]
    )


@pytest.mark.parametrize("month", range(1, 13))
def test_date(month: int) -> None:
    """STS's clock is read in every month, RFC 9110 section 5.6.7."""
    when = datetime(2026, month, 9, 8, 7, 6, tzinfo=UTC)
    headers = f"Date: {when:%a, %d %b %Y %H:%M:%S} GMT\r\n"

    assert when.timestamp() == outcome_of(200, grant(now=NOW).body, headers)["date"]


@pytest.mark.parametrize(
    "date",
    [
        "Wed, 25 Nov 99999999999 09:00:00 GMT",
        "",
        "yesterday",
        "Wed, 25 Nov 2026 25:00:00 GMT",
        "Wed, 25 Foo 2026 09:00:00 GMT",
    ],
)
def test_no_date(date: str) -> None:
    """Without a date, or with one that can't be read, the clock of STS is not known."""
    assert outcome_of(200, grant(now=NOW).body, f"Date: {date}\r\n")["date"] is None


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (400, "ExpiredTokenException"), (400, "InvalidIdentityToken"), (400, "Throttling")],
)
def test_error(status: int, code: str) -> None:
    """An error of STS is its code, message, status and request id."""
    expected = {
        "code": code,
        "message": "Not so",
        "status": status,
        "request_id": "req-2",
        "retry_after_seconds": 0,
    }

    assert expected == outcome_of(status, error(status, code, "Not so").body)


UNUSABLE = [
    "",
    "<html>",
    "<a/>",
    '{"AccessKeyId": "ASIA1"}',
    grant(now=NOW).body.replace("<AccessKeyId>ASIASTUB", "<AccessKeyId>"),
    grant(now=NOW).body.replace("token/ASIASTUB==", 'a"b'),
    grant(now=NOW).body.replace("token/ASIASTUB==", "a,b"),
    grant(now=NOW).body.replace("2026-11-25T10:00:00Z", "soon"),
    grant(now=NOW).body[:-20],
    grant(now=NOW).body.replace("token/ASIASTUB==", "tok&unknown;en=="),
    '<!DOCTYPE a [<!ENTITY e "x">]>' + grant(now=NOW).body.replace("token/ASIASTUB==", "tok&e;en=="),
    '<!DOCTYPE a SYSTEM "https://a.example">' + grant(now=NOW).body.replace("token/ASIASTUB==", "tok&unknown;en=="),
    "<!DOCTYPE a>" + grant(now=NOW).body,
    grant(now=NOW).body.replace("token/ASIASTUB==", "tok<b/>en=="),
    grant(now=NOW).body.replace("</SecretAccessKey>", "</SecretAccessKey><AccessKeyId>ASIA2</AccessKeyId>"),
    grant(now=NOW)
    .body.replace("Result><Credentials>", "Result><Other><Credentials>")
    .replace("</Credentials>", "</Credentials></Other>"),
]


@pytest.mark.parametrize("body", UNUSABLE)
def test_unusable(body: str) -> None:
    """A 200 without usable keys is a failure, never empty credentials, nor ones that were cut."""
    outcome = outcome_of(200, body)

    assert ("BadAnswer", "HTTP 200 without usable credentials", 0) == tuple(
        outcome.get(name) for name in ("code", "message", "status")
    )


def test_elements_of_the_same_name_elsewhere() -> None:
    """What a newer API says elsewhere under the same names is not taken."""
    other = "<Other><Arn>a</Arn><AccessKeyId>b</AccessKeyId><Expiration>c</Expiration><RequestId>d</RequestId></Other>"
    body = grant("ASIA1", now=NOW).body
    more = body.replace("<Credentials>", f"{other}<Credentials>").replace(
        "</Credentials>", f"{other}</Credentials>{other}"
    )

    assert outcome_of(200, body) == outcome_of(200, more)


def test_long_token() -> None:
    """A session token of 4096 characters is taken as it is."""
    token = "A+/=" * 1024

    assert token == outcome_of(200, grant(now=NOW).body.replace("token/ASIASTUB==", token))["token"]


@pytest.mark.parametrize("text", ["tok&#101;n", "tok&#x65;n", "tok<!-- a -->en", "tok<![CDATA[en]]>"])
def test_ways_to_write_a_text(text: str) -> None:
    """Character references, comments and CDATA are read as XML has them."""
    assert "token" == outcome_of(200, grant(now=NOW).body.replace("token/ASIASTUB==", text))["token"]


@pytest.mark.parametrize("body", [error(503, "ServiceUnavailable", "x").body, "<html>", ""])
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("20", 20),
        ("0", 0),
        ("301", 300),
        ("9" * 400, 300),
        ("-1", 0),
        ("soon", 0),
        ("", 0),
        ("\u00b2", 0),
        ("Wed, 25 Nov 2026 09:00:20 GMT", 20),
        ("Wed, 25 Nov 2026 08:59:00 GMT", 0),
        ("Wed, 25 Nov 2026 19:00:00 GMT", 300),
    ],
)
def test_retry_after(body: str, header: str, expected: float) -> None:
    """How long to wait is told in seconds or as a date, by STS or who stands before it; there is a bound."""
    assert expected == outcome_of(503, body, f"Retry-After: {header}\r\n")["retry_after_seconds"]


def test_retry_after_by_the_clock_of_the_answer() -> None:
    """A date is one of the clock that the answer shows, where it does."""
    headers = "Date: Wed, 25 Nov 2026 08:00:00 GMT\r\nRetry-After: Wed, 25 Nov 2026 08:00:20 GMT\r\n"

    assert 20 == outcome_of(429, "", headers)["retry_after_seconds"]


@pytest.mark.parametrize(
    ("status", "body"), [(403, "<html>denied by proxy</html>"), (502, "Bad Gateway"), (429, ""), (301, "")]
)
def test_error_of_another(status: int, body: str) -> None:
    """What a proxy or balancer says is not taken for an answer of STS."""
    expected = {
        "code": "BadAnswer",
        "message": f"HTTP {status} without an error code of STS",
        "status": status,
        "request_id": "",
        "retry_after_seconds": 0,
    }

    assert expected == outcome_of(status, body)


def test_broken_off() -> None:
    """No answer at all is a failure."""
    assert "Failure('BadAnswer', 'the response was truncated or was not HTTP', 0, '')" == repr(
        read_outcome(None, TOKEN, ROLE, NOW)
    )


def of_session(arn: str) -> str:
    """Return an answer that says whose session it gives."""
    user = f"<AssumedRoleUser><Arn>{arn}</Arn><AssumedRoleId>AROA1:app-0</AssumedRoleId></AssumedRoleUser>"
    return grant("ASIA1", now=NOW).body.replace("<Credentials>", f"{user}<Credentials>")


@pytest.mark.parametrize("arn", ["arn:aws-cn:sts::123456789012:assumed-role/app-role/app-0", ""])
def test_session_of_the_role(arn: str) -> None:
    """Credentials are taken of a session of the role, or where its ARN is left out; the role's path is in none."""
    assert "ASIA1" == outcome_of(200, of_session(arn))["access_key_id"]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws-cn:sts::123456789012:assumed-role/app-role-2/app-0",
        "arn:aws-cn:sts::999999999999:assumed-role/app-role/app-0",
        "arn:aws:sts::123456789012:assumed-role/app-role/app-0",
    ],
)
def test_session_of_another_role(arn: str) -> None:
    """Credentials of another role are not taken, and whose they are is told."""
    actual = outcome_of(200, of_session(arn))

    assert ("BadAnswer", f"credentials of another role: {arn}") == (actual["code"], actual["message"])


@pytest.mark.parametrize("message", [f"Value '{TOKEN}' is bad", f"Value '{TOKEN[:30]}... is bad", f"{TOKEN}{TOKEN}"])
def test_no_message_repeats_the_token(message: str) -> None:
    """Neither the token nor a part of it gets into a message, and so into a log or an answer."""
    actual = clean(message, TOKEN)

    assert TOKEN[:16] not in actual


def test_nothing_repeats_the_token() -> None:
    """Nor does a code or an id that an answer brings; neither is longer than a line can be."""
    told = [
        outcome_of(400, error(400, TOKEN[:20], "x").body),
        outcome_of(400, error(400, "C" * 101, "x").body),
        outcome_of(403, "", f"x-amzn-RequestId: {TOKEN}\r\n"),
        outcome_of(403, "", "x-amzn-RequestId: " + "r\0" * 5000 + "\r\n"),
    ]

    assert ["BadAnswer"] * 4 == [outcome["code"] for outcome in told]
    assert ["req-2", "req-2", "[token]", "r" + " r" * 199] == [str(outcome["request_id"])[:399] for outcome in told]


def test_clean() -> None:
    """A message is one line of printable ASCII, of bounded length."""
    assert "a b c" == clean(" a\r\n\tb\0é c ", "")
    assert "x" * MESSAGE_LIMIT == clean("x" * 5000, "")


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Whatever the other side sends is an outcome."""
    assert isinstance(read_outcome(read_answer(b"HTTP/1.1 200 OK\r\n\r\n" + data), TOKEN, ROLE, NOW), Failure)
    read_answer(data)
