"""What holds for every well-formed input: the other side of fuzzing, whose inputs are mostly none."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.sax.saxutils import escape

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator import names
from emulator.partitions import PARTITIONS, region_fits
from emulator.settings import serve_settings
from emulator.sidecar.credentials import Failure
from emulator.sidecar.sts import Grant, read_answer, read_outcome
from emulator.sidecar.wire import parse
from tests.experiments.fuzz import manifests, reviews, words
from tests.experiments.fuzz.sts_answers import KEY, ROLE, TOKEN

NAME = st.from_regex(r"\A[a-z][a-z0-9-]{0,8}\Z")
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='",\\'), min_size=1, max_size=40)
# Of XML 1.0: neither control characters nor halves of a surrogate pair.
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0xFFFD, exclude_categories=["Cs", "Cc"]), max_size=60)

HEADERS = {
    b"X-aws-ec2-metadata-token": st.from_regex(rb"\A[A-Za-z0-9_=-]{1,60}\Z"),
    b"X-aws-ec2-metadata-token-ttl-seconds": st.integers(0, 99999).map(lambda ttl: b"%d" % ttl),
    b"X-Forwarded-For": st.just(b"10.0.0.1"),
    b"Host": st.just(b"169.254.169.254"),
    b"User-Agent": st.from_regex(rb"\A[!-~]( ?[!-~]){0,30}\Z"),
}


@st.composite
def spelled(draw: st.DrawFn, name: bytes) -> bytes:
    """Return a header's name, in letters of either case."""
    upper = draw(st.integers(0, 2 ** len(name) - 1))
    return bytes(
        (name[at : at + 1].upper() if upper >> at & 1 else name[at : at + 1].lower())[0] for at in range(len(name))
    )


@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST"]),
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12), max_size=6),
    st.dictionaries(st.sampled_from(sorted(HEADERS)), st.data(), max_size=5),
    st.sampled_from([b"\r\n", b"\n"]),
    st.binary(max_size=40),
)
def test_request(method: str, segments: list[str], chosen: dict[bytes, Any], line_end: bytes, body: bytes) -> None:
    """A request is read as it was written, however its headers are spelled and its path is encoded."""
    headers = {name: data.draw(HEADERS[name]) for name, data in chosen.items()}
    path = "/" + "/".join("".join(f"%{ord(c):02x}" if c in "%/?# " else c for c in name) for name in segments)
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Content-Length: %d" % len(body)]
    lines += [chosen[name].draw(spelled(name)) + b":" + value for name, value in headers.items()]
    request = parse(line_end.join([*lines, b"", b""]) + body)

    assert request is not None
    assert (method, tuple(segments)) == (request.method, request.segments)
    token, ttl = (headers.get(name) for name in (b"X-aws-ec2-metadata-token", b"X-aws-ec2-metadata-token-ttl-seconds"))
    assert (token, ttl) == (request.token and request.token.encode(), request.ttl and request.ttl.encode())
    assert (b"X-Forwarded-For" in headers) == request.forwarded


def http(status: int, fields: dict[str, str]) -> bytes:
    """Return an answer of STS with these elements."""
    body = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    outer = ("AssumeRoleWithWebIdentityResponse", "AssumeRoleWithWebIdentityResult", "Credentials")
    for name in reversed(outer if status == 200 else ("ErrorResponse", "Error")):
        body = f"<{name}>{body}</{name}>"
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode()


@given(KEYS | TEXT, KEYS | TEXT, KEYS | TEXT, st.datetimes())
def test_grant(access_key_id: str, secret_access_key: str, token: str, expiration: Any) -> None:  # noqa: ANN401 - a time
    """A 200 is a grant of just what it says if each part is plausible, else a failure that repeats none of them."""
    keys = access_key_id.strip(), secret_access_key.strip(), token.strip()
    named = dict(zip(("AccessKeyId", "SecretAccessKey", "SessionToken"), keys, strict=True))
    outcome = read_outcome(read_answer(http(200, {**named, "Expiration": expiration.isoformat()})), TOKEN, ROLE, 0)

    if all(KEY.fullmatch(key) for key in keys):
        assert isinstance(outcome, Grant)
        assert keys == (outcome.access_key_id, outcome.secret_access_key, outcome.token)
    else:
        assert "Failure('BadAnswer', 'HTTP 200 without usable credentials', 0, '')" == repr(outcome)


@given(st.sampled_from([400, 403, 500, 503]), st.from_regex(r"\A[A-Za-z]{1,40}\Z"), TEXT, st.integers(0, 80))
def test_refusal(status: int, code: str, message: str, at: int) -> None:
    """A refusal keeps code and status, and of its message all but the token, wherever in it that stands."""
    outcome = read_outcome(
        read_answer(http(status, {"Code": code, "Message": message[:at] + TOKEN + message[at:]})), TOKEN, ROLE, 0
    )

    assert isinstance(outcome, Failure)
    assert (code, status) == (outcome.code, outcome.status)
    assert TOKEN[:16] not in outcome.message
    assert "[token]" in outcome.message


