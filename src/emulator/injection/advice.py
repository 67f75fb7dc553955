"""What is odd in a pod and yet allowed: one row for each warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.cel_text import annotation, param, text, texts
from emulator.injection.json_values import maps
from emulator.injection.recognition import OUR_CONTAINERS
from emulator.injection.rule import Rule, listed, not_allowed

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
    "AWS_EC2_METADATA_DISABLED": "don't ask the metadata service",
}


def _passing_by(variable: str, consequence: str) -> Rule:
    def find(facts: Facts) -> str:
        return listed(
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
    return listed(c["name"] for c in facts.init_containers if c["name"] not in OUR_CONTAINERS)


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
        lambda facts: not_allowed(facts, "audit"),
        f"this namespace may not use the role $found, which is only told so far: have it added to the namespace's"
        f" annotation {names.ANNOTATION_ALLOWED_ROLES}",
    ),
)
