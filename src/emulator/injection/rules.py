"""Why a pod is refused, or admitted with a warning: one row for each reason.

Goes in: nothing. Comes out: rows, for `judgement` to ask and for `cel` to print.
A row asks its question twice, in CEL for an admission policy and in Python; the answer is what it found, as a text, and
'' if all is well. `$found` in its message stands for that answer, `$role_arn` and the like for the fact of that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator import names
from emulator.arn import ROLE_ARN_FORM
from emulator.injection.cel_text import annotation, param, text, texts
from emulator.injection.json_values import maps
from emulator.injection.recognition import OUR_CONTAINERS, OUR_VOLUMES
from emulator.partitions import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emulator.injection.facts import Facts
    from emulator.injection.pod import Object


@dataclass(frozen=True)
class Rule:
    """One reason. `name` is the reason's name in tests and metrics."""

    name: str
    cel: str
    find: Callable[[Facts], str]
    message: str


def _path(key: str) -> str:
    return f"metadata.annotations['{key}']"


def _only(name: str, key: str, choices: tuple[str, ...]) -> Rule:
    """Return the rule for an annotation that may have one of a few values."""
    return Rule(
        name,
        f"{annotation(key)} in {texts(('', *choices))} ? '' : {annotation(key)}",
        lambda facts: "" if (facts.annotations.get(key) or "") in ("", *choices) else facts.annotations[key],
        f"{_path(key)} is $found: set it to {', '.join(choices[:-1])} or {choices[-1]}, or remove it",
    )


def _found(names_: Iterable[str]) -> str:
    return ", ".join(names_)


def _taken_containers(facts: Facts) -> str:
    return "" if facts.complete else _found(c["name"] for c in facts.containers if c.get("name") in OUR_CONTAINERS)


def _taken_volumes(facts: Facts) -> str:
    return "" if facts.complete else _found(v["name"] for v in facts.volumes if v.get("name") in OUR_VOLUMES)


def _port_users(facts: Facts) -> str:
    ours = (int(facts.parameters["port"]), int(facts.parameters["healthPort"]))
    return _found(c["name"] for c in facts.others if any(_listens(port, ours) for port in maps(c, "ports")))


def _listens(port: Object, numbers: tuple[int, ...]) -> bool:
    return (port.get("protocol") or "TCP") == "TCP" and port.get("containerPort") in numbers


def _not_allowed(facts: Facts, mode: str) -> str:
    return facts.role_arn if facts.parameters["allowedRolesMode"] == mode and not facts.role_allowed else ""


REFUSALS = (
    Rule(
        "windows",
        "variables.windows",
        lambda facts: facts.windows,
        "$found is windows, where the emulator can't run: run the pod on Linux, or remove the label"
        f" {names.LABEL_ENABLED}",
    ),
    Rule(
        "host-network",
        "object.spec.?hostNetwork.orValue(false) ? 'true' : ''",
        lambda facts: "true" if facts.spec.get("hostNetwork") else "",
        "spec.hostNetwork is true: the redirect of 169.254.169.254 would change the whole node: "
        f"remove hostNetwork, or the label {names.LABEL_ENABLED}",
    ),
    Rule(
        "role-missing",
        "variables.role_arn == '' ? 'nothing' : ''",
        lambda facts: "" if facts.role_arn else "nothing",
        f"{_path(names.ANNOTATION_ROLE_ARN)} is missing or empty: set it to the role to assume, {ROLE_ARN_FORM}",
    ),
    Rule(
        "role-malformed",
        "variables.partition == '' ? variables.role_arn : ''",
        lambda facts: facts.role_arn if facts.partition == "" else "",
        f"{_path(names.ANNOTATION_ROLE_ARN)} is $found, which is not the ARN of a role: expected {ROLE_ARN_FORM},"
        " with an account of 12 digits, a path of up to 512 characters and a name of up to 64",
    ),
    Rule(
        "partition-unknown",
        f"variables.partition in {texts(tuple(PARTITIONS))} ? '' : variables.partition",
        lambda facts: "" if facts.partition in PARTITIONS else facts.partition,
        f"{_path(names.ANNOTATION_ROLE_ARN)} is $role_arn, but AWS has no partition $found:"
        f" expected one of {', '.join(PARTITIONS)}",
    ),
    _only("imds-version", names.ANNOTATION_IMDS_VERSION, names.IMDS_VERSIONS),
    _only("redirect", names.ANNOTATION_REDIRECT, names.REDIRECT_MODES),
    _only("app-region", names.ANNOTATION_APP_REGION, ("true", "false")),
    _only("end-with-app", names.ANNOTATION_END_WITH_APP, ("true", "false")),
    Rule(
        "pod-region",
        "variables.region_fits ? '' : variables.pod_region",
        lambda facts: "" if facts.region_fits else facts.pod_region,
        f"{_path(names.ANNOTATION_REGION)} is $found, no region of the role's partition $partition:"
        " set it to one, or remove it",
    ),
    Rule(
        "installed-region",
        f"variables.region_fits ? '' : {param('region')}",
        lambda facts: "" if facts.region_fits else facts.parameters["region"],
        f"the installation's region is $found, but {_path(names.ANNOTATION_ROLE_ARN)} is of partition $partition:"
        f" set {_path(names.ANNOTATION_REGION)} to a region of that partition",
    ),
    Rule(
        "app-region-unknown",
        "variables.app_region && variables.region == '' ? 'true' : ''",
        lambda facts: "true" if facts.app_region and facts.region == "" else "",
        f"the app's containers are to be given a region ({names.ANNOTATION_APP_REGION}), but none is set:"
        f" set {_path(names.ANNOTATION_REGION)}",
    ),
    Rule(
        "container-taken",
        "variables.complete ? ''"
        f" : variables.containers.filter(c, c.name in {texts(OUR_CONTAINERS)}).map(c, string(c.name)).join(', ')",
        _taken_containers,
        "a container of spec.initContainers or spec.containers has the name $found, which is reserved for what is"
        " injected, and the pod is not injected in full: rename the container, or remove all that is named so",
    ),
    Rule(
        "volume-taken",
        "variables.complete ? ''"
        f" : variables.volumes.filter(v, v.name in {texts(OUR_VOLUMES)}).map(v, string(v.name)).join(', ')",
        _taken_volumes,
        "a volume of spec.volumes has the name $found, which is reserved for what is injected: rename the volume",
    ),
    Rule(
        "port-taken",
        "variables.others.filter(c, c.?ports.orValue([]).exists(p, p.?protocol.orValue('TCP') == 'TCP' &&"
        f" p.containerPort in [int({param('port')}), int({param('healthPort')})])).map(c, string(c.name)).join(', ')",
        _port_users,
        "container $found has a containerPort that is the emulator's ($port or $healthPort):"
        " let the container listen on another, or choose another for the installation",
    ),
    Rule(
        "role-not-allowed",
        f"{param('allowedRolesMode')} == 'enforce' && !variables.role_allowed ? variables.role_arn : ''",
        lambda facts: _not_allowed(facts, "enforce"),
        f"{_path(names.ANNOTATION_ROLE_ARN)} is $found, which this namespace may not use: choose a role that the"
        f" namespace's annotation {names.ANNOTATION_ALLOWED_ROLES} (else the installation's list) lets in, or have"
        " it added there",
    ),
)

