"""What the injected containers request, and their limits: the pod's annotations, else what suits the pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.injection.cel_text import annotation, param
from emulator.injection.json_values import at
from emulator.injection.once import Once
from emulator.injection.pod import VARIABLES, Object, Pod, fact
from emulator.injection.precedence import CONTAINERS, KEYS, SETTINGS
from emulator.injection.quantities import exceeds, exceeds_cel, is_number, is_number_cel, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOURCES = ("cpu", "memory")
KINDS = ("request", "limit")


def fact_name(container: str, resource: str, kind: str) -> str:
    """Return the name of the fact that holds a number of a container, `emulator` or `redirect`."""
    return f"{container}_{resource}_{kind}"


_PAIRS = [
    "[" + ", ".join(f"variables.{fact_name(container, resource, kind)}" for kind in KINDS) + "]"
    for container in CONTAINERS
    for resource in RESOURCES
]


def _number(container: str, resource: str, kind: str) -> Once[str]:
    own = KEYS[resource, kind]
    # Of a Guaranteed pod: requests are equal to limits.
    either = [KEYS[resource, "limit"], KEYS[resource, "request"]]
    installed = [SETTINGS[fact_name(container, resource, each)].parameter for each in ("limit", "request")]
    default = SETTINGS[fact_name(container, resource, kind)].parameter

    def find(facts: ResourceFacts) -> str:
        if facts.has_installed_numbers:
            return facts.parameters[default]
        if given := facts.annotations.get(own):
            return given
        if facts.has_pod_resources:
            return ""
        if facts.guaranteed:
            given_here = (facts.annotations.get(key) or "" for key in either)
            return next(filter(None, (*given_here, *(facts.parameters[key] for key in installed))), "")
        return facts.parameters[default]

    cel = [annotation(key) for key in either] + [param(key) for key in installed]
    first = "[" + ", ".join(f"string({each})" for each in cel) + "].filter(q, q != '')"
    VARIABLES[fact_name(container, resource, kind)] = (
        f"{annotation(own)} != '' ? {annotation(own)} : variables.has_pod_resources ? ''"
        f" : variables.guaranteed ? ({first} + [''])[0] : {param(default)}"
    )
    return Once(find)


class ResourceFacts(Pod):
    """The questions that come before, and the numbers, '' for none."""

    parameters: Mapping[str, str]

    # What containers ask for must then fit into what the pod does; and the pod's requests are by default its limits,
    # unless a container has requests of its own (Kubernetes, Assign Pod-level CPU and memory resources).
    @fact("['requests', 'limits'].exists(k, object.spec.?resources[?k].orValue({}).size() > 0)")
    def has_pod_resources(self) -> bool:
        """Are there resources of the pod as a whole?"""
        return any(at(self.spec, "resources", kind) for kind in ("requests", "limits"))

    # Kubernetes, Pod Quality of Service Classes, "Guaranteed".
    @fact(
        "variables.others.size() > 0 && variables.others.all(c, ['cpu', 'memory'].all(r,"
        " quantity(string(c.?resources.?limits[?r].orValue('0'))).isGreaterThan(quantity('0'))"
        " && quantity(string(c.?resources.?requests[?r].orValue(c.resources.limits[r])))"
        ".compareTo(quantity(string(c.resources.limits[r]))) == 0))"
    )
    def guaranteed(self) -> bool:
        """Is the pod of this class by its own containers?"""
        return self.others != [] and all(_is_guaranteed(c, resource) for c in self.others for resource in RESOURCES)

    @Once
    def has_installed_numbers(self) -> bool:
        """Are the installation's numbers taken as they are?"""
        own = any(key in self.annotations for key in KEYS.values())
        return not (own or self.has_pod_resources or self.guaranteed)

    emulator_cpu_request = _number("emulator", "cpu", "request")
    emulator_cpu_limit = _number("emulator", "cpu", "limit")
    emulator_memory_request = _number("emulator", "memory", "request")
    emulator_memory_limit = _number("emulator", "memory", "limit")
    redirect_cpu_request = _number("redirect", "cpu", "request")
    redirect_cpu_limit = _number("redirect", "cpu", "limit")
    redirect_memory_request = _number("redirect", "memory", "request")
    redirect_memory_limit = _number("redirect", "memory", "limit")

    @fact(
        f"[{', '.join(map(annotation, KEYS.values()))}].all(q, q == '' || {is_number_cel('q')})"
        f" && [{', '.join(_PAIRS)}].all(p, !({exceeds_cel('p[0]', 'p[1]')}))"
    )
    def has_fitting_numbers(self) -> bool:
        """Are the annotations quantities, and no request above its limit?"""
        given = [self.annotations.get(key) or "" for key in KEYS.values()]
        asked = [[getattr(self, fact_name(c, r, kind)) for kind in KINDS] for c in CONTAINERS for r in RESOURCES]
        return all(is_number(each) for each in given if each) and not any(exceeds(*pair) for pair in asked)


def _is_guaranteed(container: Object, resource: str) -> bool:
    limit = at(container, "resources", "limits", resource)
    request = at(container, "resources", "requests", resource)
    most = quantity(str(limit))
    return bool(most) and (request is None or quantity(str(request)) == most)
