"""The test STS against real AWS clients: what it tells of others must itself hold."""

import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.sts.faults import ANSWERS, FaultError, parse
from tests.support.sts.issuer import Issuer
from tests.support.sts.local import ROLE_ARN, SUBJECT, LocalSts, local_sts
from tests.support.sts.roles import RolesError, TrustPolicy, trust_policies

POLICIES = (
    TrustPolicy(ROLE_ARN, ("system:serviceaccount:team-a:*",)),
    TrustPolicy("arn:aws-cn:iam::123456789012:role/*", ("*",)),
    TrustPolicy("arn:aws:iam::123456789012:role/team/long", (SUBJECT,), 43200),
)
SESSION = boto3.Session()  # one, since each reads the service models again
NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"


@pytest.fixture(scope="module")
def module_sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSts]:
    """One STS for all tests of this file."""
    with local_sts(tmp_path_factory.mktemp("sts"), POLICIES) as sts:
        yield sts


@pytest.fixture
def sts(module_sts: LocalSts) -> LocalSts:
    """Provide the STS with no faults, an empty call log and the policies above."""
    module_sts.service.faults.put([])
    module_sts.service.forget()
    module_sts.service.policies = POLICIES
    return module_sts


def client(sts: LocalSts, credentials: dict[str, Any] | None = None, region: str = "eu-west-1") -> Any:  # noqa: ANN401 - boto3 is untyped
    """Return a boto3 client of this STS, with or without credentials; it tries once."""
    keys = credentials or {"AccessKeyId": "x", "SecretAccessKey": "x", "SessionToken": None}
    return SESSION.client(
        "sts",
        region_name=region,
        endpoint_url=sts.endpoint,
        verify=str(sts.ca_file),
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        config=Config(retries={"total_max_attempts": 1}, read_timeout=5),
    )


def assume(sts: LocalSts, **changes: object) -> dict[str, Any]:
    """Assume app-role as SUBJECT, but for `changes`."""
    parameters = {
        "RoleArn": ROLE_ARN,
        "RoleSessionName": "team-a-app",
        "WebIdentityToken": sts.issuer.token(SUBJECT),
        **changes,
    }
    answer: dict[str, Any] = client(sts).assume_role_with_web_identity(**parameters)
    return answer


def refusal(call: Any) -> tuple[int, str, str]:  # noqa: ANN401 - a function of boto3
    """Return status, code and message of the error that `call` raises."""
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"].get("Message", ""),
    )


def post(sts: LocalSts, host: str = "sts.eu-west-1.amazonaws.com", **parameters: str) -> tuple[int, str, bytes]:
    """Send a form under a Host header; return status, content type, body."""
    request = urllib.request.Request(  # noqa: S310 - https
        sts.endpoint, urllib.parse.urlencode(parameters).encode(), {"Host": host}
    )
    tls = ssl.create_default_context(cafile=str(sts.ca_file))
    try:
        with urllib.request.urlopen(request, context=tls, timeout=5) as answer:  # noqa: S310 - https
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def xml(body: bytes) -> ET.Element:
    """Parse an answer."""
    return ET.fromstring(body)  # noqa: S314 - our own XML


def form(sts: LocalSts) -> dict[str, str]:
    """Return a form that is right."""
    return {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE_ARN,
        "RoleSessionName": "team-a-app",
        "WebIdentityToken": sts.issuer.token(SUBJECT),
    }


def test_assumed_role(sts: LocalSts) -> None:
    """A subject that the trust policy allows gets temporary credentials that last an hour."""
    answer = assume(sts)

    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert len(credentials["AccessKeyId"]) == 20
    assert len(credentials["SecretAccessKey"]) == 40
    assert 3590 < credentials["Expiration"].timestamp() - time.time() <= 3600
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/app-role/team-a-app"
    assert answer["SubjectFromWebIdentityToken"] == SUBJECT
    assert answer["Audience"] == "sts.amazonaws.com"
    assert answer["Provider"] == "arn:aws:iam::123456789012:oidc-provider/issuer.test"