# For the policy that looks at pods as they are stored. At a webhook pods are not injected yet.
GUARD = Rule(
    "not-injected",
    "variables.protected ? '' : 'nothing'",
    lambda facts: "" if facts.protected else "nothing",
    "the pod was not injected and would take the node's role: see whether the imds-emulator webhook or mutating policy"
    f" is installed and covers this namespace, or remove the label {names.LABEL_ENABLED}",
)

# What makes an SDK look elsewhere before it asks the metadata service, or never ask.
# Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers" and "IMDS credential provider".
_PASSING_BY = {
    "AWS_ACCESS_KEY_ID": "use static keys",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "exchange that token",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "ask that URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "ask that URI",
    "AWS_EC2_METADATA_DISABLED": "don't ask the metadata service",
}


def _passing_by(variable: str, consequence: str) -> Rule:
    def find(facts: Facts) -> str:
        return _found(
            c["name"] for c, variables in facts.others_variables if variable in variables and _sets(c, variable)
        )

    return Rule(
        variable.lower().replace("_", "-"),
        f"variables.others.filter(c, c.?env.orValue([]).exists(e, e.name == {text(variable)}"
        " && e.?value.orValue('').lowerAscii() != 'false')).map(c, string(c.name)).join(', ')",
        find,
        f"container $found sets {variable}: SDKs {consequence} and pass the pod's role by; remove the variable",
    )


def _sets(container: Object, variable: str) -> bool:
    values = [entry.get("value") for entry in maps(container, "env") if entry.get("name") == variable]
    return any(str(value).lower() != "false" for value in values)


def _unserved(facts: Facts) -> str:
    return _found(c["name"] for c in facts.init_containers if c["name"] not in OUR_CONTAINERS)


def _may_end(facts: Facts) -> bool:
    return facts.annotations.get(names.ANNOTATION_END_WITH_APP) != "false"


WARNINGS = (
    *(_passing_by(variable, consequence) for variable, consequence in _PASSING_BY.items()),
    Rule(
        "init-containers-unserved",
        "variables.classic && variables.iptables ? variables.init_containers"
        f".filter(c, !(c.name in {texts(OUR_CONTAINERS)})).map(c, string(c.name)).join(', ') : ''",
        lambda facts: _unserved(facts) if facts.classic and facts.iptables else "",
        "init container $found runs before the redirect, on API servers before 1.29 or in classic mode, and gets the"
        " node's role from 169.254.169.254: let it do without AWS",
    ),
    Rule(
        "job-goes-on",
        f"variables.classic && variables.job && !variables.ends_with_app && {annotation(names.ANNOTATION_END_WITH_APP)}"
        " != 'false' ? 'nothing' : ''",
        lambda facts: "nothing" if facts.job and facts.classic and not facts.ends_with_app and _may_end(facts) else "",
        "this Job will not complete by itself, since the emulator can't see when the app has ended: set"
        " spec.shareProcessNamespace to true and spec.hostPID to false",
    ),
    Rule(
        "role-not-allowed-audit",
        f"{param('allowedRolesMode')} == 'audit' && !variables.role_allowed ? variables.role_arn : ''",
        lambda facts: _not_allowed(facts, "audit"),
        f"this namespace may not use the role $found, which is only told so far: have it added to the namespace's"
        f" annotation {names.ANNOTATION_ALLOWED_ROLES}",
    ),
)

# For a pod whose label has another value, which is not injected.
LABEL_VALUE = Rule(
    "label-value",
    f"variables.label == {text(names.LABEL_ENABLED_VALUE)} ? '' : 'other'",
    lambda facts: "" if facts.label == names.LABEL_ENABLED_VALUE else "other",
    f"metadata.labels['{names.LABEL_ENABLED}'] is $label, which leaves the pod alone: set it to"
    f' "{names.LABEL_ENABLED_VALUE}" to turn the emulator on, or remove it',
)


ALL = (*REFUSALS, GUARD, *WARNINGS, LABEL_VALUE)
