"""Admission of pods in three steps: `read` a review, `judge` it, put the verdict into an `envelope`.

Goes in: the body of an AdmissionReview (admission.k8s.io/v1), the installation's parameters, what the cluster can do.
Comes out: the AdmissionReview to send back. What is validated in `read` is not looked at again.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.injection import judgement, patch
from emulator.injection.facts import Facts
from emulator.injection.json_values import at
from emulator.injection.pod import MIRROR_ANNOTATION
from emulator.injection.shapes import shape_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.injection.pod import Object

VERSION = "admission.k8s.io/v1"
# Far more than a pod of the largest size that etcd stores has. Decoded, an empty one takes fifty times its two bytes.
COLLECTIONS = 100_000
# The status of a refusal -> its reason (Kubernetes API, metav1.StatusReason).
REASONS = {403: "Forbidden", 500: "InternalError"}


@dataclass(frozen=True)
class Review:
    """A valid review. `pod`: the pod that is to be created, None where the request is for something else."""

    request: Object
    uid: str
    namespace: str
    pod: Object | None

    @property
    def asks_for_emulator(self) -> bool:
        """Whether it is for a new pod that has the label."""
        return bool(at(self.pod, "metadata", "labels", names.LABEL_ENABLED) == names.LABEL_ENABLED_VALUE)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a request: refused with a message, or allowed, with a JSON patch if the pod is to be changed."""

    refusal: str = ""
    patch: str = ""
    warnings: tuple[str, ...] = ()
    code: int = 403


def read(body: bytes) -> Review:
    """Return the review in a request's body; raises ValueError with what is wrong."""
    if body.count(b"{") + body.count(b"[") > COLLECTIONS:
        raise ValueError(f"the body holds more than {COLLECTIONS} objects and lists")
    try:
        review = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    request = at(review, "request")
    if at(review, "apiVersion") != VERSION or not isinstance(request, dict):
        raise ValueError(f"the body is not an AdmissionReview of {VERSION} with a request")
    uid, namespace = (_string(request, key) for key in ("uid", "namespace"))
    pod = request["object"] if _is_new_pod(request) else None
    if pod is not None and (fault := shape_fault(pod)):
        raise ValueError(f"request.object.{fault}")
    return Review(request, uid, namespace, pod)


def judge(
    review: Review,
    parameters: Mapping[str, str],
    *,
    native_sidecars: bool,
    namespace_annotations: Mapping[str, str] | None = None,
) -> Verdict:
    """Return the verdict on a review; `namespace_annotations` are needed only with an allow-list of roles.

    `native_sidecars`: every kubelet that the API server allows has them, see `facts`.
    """
    if review.pod is None:
        return Verdict()
    facts = Facts(review.pod, parameters, native_sidecars=native_sidecars, namespace_annotations=namespace_annotations)
    if not review.asks_for_emulator:
        return Verdict(warnings=tuple(judgement.label_warning(facts)))
    if refusal := judgement.refusal(facts):
        return Verdict(refusal)
    return Verdict(patch=patch.encoded(facts), warnings=tuple(judgement.warnings(facts)))


def envelope(review: Review, verdict: Verdict) -> Object:
    """Return the AdmissionReview that answers a review."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": not verdict.refusal}
    if verdict.refusal:
        reason = REASONS[verdict.code]
        response["status"] = {
            "status": "Failure",
            "message": verdict.refusal,
            "reason": reason,
            "code": verdict.code,
        }
    if verdict.patch:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(verdict.patch.encode()).decode()}
    if verdict.warnings:
        response["warnings"] = verdict.warnings
    return {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}


def _string(request: Object, key: str) -> str:
    value = request.get(key) or ""
    if not isinstance(value, str):
        raise ValueError(f"request.{key}: Invalid value: must be a string")  # noqa: TRY004 - the caller's fault
    return value


def _is_new_pod(request: Object) -> bool:
    """Tell a pod's creation from updates, from subresources, and from mirror pods, which can't be changed."""
    kind = request.get("kind")
    pod = request.get("object")
    return (
        request.get("operation") == "CREATE"
        and (at(kind, "group") or "", at(kind, "kind")) == ("", "Pod")
        and not request.get("subResource")
        and isinstance(pod, dict)
        and at(pod, "metadata", "annotations", MIRROR_ANNOTATION) is None
    )
