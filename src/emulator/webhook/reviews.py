"""Reviews of the API server: requests in, their answers out, each counted and logged.

Goes in: requests, the parameters of the injection, what is known of cluster and namespaces.
Comes out: 200 with the answered AdmissionReview; 400 and one line for what is not one. No pod is ever logged.
"""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from emulator import log, names
from emulator.injection import admission
from emulator.injection.admission import Verdict
from emulator.injection.facts import NATIVE_SIDECARS_SINCE
from emulator.injection.json_values import at
from emulator.webhook.http1 import Request, Response, text
from emulator.webhook.kubeapi import ApiError, Object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from emulator.injection.admission import Review
    from emulator.webhook.metrics import WebhookMetrics
    from emulator.webhook.namespaces import Namespaces

ROLE_LIMIT = 1024  # characters of it in a line of the log; no role's ARN has as many


class Reviews:
    """The handler of the HTTPS listener. `parameters` and `has_native_sidecars` may change at any time."""

    def __init__(self, parameters: Mapping[str, str], namespaces: Namespaces, metrics: WebhookMetrics) -> None:
        self.parameters = parameters
        self.has_native_sidecars = True
        self._namespaces = namespaces
        self._metrics = metrics

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a review; later, if the namespace must be asked first which roles it allows."""
        started = time.perf_counter()
        if request.path != names.WEBHOOK_PATH:
            return text(HTTPStatus.NOT_FOUND, f"no such path; reviews go to {names.WEBHOOK_PATH}")
        if request.method != "POST":
            return text(HTTPStatus.METHOD_NOT_ALLOWED, "only POST")
        try:
            review = admission.read(request.body)
        except ValueError as error:
            self._metrics.count("error", time.perf_counter() - started)
            log.write("error", "admission", {"result": "error", "message": str(error)})
            return text(HTTPStatus.BAD_REQUEST, str(error))
        if self.parameters["allowedRolesMode"] != "off" and review.asks_for_emulator:
            return self._judge_by_namespace(review, started)
        return self._send(review, self._judge(review, {}, started), started)

    async def _judge_by_namespace(self, review: Review, started: float) -> Response:
        try:
            annotations = await self._namespaces.annotations(review.namespace)
        except ApiError as error:
            if self.parameters["allowedRolesMode"] == "enforce":
                message = f"the roles that namespace {review.namespace} allows could not be read, try again: {error}"
                verdict = Verdict(message, code=HTTPStatus.INTERNAL_SERVER_ERROR)  # which is not the pod's fault
                return self._send(review, verdict, started)
            log.write("error", "namespace-read", {"namespace": review.namespace, "message": str(error)})
            annotations = {}
        return self._send(review, self._judge(review, annotations, started), started)

    def _judge(self, review: Review, annotations: Mapping[str, str], started: float) -> Verdict:
        try:
            return admission.judge(
                review,
                self.parameters,
                native_sidecars=self.has_native_sidecars,
                namespace_annotations=annotations,
            )
        except Exception:
            self._metrics.count("error", time.perf_counter() - started)
            raise

    def _send(self, review: Review, verdict: Verdict, started: float) -> Response:
        body = json.dumps(admission.envelope(review, verdict), separators=(",", ":")).encode()
        result = "refused" if verdict.refusal else "injected" if verdict.patch else "unchanged"
        seconds = time.perf_counter() - started
        self._metrics.count(result, seconds)
        fields = {
            "result": result,
            **who(review.request),
            "message": verdict.refusal,
            "milliseconds": f"{seconds * 1000:.2f}",
        }
        if "debug" in log.shown:
            user = _text(at(review.request, "userInfo", "username"))
            fields |= {"user": user, "warnings": "; ".join(verdict.warnings)}
        log.write("info", "admission", fields)
        return Response(HTTPStatus.OK, body, "application/json")


def who(request: Object) -> dict[str, str]:
    """Return the fields of a log line that tell which pod it is about; one made by a controller has no name yet."""
    metadata = at(request, "object", "metadata")
    name, generated = (_text(at(metadata, key)) for key in ("name", "generateName"))
    return {
        "namespace": _text(request.get("namespace")),
        "pod": _text(request.get("name")) or name or f"{generated}*",
        "role": _text(at(metadata, "annotations", names.ANNOTATION_ROLE_ARN))[:ROLE_LIMIT],
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
