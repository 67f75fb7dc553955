"""The metadata service: each answer to each request, in each mode."""

from __future__ import annotations

import json

import pytest

from emulator.sidecar.credentials import Credentials, Failure
from emulator.sidecar.imds import Service, error_response, is_version, respond
from emulator.sidecar.imds_tokens import Tokens
from emulator.sidecar.wire import Response, parse

NOW = 1_795_597_200.5  # 2026-11-25T09:00:00Z
KEYS = Credentials("ASIAEXAMPLE", "secret/+", "token/+==", NOW + 3600, NOW)
LIST = "/latest/meta-data/iam/security-credentials/"
TOKEN = "/latest/api/token"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
DOCUMENT = """{
  "Code" : "Success",
  "LastUpdated" : "2026-11-25T09:00:00Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLE",
  "SecretAccessKey" : "secret/+",
  "Token" : "token/+==",
  "Expiration" : "2026-11-25T10:00:00Z"
}"""
MODES = ("v1", "v1-and-v2", "v2")


def make_service(mode: str = "v1", *, keys: Credentials | None = KEYS) -> Service:
    """Return a service that holds `keys`."""
    tokens = None if mode == "v1" else Tokens(b"key")
    service = Service("app-role", "123456789012", tokens, NOW, token_needed=mode == "v2")
    if keys is not None:
        service.offer(keys)
    return service


def ask(
    service: Service, path: str, *, method: str = "GET", now: float = NOW, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], str]:
    """Return status, headers (without the date) and body of the answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    request = parse(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))  # a byte for each character
    assert request is not None
    response = respond(request, service, now)
    assert isinstance(response, Response)
    head, _, body = response.encode(request, b"-").decode().partition("\r\n\r\n")
    status, *fields = head.split("\r\n")
    found = dict(field.split(": ", 1) for field in fields if not field.startswith("Date"))
    return int(status.split(" ")[1]), found, body


@pytest.mark.parametrize(
    "path",
    [
        LIST,
        LIST.rstrip("/"),
        "/latest/meta-data//iam/security-credentials/",
        "//latest/meta-data/iam/security-credentials",
        "/1.0/meta-data/iam/security-credentials/",
        "/2007-01-19/meta-data/iam/security-credentials/",
        "/2021-07-15/meta-data/iam/security-credentials/",
        LIST + "?",
        LIST + "?x=1",
    ],
)
def test_role_list(path: str) -> None:
    """The role's bare name, with or without slashes, of any version, any query."""
    expected = (200, {"Server": "EC2ws", "Content-Type": "text/plain", "Content-Length": "8"}, "app-role")

    assert expected == ask(make_service(), path)


@pytest.mark.parametrize(
    "path", [LIST + "app-role", LIST + "app-role/", "/" + LIST + "app-role", LIST + "app-role?x=1", LIST + "%61pp-role"]
)
def test_credentials(path: str) -> None:
    """Seven keys in EC2's order and spacing, whole seconds in UTC, no last line end."""
    expected = (200, {"Server": "EC2ws", "Content-Type": "text/plain", "Content-Length": "222"}, DOCUMENT)

    assert expected == ask(make_service(), path)


@pytest.mark.parametrize("name", ["X-amzn-extended", "x-AMZN-Extended"])
def test_extended_credentials(name: str) -> None:
    """A client that asks for it gets the account as an eighth key."""
    expected = DOCUMENT.replace("\n}", ',\n  "AccountId" : "123456789012"\n}')

    _, _, actual = ask(make_service(), LIST + "app-role", headers={name: "1"})

    assert expected == actual


@pytest.mark.parametrize("value", ["", "0", "2", "true", "11", "1, 1"])
def test_not_extended(value: str) -> None:
    """Another value of the header adds nothing."""
    assert DOCUMENT == ask(make_service(), LIST + "app-role", headers={"X-amzn-extended": value})[2]


def test_extended_before_there_are_credentials() -> None:
    """The header changes nothing else: the list of roles, the answer while there is nothing to give."""
    service = make_service(keys=None)

    for path in (LIST, LIST + "app-role"):
        assert ask(service, path) == ask(service, path, headers={"X-amzn-extended": "1"})


def test_credentials_are_json_of_seven_texts() -> None:
    """What clients parse is one flat object of texts."""
    _, _, body = ask(make_service(), LIST + "app-role")
    expected = ["Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"]

    document = json.loads(body)

    assert expected == list(document)
    assert {str} == {type(value) for value in document.values()}


