"""Admission: the body of a request to the webhook, to the body of its answer.

An input is one digit, which chooses the installation, and the body.
"""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator import log, names
from emulator.cli import inject as command
from emulator.injection import patch
from emulator.injection.facts import Facts
from emulator.injection.json_values import at
from emulator.injection.shapes import shape_fault
from emulator.webhook.http1 import Request, Response
from emulator.webhook.kubeapi import ApiError, KubeApi
from emulator.webhook.metrics import WebhookMetrics
from emulator.webhook.namespaces import Namespaces
from emulator.webhook.reviews import Reviews

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]

MIRROR = "kubernetes.io/config.mirror"
MESSAGE_LIMIT = 2000
AGAIN = 4  # of the pods that were injected, one in so many is admitted once more, which takes as long again
OURS = (names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER)
DEFAULTS = command.chosen({})
RICH = {
    "region": "eu-west-1",
    "appRegion": "true",
    "imagePullSecrets": "pull, other",
    "caBundleConfigMap": "ca",
    "httpsProxy": "http://proxy:3128",
    "imdsVersion": "v2",
    "emulatorCpuLimit": "",
}
ENFORCING = {"allowedRolesMode": "enforce", "allowedRoles": "arn:aws:iam::123456789012:role/*"}


class Annotated(Namespaces):
    """Namespaces that an API server tells of, but for one that it does not."""

    async def annotations(self, name: str) -> Mapping[str, str]:
        """Return the annotations of a namespace."""
        if name == "unreadable":
            raise ApiError(403, "GET: 403: forbidden")
        return {names.ANNOTATION_ALLOWED_ROLES: "*:role/app*,x"} if name == "team-a" else {}


def installation(parameters: Mapping[str, str], *, native_sidecars: bool = True) -> Reviews:
    """Return the handler of an installation."""
    handler = Reviews({**DEFAULTS, **parameters}, Annotated(KubeApi("h", 443, Path("/"))), WebhookMetrics())
    handler.has_native_sidecars = native_sidecars
    return handler


INSTALLATIONS = (
    installation({}),
    installation(RICH),
    installation({"sidecarMode": "classic", "appRegion": "true"}),
    installation({"redirectMode": "env"}, native_sidecars=False),
    installation(ENFORCING),
    installation({**ENFORCING, "allowedRolesMode": "audit", "redirectMode": "env"}),
)


def one_input(data: bytes) -> None:
    """Ask for a review, and judge the answer."""
    if not data:
        return
    handler = INSTALLATIONS[(data[0] - ord("0")) % len(INSTALLATIONS)]
    response = ask(handler, data[1:])
    if response.status == 400:
        assert not _is_review(data[1:]), "a review is not answered"
        assert len(response.body.decode().splitlines()) == 1
        return
    assert (response.status, response.content_type) == (200, "application/json")
    review = json.loads(data[1:])
    judge(handler, review, answer_of(review, response), twice=len(data) % AGAIN == 0)


def ask(handler: Reviews, body: bytes) -> Response:
    """Return the handler's response; what it logs must be lines."""
    lines: list[str] = []
    write = log.write

    def note(level: str, event: str, fields: dict[str, str]) -> None:
        lines.append(log.line(level, event, fields, 0))

    setattr(log, "write", note)  # noqa: B010 - not a method to be checked
    try:
        response = handler.handle(Request("POST", names.WEBHOOK_PATH, body))
        if not isinstance(response, Response):
            response = _awaited(response)
    finally:
        setattr(log, "write", write)  # noqa: B010 - likewise
    assert len(lines) in (1, 2)
    assert all(line.count("\n") == 1 and len(line.splitlines()) == 1 for line in lines)
    return response


def _awaited(response: Any) -> Response:  # noqa: ANN401 - an awaitable that waits for nothing
    try:
        response.send(None)
    except StopIteration as end:
        found: Response = end.value
        return found
    raise AssertionError("the answer waits for something")


def _is_review(body: bytes) -> bool:
    """Tell whether an API server could have sent this."""
    try:
        review = json.loads(body)
        request = review["request"]
        texts = [request.get(key) or "" for key in ("uid", "namespace", "name")]
        body.decode()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
    if review.get("apiVersion") != "admission.k8s.io/v1" or not all(isinstance(text, str) for text in texts):
        return False
    pod = request.get("object")
    # It sends no half of a surrogate pair, and every pod with all its fields of the right kind.
    return "\\ud" not in body.decode().lower() and not (isinstance(pod, dict) and shape_fault(pod))


