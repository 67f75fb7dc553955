"""Reviews: what is looked at, and how the answer is made."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from emulator.injection import admission, patch
from tests.support.pod_files.cases import Case, cases

Object = dict[str, Any]

BY_NAME = {case.name: case for case in cases()}


def answer(case: Case, *, native_sidecars: bool = True, **changed: Any) -> Object:  # noqa: ANN401 - any field
    """Return the response to the case's review, with fields of the request changed."""
    body = case.review()
    body["request"].update(changed)
    review = read(body)
    verdict = admission.judge(review, case.parameters, native_sidecars=native_sidecars)
    response: Object = admission.envelope(review, verdict)["response"]
    return response


def read(body: Object) -> admission.Review:
    """Return the review that arrives as this JSON."""
    return admission.read(json.dumps(body).encode())


def test_injected() -> None:
    """The answer names the request's uid and carries the patch as base64 of JSON."""
    response = answer(BY_NAME["plain"])
    operations = json.loads(base64.b64decode(response.pop("patch")))

    assert response == {"uid": "uid-of-plain", "allowed": True, "patchType": "JSONPatch"}
    assert {"add"} == {operation["op"] for operation in operations}


def test_refused() -> None:
    """The answer carries the message, as a Status."""
    response = answer(BY_NAME["annotation-missing"])
    message = response["status"].pop("message")

    assert response == {
        "uid": "uid-of-annotation-missing",
        "allowed": False,
        "status": {"status": "Failure", "reason": "Forbidden", "code": 403},
    }
    assert "aws-imds-emulator-role-arn" in message


@pytest.mark.parametrize(
    "changed",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"subResource": "ephemeralcontainers"},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
        {"kind": {"group": "example.com", "version": "v1", "kind": "Pod"}},
    ],
    ids=str,
)
def test_untouched(changed: Object) -> None:
    """Whatever is not the creation of a pod is allowed as it is."""
    for name in ("plain", "annotation-missing"):
        assert {"uid": f"uid-of-{name}", "allowed": True} == answer(BY_NAME[name], **changed)


def test_dry_run() -> None:
    """A dry run has the same answer."""
    assert answer(BY_NAME["plain"]) == answer(BY_NAME["plain"], dryRun=True)


@pytest.mark.parametrize("body", [{}, {"apiVersion": "admission.k8s.io/v1"}, {"apiVersion": "v1", "request": {}}])
def test_no_review(body: Object) -> None:
    """What is no AdmissionReview v1 is an error of the caller."""
    with pytest.raises(ValueError, match=r"^the body is not an AdmissionReview"):
        read(body)


def test_pull_secret_without_a_name() -> None:
    """A pull secret whose name is left out, as the API allows, keeps no pod out."""
    case = BY_NAME["pull-secrets"]

    assert answer(case, object={**case.pod, "spec": {**case.pod["spec"], "imagePullSecrets": [{}]}})["allowed"]


@pytest.mark.parametrize("containers", [[], None])
def test_no_containers_yet(containers: list[Object] | None) -> None:
    """A pod without containers, which the API server refuses only after admission, is no error of ours."""
    case = BY_NAME["classic"]
    pod = {**case.pod, "spec": {"containers": containers}}
    response = answer(case, object=pod)
    patch.apply(pod, json.loads(base64.b64decode(response["patch"])))

    assert ["imds-emulator"] == [container["name"] for container in pod["spec"]["containers"]]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"spec": None}, "spec: Required value: must be an object"),
        ({"metadata": {"annotations": 5}}, "metadata.annotations: Invalid value: 5: must be an object"),
        (
            {"metadata": {"annotations": "kubernetes.io/config.mirror"}},
            'metadata.annotations: Invalid value: "kubernetes.io/config.mirror": must be an object',
        ),
        (
            {"metadata": {"labels": {"a\nb": 5}}},
            r"metadata.labels['a\nb']: Invalid value: 5: must be a string; quote it",
        ),
        (
            {"spec": {"containers": [{"name": "a", "env": [{"name": []}]}]}},
            "spec.containers[0].env[0].name: Invalid value: []: must be a string; quote it",
        ),
    ],
)
def test_no_pod(changed: Object, fault: str) -> None:
    """What no API server would send is an error of the caller, with the field."""
    with pytest.raises(ValueError, match=rf"^request\.object\.{re.escape(fault)}$"):
        answer(BY_NAME["plain"], object={**BY_NAME["plain"].pod, **changed})


def test_capabilities_of_another_kind() -> None:
    """A container that feigns the redirect, with what is no list of capabilities, is refused."""
    feigned = {"name": "imds-redirect", "args": ["redirect"], "securityContext": {"capabilities": {"add": 5}}}
    spec = {**BY_NAME["plain"].pod["spec"], "initContainers": [feigned]}

    assert not answer(BY_NAME["plain"], object={**BY_NAME["plain"].pod, "spec": spec})["allowed"]


def test_auto_goes_by_the_api_server() -> None:
    """Mode auto is native where every kubelet has native sidecars; native and classic are what they say."""

    def form(mode: str, *, native_sidecars: bool) -> str:
        case = replace(BY_NAME["plain"], parameters={**BY_NAME["plain"].parameters, "sidecarMode": mode})
        response = answer(case, native_sidecars=native_sidecars)
        return "native" if b'"/spec/initContainers/0"' in base64.b64decode(response["patch"]) else "classic"

    modes = ("auto", "native", "classic")
    assert ["native", "native", "classic"] == [form(mode, native_sidecars=True) for mode in modes]
    assert ["classic", "native", "classic"] == [form(mode, native_sidecars=False) for mode in modes]
