"""The policies of policy mode, straight from `emulator.cel`.

Goes in: nothing. Comes out: objects whose parameters are in the namespace of the pod, so that each case has its own.
"""

from __future__ import annotations

from typing import Any

from emulator import cel, names

Object = dict[str, Any]

GROUP = "admissionregistration.k8s.io"
PARAMETERS = "imds-emulator-parameters"
ENABLED = {"matchLabels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}}
LABELLED = {"matchExpressions": [{"key": names.LABEL_ENABLED, "operator": "Exists"}]}


def mutation(version: str) -> list[Object]:
    """Return the MutatingAdmissionPolicy and its binding."""
    spec = {
        **_constraints(ENABLED),
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "variables": cel.mutation_variables(),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": cel.mutation()}}],
    }
    return _pair("MutatingAdmissionPolicy", version, "imds-emulator", spec, {})


def guard() -> list[Object]:
    """Return the ValidatingAdmissionPolicy that refuses, and its binding."""
    spec = {
        **_constraints(ENABLED),
        "failurePolicy": "Fail",
        "variables": cel.validation_variables(),
        "validations": cel.validations(),
    }
    return _pair("ValidatingAdmissionPolicy", "v1", "imds-emulator-guard", spec, {"validationActions": ["Deny"]})


def advice() -> list[Object]:
    """Return the ValidatingAdmissionPolicy that warns of all that is odd, and its binding."""
    return _advice(cel.warning_variables(), cel.warnings())


def label_advice() -> list[Object]:
    """Return the one that stands beside a webhook, and its binding."""
    return _advice(cel.label_warning_variables(), cel.label_warnings())


def _advice(variables: list[cel.Entry], validations: list[cel.Entry]) -> list[Object]:
    constraints = _constraints(LABELLED)
    spec = {**constraints, "failurePolicy": "Ignore", "variables": variables, "validations": validations}
    return _pair("ValidatingAdmissionPolicy", "v1", "imds-emulator-advice", spec, {"validationActions": ["Warn"]})


def path(made: Object) -> str:
    """Return where objects of its kind are created."""
    plural = (
        f"{made['kind'].lower().removesuffix('y')}ies" if made["kind"].endswith("y") else f"{made['kind'].lower()}s"
    )
    return f"/apis/{made['apiVersion']}/{plural}"


def _constraints(selector: Object) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    return {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"resourceRules": [rule], "objectSelector": selector},
        "matchConditions": cel.match_conditions(),
    }


def _pair(kind: str, version: str, name: str, spec: Object, binding: Object) -> list[Object]:
    reference = {"name": PARAMETERS, "parameterNotFoundAction": "Deny"}
    return [
        {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": {"name": name}, "spec": spec},
        {
            "apiVersion": f"{GROUP}/{version}",
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "paramRef": reference, **binding},
        },
    ]
