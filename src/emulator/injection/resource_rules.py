"""Why a pod's numbers for the injected containers are refused: a row for each reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.cel_text import annotation, text
from emulator.injection.precedence import KEYS
from emulator.injection.quantities import exceeds, exceeds_cel, is_number, is_number_cel
from emulator.injection.resources import RESOURCES, fact_name
from emulator.injection.rule import Rule, path

if TYPE_CHECKING:
    from emulator.injection.facts import Facts

CONTAINERS = {"emulator": names.EMULATOR_CONTAINER, "redirect": names.REDIRECT_CONTAINER}
EXAMPLES = {"cpu": "100m or 0.1", "memory": "64Mi"}
# What the emulator has resident while it renews credentials is 26 MB.
LEAST_MEMORY = "32Mi"
_GIVEN = " != ''"
_MEMORY_KEYS = [key for (resource, _), key in KEYS.items() if resource == "memory"]


def _malformed(resource: str, kind: str) -> Rule:
    key = KEYS[resource, kind]
    given = annotation(key)

    def find(facts: Facts) -> str:
        value = facts.annotations.get(key) or ""
        return "" if value == "" or is_number(value) else value

    return Rule(
        f"{resource}-{kind}",
        f"{given} == '' || {is_number_cel(given)} ? '' : {given}",
        find,
        f"{path(key)}: Invalid value: $found: must be a quantity greater than 0, such as {EXAMPLES[resource]}",
    )


def _above_limit(container: str, resource: str) -> Rule:
    request, limit = (fact_name(container, resource, kind) for kind in ("request", "limit"))
    asked, most = f"variables.{request}", f"variables.{limit}"

    def find(facts: Facts) -> str:
        asked: str = getattr(facts, request)
        return asked if exceeds(asked, getattr(facts, limit)) else ""

    return Rule(
        f"{container}-{resource}-above-limit",
        f"{exceeds_cel(asked, most)} ? {asked} : ''",
        find,
        f"the {resource} request of {CONTAINERS[container]}, $found, must be at most its limit, ${limit}: raise"
        f" {path(KEYS[resource, 'limit'])}, or lower {path(KEYS[resource, 'request'])}",
    )


def _little_memory(facts: Facts) -> str:
    is_own = any(facts.annotations.get(key) for key in _MEMORY_KEYS)
    return facts.emulator_memory_limit if is_own and exceeds(LEAST_MEMORY, facts.emulator_memory_limit) else ""


RESOURCE_REFUSALS = (
    *(_malformed(resource, kind) for resource, kind in KEYS),
    *(_above_limit(container, resource) for container in CONTAINERS for resource in RESOURCES),
    Rule(
        "memory-limit-small",
        f"({' || '.join(annotation(key) + _GIVEN for key in _MEMORY_KEYS)})"
        " && isQuantity(variables.emulator_memory_limit)"
        f" && quantity(variables.emulator_memory_limit).isLessThan(quantity({text(LEAST_MEMORY)}))"
        " ? variables.emulator_memory_limit : ''",
        _little_memory,
        f"the memory limit of {names.EMULATOR_CONTAINER}, $found, must be at least {LEAST_MEMORY}, which it needs to"
        f" renew credentials: raise {path(names.ANNOTATION_MEMORY_LIMIT)}",
    ),
)
