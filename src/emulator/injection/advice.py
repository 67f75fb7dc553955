"""What is odd in a pod and yet allowed: one row for each warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.advice_variables import VARIABLES_OF_CONTAINERS
from emulator.injection.cel_text import annotation, param, texts
from emulator.injection.json_values import at, maps
from emulator.injection.recognition import OUR_CONTAINERS, OUR_VOLUMES
from emulator.injection.rule import Rule, listed, not_allowed

if TYPE_CHECKING:
    from emulator.injection.facts import Facts
    from emulator.injection.pod import Object

READABLE = 4  # in the last octal digit of a file's mode: anyone may read it


def _tight_tokens(facts: Facts) -> str:
    if at(facts.spec, "securityContext", "fsGroup") is not None or not facts.users:
        return ""
    if facts.users[0] == 0 or len(set(facts.users)) != 1:
        return ""
    return listed(v["name"] for v in facts.volumes if v.get("name") not in OUR_VOLUMES and _is_tight_token(v))


def _is_tight_token(volume: Object) -> bool:
    mode = at(volume, "projected", "defaultMode")
    has_token = any("serviceAccountToken" in source for source in maps(volume, "projected", "sources"))
    return has_token and isinstance(mode, int) and mode % 8 < READABLE


def _unserved(facts: Facts) -> str:
    return listed(c["name"] for c in facts.init_containers if c["name"] not in OUR_CONTAINERS)


def _may_end(facts: Facts) -> bool:
    return facts.annotations.get(names.ANNOTATION_END_WITH_APP) != "false"


WARNINGS = (
    Rule(
        "injected-before",
        "variables.injected_before ? 'nothing' : ''",
        lambda facts: "nothing" if facts.injected_before else "",
        "the pod was injected by version 0.1.0, whose emulator follows later changes to the role's annotation: remove"
        " the injected containers and volumes from the manifest, so that this version injects the pod",
    ),
    *VARIABLES_OF_CONTAINERS,
    Rule(
        "token-unreadable",
        "has(object.spec.securityContext) && has(object.spec.securityContext.fsGroup) || variables.users.size() == 0"
        " || variables.users[0] == 0 || variables.users.exists(u, u != variables.users[0]) ? ''"
        f" : variables.volumes.filter(v, !(v.name in {texts(OUR_VOLUMES)})"
        f" && v.?projected.?defaultMode.orValue({READABLE}) % 8 < {READABLE}"
        " && v.?projected.?sources.orValue([]).exists(s, has(s.serviceAccountToken)))"
        ".map(v, string(v.name)).join(', ')",
        _tight_tokens,
        "volume $found: the app may be unable to read its token, which the kubelet gives to the app's user only if all"
        " containers run as that user, and the injected ones do not: set spec.securityContext.fsGroup, or the volume's"
        " defaultMode to 0444",
    ),
    Rule(
        "init-containers-unserved",
        "variables.classic && variables.iptables ? variables.init_containers"
        f".filter(c, !(c.name in {texts(OUR_CONTAINERS)})).map(c, string(c.name)).join(', ') : ''",
        lambda facts: _unserved(facts) if facts.classic and facts.iptables else "",
        "init container $found runs before the redirect and gets the node's role from 169.254.169.254: it must not use"
        " AWS; if all kubelets are of 1.29 or later, setting sidecar.mode to native serves it too",
    ),
    Rule(
        "job-goes-on",
        f"variables.classic && variables.job && !variables.ends_with_app && {annotation(names.ANNOTATION_END_WITH_APP)}"
        " != 'false' ? 'nothing' : ''",
        lambda facts: "nothing" if facts.job and facts.classic and not facts.ends_with_app and _may_end(facts) else "",
        "this Job will not complete by itself, because the emulator cannot see when the app has ended: set"
        " spec.shareProcessNamespace to true and spec.hostPID to false",
    ),
    Rule(
        "role-not-allowed-audit",
        f"{param('allowedRolesMode')} == 'audit' && !variables.role_allowed ? variables.role_arn : ''",
        lambda facts: not_allowed(facts, "audit"),
        f"role $found is not allowed in this namespace (audit mode: warning only): add it to the namespace's"
        f" annotation {names.ANNOTATION_ALLOWED_ROLES}",
    ),
)
