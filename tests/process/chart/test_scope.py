"""Which pods the API server asks about, and what comes before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emulator import names
from tests.support.chart.rendering import (
    objects,
    one,
    values_file,
    webhook,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_scope() -> None:
    """The API server calls for new pods with exactly the label "True", fails closed, and waits 5 s."""
    entry = webhook(objects())

    assert {
        "name": "pods.inject.imds-emulator",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "service": {"name": "imds-emulator", "namespace": "imds-emulator", "path": "/mutate", "port": 443}
        },
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "objectSelector": {"matchLabels": {names.LABEL_ENABLED: "True"}},
        "namespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", "imds-emulator"],
                }
            ]
        },
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "timeoutSeconds": 5,
    } == entry


def test_namespaces(tmp_path: Path) -> None:
    """Which namespaces are left alone can be adjusted, the release's own included."""
    values = values_file(
        tmp_path,
        """
        namespaces:
          excluded: [kube-system, kube-public]
          excludeRelease: false
          selector:
            matchLabels: {emulator: allowed}
            matchExpressions: [{key: team, operator: Exists}]
        """,
    )
    expected = {
        "matchLabels": {"emulator": "allowed"},
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "kube-public"]},
            {"key": "team", "operator": "Exists"},
        ],
    }

    assert expected == webhook(objects(values))["namespaceSelector"]


@pytest.mark.parametrize("mode", ["webhook", "policy"])
def test_argo_cd_order(mode: str) -> None:
    """What a labelled pod of the same sync must find there is one wave ahead of it."""
    ahead = {
        item["kind"]
        for item in objects(f"--set=mode={mode}")
        if item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave") == "-1"
    }

    expected = {
        "webhook": {"MutatingWebhookConfiguration"},
        "policy": {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
    }
    assert expected[mode] | {"ConfigMap", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} == ahead


def test_no_namespace_excluded() -> None:
    """With nothing excluded the selector is empty, not invalid."""
    found = objects("--set-json=namespaces.excluded=[]", "--set=namespaces.excludeRelease=false")

    assert {"matchExpressions": []} == webhook(found)["namespaceSelector"]


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_allowed_roles(mode: str) -> None:
    """The webhook may read namespaces only where an allow-list is in use."""
    found = objects(f"--set=allowedRoles.mode={mode}", '--set-json=allowedRoles.default=["arn:a*","arn:b"]')

    assert {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]} == one(found, "ClusterRole")["rules"][1]
    assert ("arn:a*,arn:b", mode) == tuple(
        one(found, "ConfigMap", "-parameters")["data"][key] for key in ("allowedRoles", "allowedRolesMode")
    )