def test_identity(sts: LocalSts) -> None:
    """GetCallerIdentity names the role and session whose credentials signed the request."""
    identity = client(sts, assume(sts)["Credentials"]).get_caller_identity()

    assert identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/app-role/team-a-app"
    assert identity["Account"] == "123456789012"
    assert identity["UserId"].startswith("AROA")


def test_identity_of_role_with_path(sts: LocalSts) -> None:
    """The path of a role is not in the ARN of its session."""
    arn = "arn:aws:iam::123456789012:role/team/long"

    assert (
        assume(sts, RoleArn=arn, DurationSeconds=43200)["AssumedRoleUser"]["Arn"]
        == "arn:aws:sts::123456789012:assumed-role/long/team-a-app"
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("SecretAccessKey", "x" * 40, (403, "SignatureDoesNotMatch")),
        ("SessionToken", "other", (403, "InvalidClientTokenId")),
        ("AccessKeyId", "ASIAAAAAAAAAAAAAAAAA", (403, "InvalidClientTokenId")),
    ],
)
def test_wrong_credentials(sts: LocalSts, key: str, value: str, expected: tuple[int, str]) -> None:
    """Credentials with one wrong part are refused."""
    credentials = {**assume(sts)["Credentials"], key: value}

    assert refusal(client(sts, credentials).get_caller_identity)[:2] == expected


def test_changed_body(sts: LocalSts) -> None:
    """A signature does not hold for another body than the one that was signed."""
    signed = client(sts, assume(sts)["Credentials"])

    def reorder(request: AWSPreparedRequest, **_: object) -> None:
        request.body = "&".join(reversed(request.body.split("&")))

    signed.meta.events.register("before-send.sts", reorder)

    assert refusal(signed.get_caller_identity)[:2] == (403, "SignatureDoesNotMatch")


def test_expired_credentials(sts: LocalSts) -> None:
    """Credentials past their end are refused as expired."""
    sts.service.faults.put([{"lifetimeSeconds": -1, "times": 1}])

    assert refusal(client(sts, assume(sts)["Credentials"]).get_caller_identity) == (
        403,
        "ExpiredToken",
        "The security token included in the request is expired",
    )


def test_unsigned_identity(sts: LocalSts) -> None:
    """GetCallerIdentity without a signature is refused."""
    status, _, body = post(sts, Action="GetCallerIdentity", Version="2011-06-15")

    assert status == 403
    assert xml(body).findtext(f"{NAMESPACE}Error/{NAMESPACE}Code") == "MissingAuthenticationToken"


