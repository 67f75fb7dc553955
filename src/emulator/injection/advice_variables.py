"""What is odd in the variables that a pod's containers set: a row for each warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.cel_text import text, texts
from emulator.injection.facts import endpoints, points_to
from emulator.injection.json_values import maps
from emulator.injection.rule import Rule, containers_where, listed, path

if TYPE_CHECKING:
    from emulator.injection.facts import Facts
    from emulator.injection.pod import Object

# What makes an SDK look elsewhere before it asks the metadata service, or never ask.
# Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers" and "IMDS credential provider".
_PASSING_BY = {
    "AWS_ACCESS_KEY_ID": "use static keys",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "exchange that token",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "ask that URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "ask that URI",
    "AWS_EC2_METADATA_DISABLED": "skip the metadata service",
}


def _passing_by(variable: str, consequence: str) -> Rule:
    def find(facts: Facts) -> str:
        return listed(
            c["name"] for c, variables in facts.others_variables if variable in variables and _sets(c, variable)
        )

    return Rule(
        variable.lower().replace("_", "-"),
        containers_where(
            f"c.?env.orValue([]).exists(e, e.name == {text(variable)} && e.?value.orValue('').lowerAscii() != 'false')"
        ),
        find,
        f"container $found sets {variable}: SDKs {consequence} and will not use the pod's role: remove the variable",
    )


def _sets(container: Object, variable: str) -> bool:
    values = [entry.get("value") for entry in maps(container, "env") if entry.get("name") == variable]
    return any(str(value).lower() != "false" for value in values)


# What SDKs need no variable for: a container may say it.
_HOSTS = (names.IMDS_IPV4, f"[{names.IMDS_IPV6}]")
_METADATA_PLACES = tuple(f"http://{host}{end}" for host in _HOSTS for end in ("", "/"))
_CEL_PLACES = f"['', variables.endpoint, {texts(_METADATA_PLACES)[1:]}"
_REGIONS = (names.ENV_REGION, names.ENV_DEFAULT_REGION)


def _elsewhere(facts: Facts) -> str:
    known = {"", facts.endpoint, *_METADATA_PLACES}
    return listed(c["name"] for c in facts.others if not endpoints(c) <= known) if facts.iptables else ""


def _without_v1(facts: Facts) -> str:
    if facts.imds_version != "v1":
        return ""
    setting = (c for c, variables in facts.others_variables if names.ENV_V1_DISABLED in variables)
    return listed(c["name"] for c in setting if "true" in map(str.lower, _values(c, (names.ENV_V1_DISABLED,))))


def _values(container: Object, variables: tuple[str, ...]) -> list[str]:
    return [str(e.get("value") or "") for e in maps(container, "env") if e.get("name") in variables]


def _may_hold(variable: str) -> str:
    """Return CEL for: container `c` has an envFrom that may hold the variable."""
    return f"c.?envFrom.orValue([]).exists(f, {text(variable)}.startsWith(f.?prefix.orValue('')))"


def _holds(container: Object, variable: str) -> bool:
    return any(variable.startswith(str(source.get("prefix") or "")) for source in maps(container, "envFrom"))


def _hidden_regions(facts: Facts) -> str:
    if not facts.app_region:
        return ""
    # Injected or not yet: the advice of a policy comes after the injection, the webhook's before.
    ours: tuple[list[str], ...] = ([], [facts.region] * len(_REGIONS))
    return listed(c["name"] for c in facts.others if _holds(c, names.ENV_REGION) and _values(c, _REGIONS) in ours)


def _hidden_endpoints(facts: Facts) -> str:
    return listed(c["name"] for c in facts.others if _holds(c, names.ENV_SERVICE_ENDPOINT)) if facts.env else ""


VARIABLES_OF_CONTAINERS = (
    *(_passing_by(variable, consequence) for variable, consequence in _PASSING_BY.items()),
    Rule(
        "metadata-elsewhere",
        "!variables.iptables ? '' : " + containers_where(f"!({points_to(_CEL_PLACES)})"),
        _elsewhere,
        f"container $found sets {names.ENV_SERVICE_ENDPOINT} to an address that is not the emulator's: SDKs ask there"
        " and will not use the pod's role: remove the variable",
    ),
    Rule(
        "v1-disabled",
        "variables.imds_version != 'v1' ? '' : "
        + containers_where(
            f"c.?env.orValue([]).exists(e, e.name == {text(names.ENV_V1_DISABLED)}"
            " && e.?value.orValue('').lowerAscii() == 'true')"
        ),
        _without_v1,
        f"container $found sets {names.ENV_V1_DISABLED}, but the emulator serves this pod IMDSv1 only, so its SDK gets"
        f" no credentials: set {path(names.ANNOTATION_IMDS_VERSION)} to v1-and-v2",
    ),
    Rule(
        "region-hides-env-from",
        "!variables.app_region ? '' : "
        + containers_where(
            f"{_may_hold(names.ENV_REGION)} && c.?env.orValue([]).filter(e, e.name in {texts(_REGIONS)})"
            ".map(e, e.?value.orValue('')) in [dyn([]), dyn([variables.region, variables.region])]"
        ),
        _hidden_regions,
        f"container $found: the injected {names.ENV_REGION} overrides one that its envFrom may set: to keep that one,"
        f" set the variable in env, or {path(names.ANNOTATION_APP_REGION)} to false",
    ),
    Rule(
        "endpoint-hides-env-from",
        "!variables.env ? '' : " + containers_where(_may_hold(names.ENV_SERVICE_ENDPOINT)),
        _hidden_endpoints,
        f"container $found: the injected {names.ENV_SERVICE_ENDPOINT} overrides one that its envFrom may set: if it"
        " does, remove it there",
    ),
    Rule(
        "env-closes-nothing",
        "variables.env ? 'env' : ''",
        lambda facts: "env" if facts.env else "",
        f"redirect mode env serves only SDKs that read {names.ENV_SERVICE_ENDPOINT}; anything else that asks"
        f" {names.IMDS_IPV4} still gets the node's role: block that address for the pod, or use mode iptables",
    ),
)
