"""The webhook's handler without its sockets: bodies in, bodies, counts and log lines out."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import log
from emulator.webhook.http1 import Request, Response
from emulator.webhook.kubeapi import ApiError, KubeApi
from emulator.webhook.metrics import WebhookMetrics
from emulator.webhook.namespaces import Namespaces
from emulator.webhook.reviews import Reviews, has_native_sidecars, who
from tests.support.webhook.running import PARAMETERS, ROLE, pod, review

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED_ROLES = "imds-emulator/allowed-roles"
NO_REVIEW = "the body is not an AdmissionReview of admission.k8s.io/v1 with a request"


def of_v1(**request: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return the body of a review with this request."""
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "request": request}).encode()


class NamespaceApi(KubeApi):
    """An API server with one namespace, team-a; without annotations it refuses."""

    def __init__(self, annotations: dict[str, str] | None) -> None:
        self.asked: list[str] = []
        self.annotations = annotations

    def get(self, path: str) -> dict[str, Any]:
        """Return the namespace."""
        self.asked.append(path)
        if self.annotations is None:
            raise ApiError(403, f"GET {path}: 403: forbidden")
        return {"metadata": {"name": "team-a", "annotations": self.annotations}}


def reviews(annotations: dict[str, str] | None = None, **changed: str) -> tuple[Reviews, NamespaceApi]:
    """Return the handler with the parameters of the golden pods, some changed, and its API server."""
    api = NamespaceApi(annotations)
    parameters = {**yaml.safe_load(PARAMETERS.read_text()), **changed}
    return Reviews(parameters, Namespaces(api), WebhookMetrics()), api


def answer(handler: Reviews, body: bytes, method: str = "POST", path: str = "/mutate") -> Response:
    """Return the handler's response, whether it comes at once or later."""

    async def wait() -> Response:
        response = handler.handle(Request(method, path, body))
        return response if isinstance(response, Response) else await response

    return asyncio.run(wait())


