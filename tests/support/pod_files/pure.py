"""The shortest way through the injection: a review into `emulator.injection.admission`, its patch onto the pod."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from emulator.injection import admission, patch
from tests.support.pod_files.cases import Case, Outcome


def outcome(case: Case, *, native_sidecars: bool = True) -> Outcome:
    """Return what becomes of the case; `native_sidecars` as on API servers of 1.32 and later."""
    review = admission.read(json.dumps(case.review()).encode())
    verdict = admission.judge(
        review, case.parameters, native_sidecars=native_sidecars, namespace_annotations=case.namespace_annotations
    )
    return outcome_of(admission.envelope(review, verdict)["response"], case)


def outcome_of(response: dict[str, Any], case: Case) -> Outcome:
    """Return what an AdmissionResponse makes of the case."""
    warnings = tuple(response.get("warnings", ()))
    if not response["allowed"]:
        return Outcome(None, response["status"]["message"], warnings)
    if "patch" not in response:
        return Outcome(None, "", warnings)
    pod = copy.deepcopy(case.pod)
    patch.apply(pod, json.loads(base64.b64decode(response["patch"])))
    return Outcome(pod, "", warnings)