@pytest.mark.parametrize("mode", ["v1", "v1-and-v2"])
@pytest.mark.parametrize(
    "path",
    [
        LIST + "other-role",
        LIST + "app-role/x",
        LIST + "App-Role",
        "/latest/meta-data/iam/security-credentials-extended/",
        "/latest/meta-data/iam/security-credentials-extended/app-role",
        "/foo/meta-data/iam/security-credentials/",
        "/meta-data/iam/security-credentials/",
        "/latest",
        "/latest/",
        "/latest/meta-data",
        "/latest/meta-data/iam/",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/instance-id",
        "/latest/meta-data/placement/availability-zone",
        "/latest/dynamic/instance-identity/document",
        "/latest/user-data",
    ],
)
def test_not_found(mode: str, path: str) -> None:
    """All else, another role too, is 404 with a short body and the header Server."""
    expected = (404, {"Server": "EC2ws", "Content-Type": "text/plain", "Content-Length": "9"}, "not found")

    assert expected == ask(make_service(mode), path)


@pytest.mark.parametrize("headers", [{}, {"X-aws-ec2-metadata-token": "INVALID"}])
def test_root(headers: dict[str, str]) -> None:
    """The root lists the version, so that fluent-bit falls back to IMDSv1."""
    expected = (200, {"Server": "EC2ws", "Content-Type": "text/plain", "Content-Length": "6"}, "latest")

    assert expected == ask(make_service(), "/", headers=headers)


@pytest.mark.parametrize("method", ["PUT", "GET", "POST", "HEAD"])
@pytest.mark.parametrize("path", [TOKEN, "/1.0/api/token", TOKEN + "/"])
def test_token_in_v1(method: str, path: str) -> None:
    """With IMDSv1 alone the token is 404 for every method, its body without a line end."""
    status, _, body = ask(make_service(), path, method=method, headers={TTL: "21600"})

    assert (404, False) == (status, "\n" in body or "\r" in body)


@pytest.mark.parametrize("token", ["", "INVALID", "not found", "a" * 56])
def test_token_header_in_v1(token: str) -> None:
    """With IMDSv1 alone a token means nothing, whatever it is."""
    service = make_service()

    assert ask(service, LIST) == ask(service, LIST, headers={"X-aws-ec2-metadata-token": token})


@pytest.mark.parametrize("mode", MODES[:2])
@pytest.mark.parametrize("path", [LIST, LIST + "app-role", "/", LIST + "other"])
def test_head(mode: str, path: str) -> None:
    """HEAD answers as GET does, without the body."""
    service = make_service(mode)
    status, headers, _ = ask(service, path)

    assert (status, headers, "") == ask(service, path, method="HEAD")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
@pytest.mark.parametrize("path", [LIST, LIST + "app-role", "/"])
def test_other_methods(method: str, path: str) -> None:
    """What is there can be read, not changed."""
    status, headers, body = ask(make_service(), path, method=method)

    assert (405, "GET, HEAD", "") == (status, headers["Allow"], body)


def test_no_credentials_yet() -> None:
    """Without credentials and without hope 503, and a body that says why; the role list is served."""
    service = make_service(keys=None)
    body = """{
  "Code" : "NoCredentials",
  "Message" : "no credentials: an exchange with STS is under way",
  "LastUpdated" : "2026-11-25T09:00:00Z"
}"""
    expected = (503, {"Server": "EC2ws", "Content-Type": "application/json", "Content-Length": str(len(body))}, body)

    assert expected == ask(service, LIST + "app-role")
    assert (200, "app-role") == ask(service, LIST)[::2]


def test_waiting() -> None:
    """While an exchange is under way the credentials wait; all else is answered."""
    service = make_service(keys=None)
    service.hopeful = True
    request = parse(f"GET {LIST}app-role HTTP/1.1\r\n\r\n".encode())
    assert request is not None

    assert respond(request, service, NOW) is None
    assert [200, 404, 404] == [ask(service, path)[0] for path in (LIST, LIST + "other", TOKEN)]


def test_expired() -> None:
    """Credentials are served to their last second and not beyond (200, then 503)."""
    service = make_service()

    assert [200, 503] == [ask(service, LIST + "app-role", now=at)[0] for at in (NOW + 3599.9, NOW + 3600)]


def test_held_credentials_are_not_waited_for() -> None:
    """While old credentials are good, an exchange under way delays nobody."""
    service = make_service()
    service.hopeful = True

    assert (200, DOCUMENT) == ask(service, LIST + "app-role")[::2]


