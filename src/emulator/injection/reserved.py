"""Why a pod is refused for what has our names, or is the emulator's own: rows as in `rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.cel_text import texts
from emulator.injection.json_values import at, maps
from emulator.injection.recognition import OUR_CONTAINERS, OUR_VOLUMES
from emulator.injection.rule import Rule, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.injection.facts import Facts


def _mounts(facts: Facts) -> Iterator[str]:
    for container in facts.others:
        for mount in maps(container, "volumeMounts"):
            if mount.get("name") in OUR_VOLUMES:
                yield f"containers[{container['name']}].volumeMounts[{mount['name']}]"


def _users(facts: Facts) -> Iterator[str]:
    pods = at(facts.spec, "securityContext", "runAsUser")
    for container in facts.others:
        own = at(container, "securityContext", "runAsUser")
        if (pods if own is None else own) == names.EMULATOR_UID:
            yield container["name"]


REFUSALS = (
    Rule(
        "not-as-injected",
        "variables.fault",
        lambda facts: facts.fault,
        f"$found differs from what imds-emulator injects, and the names {', '.join((*OUR_CONTAINERS, *OUR_VOLUMES))}"
        " are reserved: rename yours, or remove all containers and volumes with these names to have the pod injected"
        " again",
    ),
    Rule(
        "volume-mounted",
        f"variables.others.map(c, c.?volumeMounts.orValue([]).filter(m, m.name in {texts(OUR_VOLUMES)})"
        ".map(m, 'containers[' + c.name + '].volumeMounts[' + m.name + ']').join(', ')).filter(m, m != '').join(', ')",
        lambda facts: listed(_mounts(facts)),
        "$found: Forbidden: only the emulator's containers may mount this volume: remove the mount",
    ),
    Rule(
        "user-taken",
        "variables.others.filter(c, c.?securityContext.?runAsUser.orValue("
        f"object.spec.?securityContext.?runAsUser.orValue(-1)) == {names.EMULATOR_UID})"
        ".map(c, string(c.name)).join(', ')",
        lambda facts: listed(_users(facts)),
        f"container $found runs as user {names.EMULATOR_UID}, which is reserved for the emulator: set"
        " securityContext.runAsUser of the container or the pod to another user",
    ),
)

# For the policy that looks at pods as they are stored. At a webhook pods are not injected yet, or can still be mended.
GUARDS = (
    Rule(
        "not-injected",
        "variables.protected ? '' : 'nothing'",
        lambda facts: "" if facts.protected else "nothing",
        "the pod was not injected and would get the node's role: check that the imds-emulator webhook or mutating"
        f" policy is installed and covers this namespace, or remove the label {names.LABEL_ENABLED}",
    ),
    Rule(
        "annotation-unfollowed",
        "variables.unfollowed.join(', ')",
        lambda facts: listed(facts.unfollowed),
        f"container {names.EMULATOR_CONTAINER}, env[$found] no longer matches the pod's annotations: another webhook or"
        " policy changed one of the two after the injection; rename it so that it runs before imds-emulator's (they run"
        " in order of their names)",
    ),
    Rule(
        "container-ahead",
        "variables.ahead.join(', ')",
        lambda facts: listed(facts.ahead),
        f"init container $found comes before {names.EMULATOR_CONTAINER} and {names.REDIRECT_CONTAINER}, and would run"
        " with the node's role: add it after them, or list it in the installation's mesh.containers",
    ),
)
