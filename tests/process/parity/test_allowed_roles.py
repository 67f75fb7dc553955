"""Who decides which roles a namespace's pods may ask for: who may change the namespace, and not who owns the pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator import names
from tests.process.parity.modes import BY_NAME, make_namespace
from tests.support.kubernetes.api import wait_until

if TYPE_CHECKING:
    from tests.process.parity.modes import Mode

Object = dict[str, Any]

NAMESPACE = "allowed-roles"
USER = "owner-of-pods"
# What the ClusterRole `admin` of a namespace is made up of by a controller, which an API server alone does not have.
ROLES = ("system:aggregate-to-view", "system:aggregate-to-edit", "system:aggregate-to-admin")


@pytest.mark.claim("S33")
def test_annotation_is_out_of_reach_of_who_owns_the_pods(mode: Mode) -> None:
    """The administrator of all in a namespace can't extend its list; who can change the namespace does, in seconds."""
    case = BY_NAME["not-allowed-empty"]
    assert "is not allowed in this namespace" in mode.admit(case, None).message
    make_namespace(mode.api, {"name": NAMESPACE, "annotations": case.namespace_annotations}, case.parameters)
    for role in ROLES:
        binding = {
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
        }
        mode.api.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings", binding)
    path = f"/api/v1/namespaces/{NAMESPACE}"
    extended: Object = {"metadata": {"annotations": {names.ANNOTATION_ALLOWED_ROLES: "*"}}}

    def refusal() -> str:
        return mode.api.try_pod(NAMESPACE, case.pod).message

    assert "is not allowed in this namespace" in refusal()
    assert mode.api.send("GET", f"{path}/pods", user=USER).message == ""
    assert mode.api.send("PATCH", path, extended, user=USER).status == 403
    assert mode.api.send("PATCH", path, extended).message == ""
    wait_until(lambda: refusal() == "", "the role is let in")
    assert mode.api.send("PATCH", path, {"metadata": {"annotations": case.namespace_annotations}}).message == ""
    wait_until(lambda: mode.refuser in refusal(), "the role is no longer let in")