TOKENS: dict[str, tuple[Callable[[Issuer], str], tuple[int, str, str]]] = {
    "other subject": (
        lambda issuer: issuer.token("system:serviceaccount:team-b:app"),
        (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    ),
    "other audience": (
        lambda issuer: issuer.token(SUBJECT, audience="https://kubernetes.default.svc"),
        (400, "InvalidIdentityToken", "Incorrect token audience"),
    ),
    "other issuer": (
        lambda issuer: Issuer("https://elsewhere", issuer.key_id, issuer.key).token(SUBJECT),
        (400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://elsewhere"),
    ),
    "other key of the same id": (
        lambda issuer: Issuer(issuer.url, issuer.key_id).token(SUBJECT),
        (400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT. (Signature verification failed)"),
    ),
    "unpublished key": (
        lambda issuer: Issuer(issuer.url).token(SUBJECT),
        (
            400,
            "InvalidIdentityToken",
            (
                "Couldn't retrieve verification key from your identity provider,  please reference "
                "AssumeRoleWithWebIdentity documentation for requirements"
            ),
        ),
    ),
    "not a token": (
        lambda _: "not-a-token",
        (
            400,
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        ),
    ),
}


@pytest.mark.parametrize("case", TOKENS)
def test_refused_token(sts: LocalSts, case: str) -> None:
    """A token that does not hold is refused in AWS's words."""
    make, expected = TOKENS[case]

    assert refusal(lambda: assume(sts, WebIdentityToken=make(sts.issuer))) == expected


def test_expired_token(sts: LocalSts) -> None:
    """A token past its end is refused as expired."""
    status, code, message = refusal(
        lambda: assume(sts, WebIdentityToken=sts.issuer.token(SUBJECT, lifetime_seconds=-5))
    )

    assert (status, code) == (400, "ExpiredTokenException")
    assert message.startswith("Token expired: current date/time ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DurationSeconds", "7200", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
        ("DurationSeconds", "899", "Member must have value greater than or equal to 900"),
        ("DurationSeconds", "43201", "Member must have value less than or equal to 43200"),
        ("RoleSessionName", "a", "Member must have length greater than or equal to 2"),
        ("RoleSessionName", "a" * 65, "Member must have length less than or equal to 64"),
        ("RoleSessionName", "a/b", r"Member must satisfy regular expression pattern: [\w+=,.@-]*"),
        ("RoleArn", "arn:aws:iam::123456789012:user/u", "arn:aws:iam::123456789012:user/u is invalid"),
        ("RoleArn", "arn:aws:iam::123456789012:role/app-role\n", "is invalid"),
    ],
)
def test_refused_parameter(sts: LocalSts, name: str, value: str, message: str) -> None:
    """A parameter out of AWS's bounds is a ValidationError."""
    status, _, body = post(sts, **{**form(sts), name: value})

    error = xml(body)
    assert (status, error.findtext(f"{NAMESPACE}Error/{NAMESPACE}Code")) == (400, "ValidationError")
    assert message in str(error.findtext(f"{NAMESPACE}Error/{NAMESPACE}Message"))


@pytest.mark.parametrize(
    ("host", "role_arn", "status"),
    [
        ("sts.cn-north-1.amazonaws.com.cn", "arn:aws-cn:iam::123456789012:role/r", 200),
        ("sts.eu-west-1.amazonaws.com", "arn:aws-cn:iam::123456789012:role/r", 400),
        ("sts.cn-north-1.amazonaws.com.cn", ROLE_ARN, 400),
        ("sts.eu-west-1.amazonaws.com", ROLE_ARN, 200),
    ],
)
def test_partition(sts: LocalSts, host: str, role_arn: str, status: int) -> None:
    """A role is known at the endpoints of its own partition alone."""
    assert post(sts, host, **{**form(sts), "RoleArn": role_arn})[0] == status


def test_new_policy(sts: LocalSts) -> None:
    """A trust policy that is put right counts at once."""
    other = {"WebIdentityToken": sts.issuer.token("system:serviceaccount:team-b:app")}
    assert refusal(lambda: assume(sts, **other))[1] == "AccessDenied"

    admin(sts, "PUT", "/roles", {ROLE_ARN: {"subjects": ["system:serviceaccount:team-b:a?p"]}})

    assert assume(sts, **other)["SubjectFromWebIdentityToken"] == "system:serviceaccount:team-b:app"


def admin(sts: LocalSts, method: str, path: str, document: object = None) -> Any:  # noqa: ANN401 - decoded JSON
    """Call the admin listener."""
    content = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{sts.running.admin_port}{path}", content, method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - http on loopback
        return json.load(answer)


def test_throttled(sts: LocalSts) -> None:
    """A fault ordered for two calls spoils two calls, and only those of its role."""
    admin(sts, "PUT", "/faults", [{"answer": "error", "code": "Throttling", "times": 2, "role": "*/app-role"}])

    expected = (400, "Throttling", "Rate exceeded")
    assert assume(sts, RoleArn="arn:aws:iam::123456789012:role/team/long")
    assert [refusal(lambda: assume(sts)) for _ in range(2)] == [expected, expected]
    assert assume(sts)


def test_fault_with_its_own_words(sts: LocalSts) -> None:
    """A fault may have any code, message and status."""
    sts.service.faults.put([{"answer": "error", "code": "Odd", "message": "a < b", "status": 418}])

    assert refusal(lambda: assume(sts)) == (418, "Odd", "a < b")


def test_odd_answers(sts: LocalSts) -> None:
    """Each odd answer is what its name says, with status 200 where STS would have said so."""
    whole = post(sts, **form(sts))
    assert whole[:2] == (200, "text/xml")

    def spoilt(answer: str) -> tuple[int, str, bytes]:
        sts.service.faults.put([{"answer": answer}])
        return post(sts, **form(sts))

    truncated = spoilt("truncated")
    assert truncated[:2] == (200, "text/xml")
    assert truncated[2].startswith(b"<AssumeRoleWithWebIdentityResponse")
    with pytest.raises(ET.ParseError):
        xml(truncated[2])
    assert spoilt("html")[:2] == (200, "text/html")
    assert spoilt("empty") == (200, "text/xml", b"")
    assert b"DecodeAuthorizationMessageResponse" in spoilt("foreign")[2]
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        spoilt("reset")


def test_hang_ends_with_the_faults(sts: LocalSts) -> None:
    """A call that hangs goes on when the faults are cleared; other roles are answered meanwhile."""
    sts.service.faults.put([{"delaySeconds": 60, "role": "*/app-role"}])
    answers: list[tuple[int, str, bytes]] = []
    hanging = threading.Thread(target=lambda: answers.append(post(sts, **form(sts))))
    hanging.start()
    assert assume(sts, RoleArn="arn:aws:iam::123456789012:role/team/long")
    assert not answers

    admin(sts, "DELETE", "/faults")
    hanging.join(5)

    assert [answer[0] for answer in answers] == [200]


def test_client_that_never_shakes_hands(sts: LocalSts) -> None:
    """A connection without a TLS handshake holds up nobody else."""
    import socket  # noqa: PLC0415 - for this test alone

    with socket.create_connection(("127.0.0.1", sts.running.port)):
        assert assume(sts)


def test_call_log(sts: LocalSts) -> None:
    """The log tells who asked for what and what came of it, and holds no secret."""
    credentials = assume(sts)["Credentials"]
    client(sts, credentials).get_caller_identity()
    assert refusal(lambda: assume(sts, RoleArn="arn:aws:iam::123456789012:role/unknown"))

    calls = admin(sts, "GET", "/calls")
    told = [
        {key: call[key] for key in ("action", "roleArn", "subject", "identity", "code", "status", "signed")}
        for call in calls
    ]
    assumed, identified = ("AssumeRoleWithWebIdentity", "GetCallerIdentity")
    arn = "arn:aws:sts::123456789012:assumed-role/app-role/team-a-app"

    def entry(values: list[object]) -> dict[str, object]:
        return dict(zip(told[0], values, strict=True))

    assert told == [
        entry([assumed, ROLE_ARN, SUBJECT, "", "", 200, False]),
        entry([identified, "", "", arn, "", 200, True]),
        entry([assumed, "arn:aws:iam::123456789012:role/unknown", SUBJECT, "", "AccessDenied", 403, False]),
    ]
    text = json.dumps(calls)
    assert credentials["SecretAccessKey"] not in text
    assert credentials["SessionToken"] not in text
    assert calls[0]["tokenDigest"] != calls[2]["tokenDigest"]

    admin(sts, "DELETE", "/calls")

    assert admin(sts, "GET", "/calls") == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("x", "fault: 'x' is not an object"),
        ({"answr": "html"}, "fault: answr is not one of answer, code,"),
        ({"answer": "odd"}, f"fault: answer: 'odd' is not one of {', '.join(ANSWERS)}"),
        ({"times": "2"}, "fault: times: '2' is not of type int"),
        ({"times": True}, "fault: times: True is not of type int"),
    ],
)
def test_refused_fault(entry: object, message: str) -> None:
    """A fault that cannot be read is refused by name."""
    with pytest.raises(FaultError) as caught:
        parse(entry)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "roles: [] is not an object of role ARNs"),
        ({"r": {"subject": []}}, "roles: r: {'subject': []} should have subjects"),
        ({"r": {"subjects": "s"}}, "roles: r: {'subjects': 's'} should have subjects"),
    ],
)
def test_refused_roles(document: object, message: str) -> None:
    """Trust policies that cannot be read are refused by name."""
    with pytest.raises(RolesError) as caught:
        trust_policies(document)

    assert str(caught.value).startswith(message)


def test_files(sts: LocalSts) -> None:
    """The directory holds what an emulator run by hand needs."""
    lines = Path(sts.directory, "environment").read_text().splitlines()

    assert dict(line.split("=", 1) for line in lines) == sts.environment()
    assert sts.token_file.read_text().count(".") == 2