def answer_of(review: Object, response: Response) -> Object:
    """Return the response in an answer, which must be an AdmissionReview to this one."""
    answer = json.loads(response.body, parse_constant=_no_json)
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    told: Object = answer["response"]
    assert set(told) <= {"uid", "allowed", "status", "patch", "patchType", "warnings"}
    assert told["uid"] == (review["request"].get("uid") or "")
    assert isinstance(told["allowed"], bool)
    assert all(isinstance(line, str) and "\n" not in line for line in told.get("warnings", []))
    if not told["allowed"]:
        message = told["status"]["message"]
        assert message
        assert "\n" not in message
        assert len(message) <= MESSAGE_LIMIT
        assert "patch" not in told
    return told


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def judge(handler: Reviews, review: Object, told: Object, *, twice: bool) -> None:
    """Fail if a pod that asked could run without the emulator, or one that did not is touched; maybe ask once more."""
    request = review["request"]
    pod = request.get("object")
    if not told["allowed"]:
        assert _asks(request), "an unlabelled pod is refused"
        return
    operations = json.loads(base64.b64decode(told["patch"])) if "patch" in told else []
    if not _asks(request):
        assert not operations, "an unlabelled pod is touched"
        return
    injected = copy.deepcopy(pod)
    for operation in operations:
        assert_ours(injected, operation)
        patch.apply(injected, [operation])
    assert_covered(handler.parameters, injected, native_sidecars=handler.has_native_sidecars)
    assert_kept(pod, injected)
    if operations and twice:
        again = ask(handler, json.dumps({**review, "request": {**request, "object": injected}}).encode())
        second = answer_of(review, again)
        assert second["allowed"], "an injected pod is refused"
        assert "patch" not in second, "an injected pod is injected again"


def _asks(request: Object) -> bool:
    """Tell whether this is the creation of a labelled pod, and not the kubelet's own account of a static one."""
    pod, kind = request.get("object"), request.get("kind")
    if not isinstance(pod, dict) or not isinstance(kind, dict) or request.get("operation") != "CREATE":
        return False
    annotations, labels = (at(pod, "metadata", field) for field in ("annotations", "labels"))
    return (
        kind.get("kind") == "Pod"
        and not kind.get("group")
        and not request.get("subResource")
        and at(annotations, MIRROR) is None
        and bool(at(labels, names.LABEL_ENABLED) == names.LABEL_ENABLED_VALUE)
    )


def assert_covered(parameters: Mapping[str, str], pod: Object, *, native_sidecars: bool = True) -> None:
    """Fail unless the emulator is in the pod once, and the redirect too, or else every container is told."""
    found = [container["name"] for container in _containers(pod)]
    assert found.count(names.EMULATOR_CONTAINER) == 1
    others = [container for container in _containers(pod) if container["name"] not in OURS]
    is_redirected = found.count(names.REDIRECT_CONTAINER) == 1
    endpoint = f"http://127.0.0.1:{parameters['port']}"
    assert is_redirected or all(_endpoints(each) == {endpoint} for each in others), "a way to the node's role"
    assert any(volume["name"] == names.TOKEN_VOLUME for volume in pod["spec"]["volumes"])
    assert Facts(pod, parameters, native_sidecars=native_sidecars).protected


def assert_ours(pod: Object, operation: Object) -> None:
    """Fail unless an operation adds something, or moves a container of ours, or replaces a variable of the emulator."""
    if operation["op"] == "add":
        assert set(operation) == {"op", "path", "value"}
        return
    path = patch.parts(operation["from" if operation["op"] == "move" else "path"])
    name = pod["spec"][path[1]][int(path[2])]["name"]
    if operation["op"] == "move":
        assert (operation["path"], len(path)) == ("/spec/initContainers/0", 3)
        assert name in OURS
    else:
        assert (operation["op"], path[3], len(path), name) == ("replace", "env", 5, names.EMULATOR_CONTAINER)


def assert_kept(before: Object, after: Object) -> None:
    """Fail if anything but what is ours, or added behind what was there, has changed."""
    spec, made = before["spec"], after["spec"]
    for field in ("initContainers", "containers"):
        # Ours may have been moved, and the emulator's words replaced.
        own = [container for container in made.get(field) or [] if container["name"] not in OURS]
        old = [container for container in spec.get(field) or [] if container["name"] not in OURS]
        assert len(own) == len(old)
        for new, given in zip(own, old, strict=True):
            assert {**new, "env": None} == {**given, "env": None}
            variables = given.get("env") or []
            assert (new.get("env") or [])[: len(variables)] == variables
    for field in ("volumes", "imagePullSecrets"):
        old = spec.get(field) or []
        assert (made.get(field) or [])[: len(old)] == old
    rest = ("initContainers", "containers", "volumes", "imagePullSecrets", "shareProcessNamespace")
    assert {key: value for key, value in spec.items() if key not in rest} == {
        key: value for key, value in made.items() if key not in rest
    }
    assert spec.get("shareProcessNamespace") in (None, made.get("shareProcessNamespace"))
    assert {**before, "spec": 0, "metadata": 0} == {**after, "spec": 0, "metadata": 0}
    old_annotations = before["metadata"].get("annotations") or {}
    assert {**after["metadata"]["annotations"], **old_annotations} == after["metadata"]["annotations"]


def _containers(pod: Object) -> list[Object]:
    spec = pod.get("spec") or {}
    return (spec.get("initContainers") or []) + (spec.get("containers") or [])


def _endpoints(container: Object) -> set[str]:
    variables = container.get("env") or []
    return {entry.get("value", "") for entry in variables if entry.get("name") == names.ENV_SERVICE_ENDPOINT}