def test_refused() -> None:
    """The error's code and message reach a person, in JSON."""
    service = make_service(keys=None)
    service.unavailable = error_response(500, Failure("AccessDenied", 'no "x\\y"', 403, "r"), NOW)

    status, _, body = ask(service, LIST + "app-role")

    expected = {"Code": "AccessDenied", "Message": 'no "x\\y"', "LastUpdated": "2026-11-25T09:00:00Z"}
    assert (500, expected) == (status, json.loads(body))


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("ttl", ["1", "60", "21600", "021600"[1:]])
def test_token(mode: str, ttl: str) -> None:
    """A token has at most 56 characters of A-Z a-z 0-9 _ = -, no line end, and its TTL is told."""
    status, headers, token = ask(make_service(mode), TOKEN, method="PUT", headers={TTL: ttl})

    assert (200, ttl, 56) == (status, headers["X-Aws-Ec2-Metadata-Token-Ttl-Seconds"], len(token))
    assert token.replace("-", "a").replace("_", "a").isalnum()
    assert token.isascii()


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("ttl", [None, "", "0", "21601", "-1", "1.5", "x", "\xb2", "9" * 5000])
def test_token_ttl_out_of_range(mode: str, ttl: str | None) -> None:
    """A TTL that is missing, no number or out of range is 400."""
    assert 400 == ask(make_service(mode), TOKEN, method="PUT", headers={} if ttl is None else {TTL: ttl})[0]


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.claim("S07")
def test_token_forwarded(mode: str) -> None:
    """A token is not given through a proxy: 403."""
    headers = {TTL: "60", "X-Forwarded-For": "10.0.0.1"}

    assert 403 == ask(make_service(mode), TOKEN, method="PUT", headers=headers)[0]


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_token_other_methods(mode: str, method: str) -> None:
    """The token's path takes PUT alone, and says so."""
    status, headers, body = ask(make_service(mode), TOKEN, method=method)

    assert (405, "OPTIONS, PUT", "") == (status, headers["Allow"], body)


@pytest.mark.parametrize("mode", MODES[1:])
def test_with_token(mode: str) -> None:
    """With a good token the answer is that of IMDSv1, and the time the token has left is told."""
    service = make_service(mode)
    _, _, token = ask(service, TOKEN, method="PUT", headers={TTL: "60"})

    status, headers, body = ask(service, LIST, now=NOW + 10, headers={"X-aws-ec2-metadata-token": token})

    assert (200, "app-role", "50") == (status, body, headers["X-Aws-Ec2-Metadata-Token-Ttl-Seconds"])


@pytest.mark.parametrize(("mode", "expected"), [("v1-and-v2", 200), ("v2", 401)])
@pytest.mark.parametrize("path", [LIST, LIST + "app-role", "/"])
@pytest.mark.parametrize("headers", [{}, {"X-aws-ec2-metadata-token": ""}])
@pytest.mark.claim("S07")
def test_without_token(mode: str, expected: int, path: str, headers: dict[str, str]) -> None:
    """Without a token the request is served where IMDSv1 is allowed, else 401."""
    assert expected == ask(make_service(mode), path, headers=headers)[0]


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("path", [LIST, LIST + "app-role", "/", "/latest/user-data"])
@pytest.mark.parametrize("token", ["INVALID", "x" * 56, "é", "!!!", "=", "A" * 5000])
def test_bad_token(mode: str, path: str, token: str) -> None:
    """A bad token is 401 on every path, also where IMDSv1 is allowed."""
    assert 401 == ask(make_service(mode), path, headers={"X-aws-ec2-metadata-token": token})[0]


@pytest.mark.parametrize("mode", MODES[1:])
def test_ended_token(mode: str) -> None:
    """A token is good for its TTL, and 401 after."""
    service = make_service(mode)
    _, _, token = ask(service, TOKEN, method="PUT", headers={TTL: "60"})
    headers = {"X-aws-ec2-metadata-token": token}

    assert [200, 401] == [ask(service, LIST, now=NOW + after, headers=headers)[0] for after in (59.4, 60)]


@pytest.mark.claim("S07")
def test_token_of_another_process() -> None:
    """A token dies with the process that made it."""
    token = Tokens(b"old key").make(int(NOW) + 60)

    assert 401 == ask(make_service("v2"), LIST, headers={"X-aws-ec2-metadata-token": token})[0]


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("latest", True),
        ("1.0", True),
        ("2007-01-19", True),
        ("2021-7-15", False),
        ("20210715", False),
        ("2021-07-1x", False),
        ("Latest", False),
        ("1.1", False),
        ("", False),
        ("2021-07-150", False),
        ("²021-07-15", False),
    ],
)
def test_versions(segment: str, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Versions are latest, 1.0 and dates."""
    assert expected == is_version(segment)