def admit(handler: Reviews, of: dict[str, Any]) -> dict[str, Any]:
    """Return what the API server is told about a pod."""
    told: dict[str, Any] = json.loads(answer(handler, json.dumps(review(of)).encode()).body)["response"]
    return told


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"\xff\xfe{}", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", NO_REVIEW),
        (b"null", NO_REVIEW),
        (b"{}", NO_REVIEW),
        (b'{"request": []}', NO_REVIEW),
        (of_v1(uid=5), "request.uid: Invalid value: must be a string"),
        (of_v1(namespace=[[]]), "request.namespace: Invalid value: must be a string"),
        (
            b'{"apiVersion": "admission.k8s.io/v1beta1", "request": {}}',
            NO_REVIEW,
        ),
    ],
)
def test_no_review(body: bytes, expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What is no AdmissionReview is answered with 400 and one line, which is logged too."""
    handler, _ = reviews()

    actual = answer(handler, body)

    assert Response(400, f"{expected}\n".encode()) == actual
    assert f'level=error event=admission result=error message="{expected}"\n' in capfd.readouterr().err


@pytest.mark.parametrize(
    ("method", "path", "expected"), [("GET", "/mutate", 405), ("POST", "/", 404), ("GET", "/metrics", 404)]
)
def test_other_requests(method: str, path: str, expected: int) -> None:
    """The HTTPS port answers reviews and nothing else."""
    assert expected == answer(reviews()[0], b"{}", method, path).status


@pytest.mark.claim("S33")
def test_decisions_are_counted_and_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """Each decision is one line with namespace, pod and role; nothing else of the pod is in it."""
    handler, _ = reviews()
    secret = pod("c", spec={"containers": [{"name": "app", "env": [{"name": "PASSWORD", "value": "hunter2"}]}]})

    for each in (secret, pod("b", spec={"hostNetwork": True, "containers": []})):
        admit(handler, each)

    logged = capfd.readouterr().err.replace(ROLE, "ROLE").splitlines()
    lines = [line.split(" ", 2)[2].rpartition(" ")[0] for line in logged]
    assert "event=admission result=injected namespace=team-a pod=c role=ROLE operation=CREATE uid=uid-1" == lines[0]
    assert lines[1].startswith("event=admission result=refused namespace=team-a pod=b role=ROLE operation=CREATE uid=")
    assert 2 == len(lines)
    assert "hunter2" not in "".join(lines)
    counts = [line for line in handler._metrics.text(is_ready=True).splitlines() if "reviews_total{" in line]  # noqa: SLF001
    assert [
        'imds_emulator_webhook_reviews_total{result="injected"} 1',
        'imds_emulator_webhook_reviews_total{result="unchanged"} 0',
        'imds_emulator_webhook_reviews_total{result="refused"} 1',
        'imds_emulator_webhook_reviews_total{result="error"} 0',
    ] == counts


@pytest.fixture
def _level() -> Iterator[None]:
    """Go back to the level that is the default."""
    yield
    log.show_from("info")


@pytest.mark.usefixtures("_level")
@pytest.mark.parametrize(("level", "lines", "has_user"), [("debug", 1, True), ("info", 1, False), ("error", 0, False)])
def test_level(level: str, lines: int, has_user: bool, capfd: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    """A decision is a line at `info`, has user and warnings at `debug`, and is none at `error`; errors always are."""
    log.show_from(level)
    handler, _ = reviews()
    proxied = {"containers": [{"name": "app", "env": [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]}]}
    asked = review(pod("c", spec=proxied))
    asked["request"]["userInfo"] = {"username": "jane"}

    answer(handler, json.dumps(asked).encode())
    logged = capfd.readouterr().err
    answer(handler, b"{")
    failed = capfd.readouterr().err

    assert lines == len(logged.splitlines())
    assert has_user == ("user=jane" in logged) == ("AWS_EC2_METADATA_DISABLED" in logged)
    assert "level=error event=admission" in failed


@pytest.mark.parametrize("user", [None, [], "jane", {"username": 7}])
@pytest.mark.usefixtures("_level")
def test_odd_user(user: Any, capfd: pytest.CaptureFixture[str]) -> None:  # noqa: ANN401 - any JSON
    """What stands where the user should be does no harm at `debug`."""
    log.show_from("debug")
    asked = review(pod())
    asked["request"]["userInfo"] = user

    assert 200 == answer(reviews()[0], json.dumps(asked).encode()).status
    assert "user=" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("annotations", "mode", "expected"),
    [
        ({ALLOWED_ROLES: "arn:aws:iam::123456789012:role/app-*"}, "enforce", True),
        ({ALLOWED_ROLES: "arn:aws:iam::123456789012:role/other"}, "enforce", False),
        ({ALLOWED_ROLES: "arn:aws:iam::123456789012:role/other"}, "audit", True),
        ({}, "enforce", False),
        (None, "enforce", False),
        (None, "audit", True),
    ],
)
@pytest.mark.claim("S33")
def test_allowed_roles(annotations: dict[str, str] | None, mode: str, expected: bool) -> None:  # noqa: FBT001 - a column
    """The namespace's list decides; one that can't be read decides like an empty one."""
    handler, _ = reviews(annotations, allowedRolesMode=mode)

    assert expected == admit(handler, pod())["allowed"]


def test_unreadable_namespace_is_named() -> None:
    """A refusal for want of the list says so: it is not the pod's fault."""
    handler, _ = reviews(None, allowedRolesMode="enforce")

    expected = {
        "uid": "uid-1",
        "allowed": False,
        "status": {
            "status": "Failure",
            "reason": "InternalError",
            "code": 500,
            "message": "the roles that namespace team-a allows could not be read, try again: "
            "GET /api/v1/namespaces/team-a: 403: forbidden",
        },
    }
    assert expected == admit(handler, pod())


def test_unreadable_namespace_of_another_pod() -> None:
    """What did not ask for the emulator is not refused because a namespace could not be read, nor is that asked for."""
    handler, api = reviews(None, allowedRolesMode="enforce")
    other = pod()
    other["metadata"]["labels"] = {}

    assert ({"uid": review(other)["request"]["uid"], "allowed": True}, []) == (admit(handler, other), api.asked)


def test_namespace_is_asked_once() -> None:
    """Many pods of a namespace at once cause one request, and without a list there is none."""
    handler, api = reviews({ALLOWED_ROLES: ROLE}, allowedRolesMode="enforce")
    body = json.dumps(review(pod())).encode()

    async def burst() -> None:
        later = [handler.handle(Request("POST", "/mutate", body)) for _ in range(50)]
        await asyncio.gather(*[each for each in later if not isinstance(each, Response)])

    asyncio.run(burst())
    without, untouched = reviews({})
    admit(without, pod())

    assert ["/api/v1/namespaces/team-a"] == api.asked
    assert [] == untouched.asked


def test_namespace_is_asked_again_after_a_failure() -> None:
    """A failure is not remembered."""

    async def twice() -> list[object]:
        api = NamespaceApi(None)
        namespaces = Namespaces(api)
        failed = await asyncio.gather(namespaces.annotations("team-a"), return_exceptions=True)
        api.annotations = {"a": "b"}
        return [*failed, await namespaces.annotations("team-a")]

    failure, recovered = asyncio.run(twice())

    assert isinstance(failure, ApiError)
    assert {"a": "b"} == recovered


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ({"major": "1", "minor": "29"}, False),
        ({"major": "1", "minor": "31"}, False),
        ({"major": "1", "minor": "31+"}, False),
        ({"major": "1", "minor": "32+"}, True),
        ({"major": "1", "minor": "32"}, True),
        ({"major": "1", "minor": "100"}, True),
        ({"major": "2", "minor": "0"}, True),
        ({}, False),
    ],
)
def test_has_native_sidecars(version: dict[str, str], expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """Every kubelet has native sidecars from API server 1.32 on, in the spelling of managed clusters too."""
    assert expected == has_native_sidecars(version)


def test_classic_sidecar_before_1_32() -> None:
    """With `sidecarMode: auto` an older API server gets the emulator as an ordinary container."""
    handler, _ = reviews()
    native = admit(handler, pod())["patch"]
    handler.has_native_sidecars = False

    assert native != admit(handler, pod())["patch"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"namespace": "a", "name": "b"}, ("a", "b")),
        ({"namespace": "a", "object": {"metadata": {"name": "b"}}}, ("a", "b")),
        ({"namespace": "a", "object": {"metadata": {"generateName": "b-"}}}, ("a", "b-*")),
        ({"object": None}, ("", "*")),
        ({"object": {"metadata": []}}, ("", "*")),
        ({"namespace": 1, "name": [[]], "object": {"metadata": {"generateName": {}}}}, ("", "*")),
    ],
)
def test_who(request_: dict[str, Any], expected: tuple[str, str]) -> None:
    """A pod is known by its name, or by the beginning that its controller gave it."""
    actual = who(request_)

    assert expected == (actual["namespace"], actual["pod"])


@pytest.mark.claim("S06")
def test_log_stays_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Names are not validated yet when a webhook sees them: whatever they hold, a decision is one line."""
    admit(reviews()[0], pod("a\nevent=forged b"))

    (line,) = capfd.readouterr().err.splitlines()
    assert 'pod="a event=forged b"' in line
