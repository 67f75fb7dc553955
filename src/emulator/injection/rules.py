"""Why a pod is refused: one row for each reason; `advice` has those that only warn.

`judgement` asks the rows and `cel` prints them. A row asks its question twice, in CEL for an admission policy and in
Python; the answer is the text that it found, '' if all is well. `$found` in its message stands for that answer,
`$role_arn` and the like for the fact of that name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from emulator import names
from emulator.arn import POLICY_ARN_PATTERN, ROLE_ARN_FORM
from emulator.injection import reserved
from emulator.injection.advice import WARNINGS
from emulator.injection.cel_text import param, text, texts
from emulator.injection.facts import endpoints, points_to
from emulator.injection.json_values import maps
from emulator.injection.resource_rules import RESOURCE_REFUSALS
from emulator.injection.rule import Rule, containers_where, listed, not_allowed, only, path
from emulator.partitions import FIPS_REGIONS, PARTITIONS
from emulator.settings import SESSION_POLICIES_LIMIT

if TYPE_CHECKING:
    from emulator.injection.facts import Facts
    from emulator.injection.pod import Object


# As `settings` has it. Source: STS API Reference, AssumeRoleWithWebIdentity, RoleSessionName.
SESSION_NAME_PATTERN = r"^[A-Za-z0-9_+=,.@-]{2,64}$"


def _is_session_policy(arn: str, partition: str) -> bool:
    return re.fullmatch(POLICY_ARN_PATTERN, arn) is not None and partition in ("", arn.split(":")[1])


def _more_than(limit: int, count: int) -> str:
    return str(count) if count > limit else ""


def _port_users(facts: Facts) -> str:
    ours = (int(facts.parameters["port"]), int(facts.parameters["healthPort"]))
    return listed(c["name"] for c in facts.others if any(_listens(port, ours) for port in maps(c, "ports")))


def _listens(port: Object, numbers: tuple[int, ...]) -> bool:
    return (port.get("protocol") or "TCP") == "TCP" and port.get("containerPort") in numbers


def _redirect_not_allowed(facts: Facts) -> str:
    return "" if facts.redirect_mode in facts.parameters["redirectAllowed"].split(",") else facts.redirect_mode


def _endpoints_elsewhere(facts: Facts) -> str:
    return listed(c["name"] for c in facts.others if not endpoints(c) <= {facts.endpoint}) if facts.env else ""


REFUSALS = (
    Rule(
        "windows",
        "variables.windows",
        lambda facts: facts.windows,
        "the pod requires Windows ($found), but the emulator runs only on Linux: run the pod on Linux, or remove the"
        f" label {names.LABEL_ENABLED}",
    ),
    Rule(
        "host-network",
        "object.spec.?hostNetwork.orValue(false) ? 'true' : ''",
        lambda facts: "true" if facts.spec.get("hostNetwork") else "",
        "spec.hostNetwork: Invalid value: true: must be false, because redirecting 169.254.169.254 would change the"
        f" whole node: remove hostNetwork, or the label {names.LABEL_ENABLED}",
    ),
    # Ahead of all that show an annotation's value.
    Rule(
        "annotation-characters",
        "variables.odd_annotation",
        lambda facts: facts.odd_annotation,
        "metadata.annotations[$found]: Invalid value: $odd_value: must be printable ASCII: remove the characters shown"
        " between < and >",
    ),
    Rule(
        "role-missing",
        "variables.role_arn == '' ? 'nothing' : ''",
        lambda facts: "" if facts.role_arn else "nothing",
        f"{path(names.ANNOTATION_ROLE_ARN)}: Required value: must be the ARN of the role to assume, {ROLE_ARN_FORM}",
    ),
    Rule(
        "role-malformed",
        "variables.partition == '' ? variables.role_arn : ''",
        lambda facts: facts.role_arn if facts.partition == "" else "",
        f"{path(names.ANNOTATION_ROLE_ARN)}: Invalid value: $found: must be the ARN of an IAM role, {ROLE_ARN_FORM},"
        " with a 12-digit account, a path of at most 512 characters and a name of at most 64",
    ),
    Rule(
        "partition-unknown",
        f"variables.partition in {texts(tuple(PARTITIONS))} ? '' : variables.partition",
        lambda facts: "" if facts.partition in PARTITIONS else facts.partition,
        f"{path(names.ANNOTATION_ROLE_ARN)}: Invalid value: $role_arn: unknown partition $found:"
        f" must be one of {', '.join(PARTITIONS)}",
    ),
    only("imds-version", names.ANNOTATION_IMDS_VERSION, names.IMDS_VERSIONS),
    only("redirect", names.ANNOTATION_REDIRECT, names.REDIRECT_MODES),
    Rule(
        "redirect-not-allowed",
        f"variables.redirect_mode in {param('redirectAllowed')}.split(',') ? '' : variables.redirect_mode",
        _redirect_not_allowed,
        f"{path(names.ANNOTATION_REDIRECT)}: Invalid value: $found: must be one of those that this installation"
        " allows, $redirectAllowed",
    ),
    Rule(
        "endpoint-elsewhere",
        "!variables.env ? '' : " + containers_where(f"!({points_to('[variables.endpoint]')})"),
        _endpoints_elsewhere,
        f"container $found sets {names.ENV_SERVICE_ENDPOINT} to an address other than the emulator's, $endpoint:"
        f" remove the variable, or set {path(names.ANNOTATION_REDIRECT)} to iptables",
    ),
    only("app-region", names.ANNOTATION_APP_REGION, ("true", "false")),
    only("end-with-app", names.ANNOTATION_END_WITH_APP, ("true", "false")),
    Rule(
        "pod-region",
        "variables.region_fits ? '' : variables.pod_region",
        lambda facts: "" if facts.region_fits else facts.pod_region,
        f"{path(names.ANNOTATION_REGION)}: Invalid value: $found: must be a region in the role's partition, $partition",
    ),
    Rule(
        "installed-region",
        f"variables.region_fits ? '' : {param('region')}",
        lambda facts: "" if facts.region_fits else facts.parameters["region"],
        f"the installation's region, $found, is not in the role's partition, $partition:"
        f" set {path(names.ANNOTATION_REGION)} to a region in that partition",
    ),
    Rule(
        "fips-nowhere",
        "variables.region_without_fips",
        lambda facts: facts.region_without_fips,
        "the installation uses the FIPS endpoint of STS (sts.useFipsEndpoint), but $found does not have one:"
        f" set {path(names.ANNOTATION_REGION)} to one of {', '.join(FIPS_REGIONS)}, or sts.useFipsEndpoint to false",
    ),
    Rule(
        "app-region-unknown",
        "variables.app_region && variables.region == '' ? 'true' : ''",
        lambda facts: "true" if facts.app_region and facts.region == "" else "",
        f"{path(names.ANNOTATION_REGION)}: Required value: the app's containers get a region"
        f" ({names.ANNOTATION_APP_REGION} or apps.setRegion), and the installation does not set one",
    ),
    *RESOURCE_REFUSALS,
    Rule(
        "session-name",
        f"variables.session_name == '' || variables.session_name.matches({text(SESSION_NAME_PATTERN)})"
        " ? '' : variables.session_name",
        lambda facts: "" if re.fullmatch(SESSION_NAME_PATTERN, facts.session_name or "--") else facts.session_name,
        f"{path(names.ANNOTATION_SESSION_NAME)}: Invalid value: $found: must be 2 to 64 characters of"
        " A-Z a-z 0-9 _ + = , . @ -",
    ),
    Rule(
        "session-policies",
        f"variables.session_policies.filter(p, !p.matches({text(POLICY_ARN_PATTERN)})"
        " || (variables.partition != '' && p.split(':')[1] != variables.partition)).join(', ')",
        lambda facts: listed(arn for arn in facts.session_policies if not _is_session_policy(arn, facts.partition)),
        f"{path(names.ANNOTATION_SESSION_POLICIES)}: Invalid value: $found: must be ARNs of managed policies in the"
        " role's partition ($partition), arn:PARTITION:iam::ACCOUNT:policy/[PATH/]NAME, separated by commas",
    ),
    Rule(
        "session-policies-many",
        f"variables.session_policies.size() > {SESSION_POLICIES_LIMIT}"
        " ? string(variables.session_policies.size()) : ''",
        lambda facts: _more_than(SESSION_POLICIES_LIMIT, len(facts.session_policies)),
        f"{path(names.ANNOTATION_SESSION_POLICIES)}: Too many: $found: must have at most {SESSION_POLICIES_LIMIT} ARNs",
    ),
    *reserved.REFUSALS,
    Rule(
        "port-taken",
        "variables.others.filter(c, c.?ports.orValue([]).exists(p, p.?protocol.orValue('TCP') == 'TCP' &&"
        f" p.containerPort in [int({param('port')}), int({param('healthPort')})])).map(c, string(c.name)).join(', ')",
        _port_users,
        "container $found declares a containerPort used by the emulator ($port or $healthPort):"
        " change the container's port, or the installation's",
    ),
    Rule(
        "role-not-allowed",
        f"{param('allowedRolesMode')} == 'enforce' && !variables.role_allowed ? variables.role_arn : ''",
        lambda facts: not_allowed(facts, "enforce"),
        f"{path(names.ANNOTATION_ROLE_ARN)}: Forbidden: role $found is not allowed in this namespace: choose a role"
        f" that the namespace's annotation {names.ANNOTATION_ALLOWED_ROLES} (without it, the installation's list)"
        " allows, or add the role there",
    ),
)

GUARDS = reserved.GUARDS

# For a pod whose label has another value, which is not injected.
LABEL_VALUE = Rule(
    "label-value",
    f"variables.label == {text(names.LABEL_ENABLED_VALUE)} ? '' : 'other'",
    lambda facts: "" if facts.label == names.LABEL_ENABLED_VALUE else "other",
    f"metadata.labels['{names.LABEL_ENABLED}']: Invalid value: $label: must be"
    f' "{names.LABEL_ENABLED_VALUE}" to turn the emulator on: the pod is left unchanged',
)


ALL = (*REFUSALS, *GUARDS, *WARNINGS, LABEL_VALUE)