@given(st.sampled_from(sorted(PARTITIONS)), st.from_regex(r"\A[a-z]{2}(-[a-z]{1,5}){1,3}-[0-9]{1,2}\Z"))
def test_region(partition: str, region: str) -> None:
    """Sidecar and policy agree on which regions are of a partition."""
    assert (re.fullmatch(PARTITIONS[partition].region_pattern, region) is not None) == region_fits(partition, region)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_glob(pattern: str, subject: str) -> None:
    """A glob means to webhook, policy and textbook the same."""
    words.glob(f"{pattern}\n{subject}")


@given(st.lists(st.tuples(st.text(max_size=70), st.text(max_size=70)), min_size=2, max_size=2, unique=True))
def test_session_names(pods: list[tuple[str, str]]) -> None:
    """Any pod has a session name that STS takes, and two pods have two."""
    found = []
    for namespace, pod in pods:
        environ = {**words.LEAST, names.ENV_POD_NAMESPACE: namespace, names.ENV_POD_NAME: pod}
        found.append(serve_settings(environ).session_name)

    assert all(words.SESSION_NAME.fullmatch(name) for name in found)
    dotted = {".".join(part.strip() for part in pod if part.strip()) for pod in pods}
    assert len(dotted) == len(set(found))


VARIABLES = st.fixed_dictionaries(
    {"name": st.sampled_from([names.ENV_REGION, names.ENV_SERVICE_ENDPOINT, "AWS_ACCESS_KEY_ID", "A"]) | NAME},
    optional={"value": st.sampled_from(["", "false", "x\ny"])},
)
CONTAINERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": NAME | st.sampled_from([names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER])},
    optional={
        "env": st.none() | st.lists(VARIABLES, max_size=3),
        "ports": st.lists(st.fixed_dictionaries({"containerPort": st.sampled_from([80, 16925])}), max_size=2),
        "args": st.sampled_from([["serve"], ["redirect"], []]),
        "resources": st.sampled_from([None, {"limits": 5}, {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": None}]),
    },
)
VOLUMES = NAME | st.sampled_from([names.TOKEN_VOLUME])
NAMED: st.SearchStrategy[Any] = st.none() | st.lists(st.fixed_dictionaries({"name": VOLUMES}), max_size=2)
ANNOTATIONS = {
    names.ANNOTATION_ROLE_ARN: st.sampled_from(
        [words.ROLE, f"{words.ROLE}\n", "arn:aws-cn:iam::123456789012:role/r", "x"]
    ),
    names.ANNOTATION_REGION: st.sampled_from(["", "eu-west-1", "cn-north-1"]),
    names.ANNOTATION_REDIRECT: st.sampled_from(["", "env", "iptables", "no"]),
    names.ANNOTATION_APP_REGION: st.sampled_from(["true", "false"]),
    names.ANNOTATION_CPU_REQUEST: st.sampled_from(["", "0", "1m", "3", "x"]),
    names.ANNOTATION_MEMORY_LIMIT: st.sampled_from(["", "8Mi", "64Mi", "1e9", "-1"]),
}
PODS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "kind": st.just("Pod"),
        "metadata": st.fixed_dictionaries(
            {
                "labels": st.fixed_dictionaries({names.LABEL_ENABLED: st.sampled_from(["True"] * 4 + ["true"])}),
                "annotations": st.fixed_dictionaries({}, optional=ANNOTATIONS),
            },
            optional={"name": NAME, "ownerReferences": st.just([{"kind": "Job", "name": "j"}])},
        ),
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(CONTAINERS, max_size=3, unique_by=lambda container: container["name"])},
            optional={
                "initContainers": st.none() | st.lists(CONTAINERS, max_size=2),
                "volumes": NAMED,
                "imagePullSecrets": NAMED,
                "hostNetwork": st.booleans(),
                "shareProcessNamespace": st.booleans(),
                "resources": st.sampled_from([None, {"limits": {"cpu": "1"}}, {"requests": []}]),
                "securityContext": st.just({"fsGroup": 1, "appArmorProfile": {"type": "Localhost"}}),
                "unknownToUs": st.just({"kept": [1, None]}),
            },
        ),
    }
)


@given(PODS, st.integers(0, len(reviews.INSTALLATIONS) - 1), st.sampled_from(["team-a", "other", "unreadable"]))
def test_review(pod: dict[str, Any], installation: int, namespace: str) -> None:
    """A labelled pod comes out covered by the emulator, once and for all, or is refused; another one is left alone."""
    request = {
        "uid": "u",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": namespace,
        "operation": "CREATE",
        "object": pod,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    reviews.one_input(str(installation).encode() + json.dumps(review).encode())


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(PODS, min_size=1, max_size=2), st.booleans(), st.sampled_from(["", "# a\n", "---\n"]))
def test_manifest(pods: list[dict[str, Any]], in_flow: bool, head: str) -> None:  # noqa: FBT001 - drawn
    """A manifest comes out with each labelled pod covered, and all else of it as it was, or not at all."""
    text = head + yaml.safe_dump_all(pods, default_flow_style=in_flow, sort_keys=False)
    manifests.one_input(b"m" + text.encode())
