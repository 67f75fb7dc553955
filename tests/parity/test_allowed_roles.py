"""Who decides which roles a namespace's pods may ask for: who may change the namespace, and not who owns the pods."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from emulator import names
from tests.parity.api import wait_until
from tests.parity.modes import BY_NAME, namespace_of

if TYPE_CHECKING:
    from tests.parity.modes import Mode

Object = dict[str, Any]

USER = "owner-of-pods"
# What the ClusterRole `admin` of a namespace is made up of by a controller, which an API server alone does not have.
ROLES = ("system:aggregate-to-view", "system:aggregate-to-edit", "system:aggregate-to-admin")


def test_annotation_is_out_of_reach_of_who_owns_the_pods(mode: Mode) -> None:
    """The administrator of all in a namespace can't extend its list; who can change the namespace does, in seconds."""
    case = BY_NAME["not-allowed-empty"]
    namespace = namespace_of(case)
    for role in ROLES:
        binding = {
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
        }
        mode.api.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings", binding)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    listing = mode.api.send("GET", pods, user=USER)
    extended: Object = {"metadata": {"annotations": {names.ANNOTATION_ALLOWED_ROLES: "*"}}}
    refused = mode.api.send("PATCH", f"/api/v1/namespaces/{namespace}", extended, user=USER)

    assert listing.message == ""
    assert refused.status == 403
    assert "may not use" in mode.admit(case, None).message
    for listed, message in (
        ({names.ANNOTATION_ALLOWED_ROLES: "*"}, ""),
        (case.namespace_annotations, "may not use"),
    ):
        change = {"metadata": {"annotations": listed}}
        assert mode.api.send("PATCH", f"/api/v1/namespaces/{namespace}", change).message == ""
        wait_until(functools.partial(_says, mode, message), f"the annotations are in force: {listed}")


def _says(mode: Mode, message: str) -> bool:
    answer = mode.admit(BY_NAME["not-allowed-empty"], None)
    return message in answer.message and bool(message) is bool(answer.message)
