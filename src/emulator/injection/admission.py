"""Admission of pods: a review of the API server in, the answer out.

Goes in: an AdmissionReview (admission.k8s.io/v1) of any object, the installation's parameters, what the cluster can do.
Comes out: the AdmissionReview to send back: untouched, injected by a JSON patch, or refused with a message.
"""

from __future__ import annotations

import base64
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


def review(
    request_review: Object,
    parameters: Mapping[str, str],
    *,
    native_sidecars: bool,
    namespace_annotations: Mapping[str, str] | None = None,
) -> Object:
    """Return the answer to a review; `namespace_annotations` are needed only with an allow-list of roles.

    `native_sidecars`: every kubelet that the API server allows has them, see `facts`.

    Raises ValueError when the input is no AdmissionReview of a version that we speak.
    """
    request = request_review.get("request")
    if request_review.get("apiVersion") != "admission.k8s.io/v1" or not isinstance(request, dict):
        raise ValueError("the body is not an AdmissionReview of admission.k8s.io/v1 with a request")
    uid = request.get("uid") or ""
    if not _is_new_pod(request):
        return _answer(uid, {"allowed": True})
    if fault := shape_fault(request["object"]):
        raise ValueError(f"the AdmissionReview's object is no Pod: {fault}")
    facts = Facts(
        request["object"],
        parameters,
        native_sidecars=native_sidecars,
        namespace_annotations=namespace_annotations,
    )
    if facts.label != names.LABEL_ENABLED_VALUE:
        return _answer(uid, _allowed("", judgement.label_warning(facts)))
    if refusal := judgement.refusal(facts):
        status = {"status": "Failure", "message": refusal, "reason": "Forbidden", "code": 403}
        return _answer(uid, {"allowed": False, "status": status})
    return _answer(uid, _allowed(patch.encoded(facts), judgement.warnings(facts)))


def is_asked_for(request: Object) -> bool:
    """Tell whether a request is for a new pod that has the label."""
    label = at(request, "object", "metadata", "labels", names.LABEL_ENABLED)
    return _is_new_pod(request) and bool(label == names.LABEL_ENABLED_VALUE)


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


def _allowed(json_patch: str, warnings: list[str]) -> dict[str, Any]:
    response: dict[str, Any] = {"allowed": True}
    if json_patch:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json_patch.encode()).decode()}
    if warnings:
        response["warnings"] = warnings
    return response


def _answer(uid: str, response: dict[str, Any]) -> Object:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": uid, **response},
    }
