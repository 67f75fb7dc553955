"""Requests of the API server: the body of a POST in, the body of its answer out, each counted and logged.

Goes in: requests, the parameters of the injection, what is known of cluster and namespaces.
Comes out: 200 with the answered AdmissionReview; 400 and one line for what is none. No pod is ever logged.
"""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from emulator import log, names
from emulator.injection.admission import is_asked_for
from emulator.injection.admission import review as answer_review
from emulator.injection.facts import NATIVE_SIDECARS_SINCE
from emulator.webhook.http1 import Request, Response, text
from emulator.webhook.kubeapi import ApiError, Object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from emulator.webhook.metrics import WebhookMetrics
    from emulator.webhook.namespaces import Namespaces

# Far more than a pod of the largest size that etcd stores has. Decoded, an empty one takes fifty times its two bytes.
COLLECTIONS = 100_000
ROLE_LIMIT = 1024  # characters of it in a line of the log; no role's ARN has as many


class Reviews:
    """The handler of the HTTPS listener. `parameters` and `has_native_sidecars` may be set anew at any time."""

    def __init__(self, parameters: Mapping[str, str], namespaces: Namespaces, metrics: WebhookMetrics) -> None:
        self.parameters = parameters
        self.has_native_sidecars = True
        self._namespaces = namespaces
        self._metrics = metrics

    def answer(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a review; later, if the namespace must be asked first which roles it allows."""
        started = time.perf_counter()
        if request.path != names.WEBHOOK_PATH:
            return text(HTTPStatus.NOT_FOUND, f"no such path; reviews go to {names.WEBHOOK_PATH}")
        if request.method != "POST":
            return text(HTTPStatus.METHOD_NOT_ALLOWED, "only POST")
        try:
            review = read_review(request.body)
        except ValueError as error:
            return self._refuse_body(str(error), started)
        if self.parameters["allowedRolesMode"] != "off" and is_asked_for(review["request"]):
            return self._admit_by_namespace(review, started)
        return self._answer(review, {}, started)

    async def _admit_by_namespace(self, review: Object, started: float) -> Response:
        namespace = review["request"].get("namespace") or ""
        try:
            annotations = await self._namespaces.annotations(namespace)
        except ApiError as error:
            if self.parameters["allowedRolesMode"] == "enforce":
                message = f"the roles that namespace {namespace} allows could not be read, try again: {error}"
                return self._send(review, denial(review, message), started)
            log.write("error", "namespace-read", {"namespace": namespace, "message": str(error)})
            annotations = {}
        return self._answer(review, annotations, started)

    def _answer(self, review: Object, annotations: Mapping[str, str], started: float) -> Response:
        try:
            answer = answer_review(
                review,
                self.parameters,
                native_sidecars=self.has_native_sidecars,
                namespace_annotations=annotations,
            )
        except ValueError as error:
            return self._refuse_body(str(error), started)
        except Exception:
            self._metrics.count("error", time.perf_counter() - started)
            raise
        return self._send(review, answer, started)

    def _refuse_body(self, message: str, started: float) -> Response:
        self._metrics.count("error", time.perf_counter() - started)
        log.write("error", "admission", {"result": "error", "message": message})
        return text(HTTPStatus.BAD_REQUEST, message)

    def _send(self, review: Object, answer: Object, started: float) -> Response:
        response = answer["response"]
        result = "refused" if not response["allowed"] else "injected" if response.get("patch") else "unchanged"
        body = json.dumps(answer, separators=(",", ":")).encode()
        seconds = time.perf_counter() - started
        self._metrics.count(result, seconds)
        fields = {
            "result": result,
            **who(review["request"]),
            "message": (response.get("status") or {}).get("message", ""),
            "milliseconds": f"{seconds * 1000:.2f}",
        }
        if "debug" in log.shown:
            user = review["request"].get("userInfo")
            name = user.get("username") if isinstance(user, dict) else ""
            fields |= {"user": _text(name), "warnings": "; ".join(response.get("warnings") or [])}
        log.write("info", "admission", fields)
        return Response(HTTPStatus.OK, body, "application/json")


def read_review(body: bytes) -> Object:
    """Return the AdmissionReview in `body`; raises ValueError with what is wrong."""
    if body.count(b"{") + body.count(b"[") > COLLECTIONS:
        raise ValueError(f"the body holds more than {COLLECTIONS} objects and lists")
    try:
        review = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is no JSON") from None
    if not isinstance(review, dict) or not isinstance(review.get("request"), dict):
        raise ValueError("the body is no AdmissionReview with a request")  # noqa: TRY004 - the peer's fault, not a type
    for key in ("uid", "namespace"):
        if not isinstance(review["request"].get(key) or "", str):
            raise ValueError(f"the AdmissionReview's request.{key} is no text")  # noqa: TRY004 - likewise
    return review


def denial(review: Object, message: str) -> Object:
    """Return the review answered with a refusal that is not the pod's fault."""
    response = {
        "uid": review["request"].get("uid") or "",
        "allowed": False,
        "status": {"code": int(HTTPStatus.INTERNAL_SERVER_ERROR), "message": message},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def who(request: Object) -> dict[str, str]:
    """Return the fields of a log line that tell which pod it is about; one made by a controller has no name yet."""
    pod = request.get("object")
    metadata = pod.get("metadata") if isinstance(pod, dict) else None
    given = metadata if isinstance(metadata, dict) else {}
    annotations = given.get("annotations")
    role = annotations.get(names.ANNOTATION_ROLE_ARN) if isinstance(annotations, dict) else ""
    return {
        "namespace": _text(request.get("namespace")),
        "pod": _text(request.get("name")) or _text(given.get("name")) or f"{_text(given.get('generateName'))}*",
        "role": _text(role)[:ROLE_LIMIT],
        "operation": _text(request.get("operation")),
        "dry_run": "true" if request.get("dryRun") else "",
        "uid": _text(request.get("uid")),
    }


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else ""


def has_native_sidecars(version: Object) -> bool:
    """Tell whether every kubelet of an API server of this `/version` has native sidecars; managed ones say "32+"."""
    major, minor = ("".join(c for c in str(version.get(key, "")) if c.isdigit()) for key in ("major", "minor"))
    return (int(major or 0), int(minor or 0)) >= NATIVE_SIDECARS_SINCE
