"""The injection as a JSON patch: reads the steps of `injection` for one pod.

Goes in: `Facts` of the pod. Comes out: operations of RFC 6902, `add` only; all else of the pod stays as it came.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emulator.injection.facts import env_names
from emulator.injection.nodes import (
    Add,
    AddNames,
    AddVariables,
    Ensure,
    EnsureVariables,
    Fact,
    Joined,
    Number,
    Param,
    Part,
    When,
)
from emulator.injection.recognition import OUR_CONTAINERS
from emulator.injection.steps import PARTS, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from emulator.injection.facts import Facts

Operation = dict[str, Any]
Step = Add | AddNames | AddVariables | Ensure | EnsureVariables


def operations(facts: Facts) -> list[Operation]:
    """Return the patch that injects the pod; empty when the pod is injected already."""
    return [operation for step in STEPS for operation in _STEP[type(step)](step, facts)]


def encoded(facts: Facts) -> str:
    """Return the same as JSON, '' when the pod is injected already; for the webhook, where most of the time is here."""
    texts = [text for step in STEPS for text in _texts(step, facts)]
    return f"[{','.join(texts)}]" if texts else ""


def parts(pointer: str) -> list[str]:
    """Return the reference tokens of a JSON pointer (RFC 6901 section 4)."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def apply(pod: dict[str, Any], patch: list[Operation]) -> None:
    """Carry out `add` operations on a pod in place, as an API server does (RFC 6902 section 4.1)."""
    for operation in patch:
        *parents, last = parts(operation["path"])
        target: Any = pod
        for part in parents:
            target = target[int(part) if isinstance(target, list) else part]
        if not isinstance(target, list):
            target[last] = operation["value"]
        elif last == "-":
            target.append(operation["value"])
        else:
            target.insert(int(last), operation["value"])


def value(node: Any, facts: Facts) -> Any:  # noqa: ANN401, PLR0911 - a tree of nodes; a return for each kind
    """Return the JSON that a tree of nodes stands for."""
    match node:
        case dict():
            return {key: value(item, facts) for key, item in node.items() if _is_there(item, facts)}
        case list():
            return [value(item, facts) for item in node if _is_there(item, facts)]
        case When(then=then):
            return value(then, facts)
        case Param(key=key):
            return facts.parameters[key]
        case Number(key=key, plus=plus):
            return int(facts.parameters[key]) + plus
        case Joined(prefix=prefix, key=key):
            return prefix + facts.parameters[key]
        case Part(name=name):
            return value(PARTS[name], facts)
        case Fact(name=name):
            return getattr(facts, name)
        case constant:
            return constant


def _is_there(node: Any, facts: Facts) -> bool:  # noqa: ANN401 - a tree of nodes
    return not isinstance(node, When) or bool(value(node.condition, facts))


def _holds(when: tuple[str, ...], facts: Facts) -> bool:
    return all(getattr(facts, name) for name in when)


def _add(path: str, json: Any) -> Operation:  # noqa: ANN401 - any JSON
    return {"op": "add", "path": path, "value": json}


def _texts(step: Step, facts: Facts) -> Iterator[str]:
    if isinstance(step, Add) and isinstance(step.value, Part):
        if _holds(step.when, facts):
            yield f'{{"op":"add","path":{_json(step.path)},"value":{_part(step.value.name, facts)}}}'
    else:
        yield from map(_json, _STEP[type(step)](step, facts))


def _part(name: str, facts: Facts) -> str:
    """Return a part as JSON, which is made once for an installation and those facts that the part asks for."""
    key = (name, *(getattr(facts, asked) for asked in _ASKED[name]))
    made = _made.get(key)
    if made is None or made[0] is not facts.parameters:
        made = _made[key] = (facts.parameters, _json(value(PARTS[name], facts)))
    return made[1]


def _facts_in(node: Any) -> set[str]:  # noqa: ANN401 - a tree of nodes
    match node:
        case dict():
            return set().union(*map(_facts_in, node.values()))
        case list():
            return set().union(*map(_facts_in, node))
        case When(condition=condition, then=then):
            return _facts_in(condition) | _facts_in(then)
        case Fact(name=name):
            return {name}
        case _:
            return set()


_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_ASKED = {name: sorted(_facts_in(part)) for name, part in PARTS.items()}
_made: dict[tuple[Any, ...], tuple[Mapping[str, str], str]] = {}


def _ensure(step: Ensure, facts: Facts) -> Iterator[Operation]:
    if _holds(step.when, facts) and facts.spec.get(step.path.rpartition("/")[2]) is None:
        yield _add(step.path, [])


def _one(step: Add, facts: Facts) -> Iterator[Operation]:
    if _holds(step.when, facts):
        yield _add(step.path, value(step.value, facts))


def _names(step: AddNames, facts: Facts) -> Iterator[Operation]:
    if _holds(step.when, facts):
        for name in getattr(facts, step.fact):
            yield _add(step.path, {"name": name})


def _ensure_variables(step: EnsureVariables, facts: Facts) -> Iterator[Operation]:
    for path, container in _containers(facts):
        if container.get("env") is None and any(_is_wanted(added, container, facts) for added in step.steps):
            yield _add(f"{path}/env", [])


def _variables(step: AddVariables, facts: Facts) -> Iterator[Operation]:
    for path, container in _containers(facts):
        if _is_wanted(step, container, facts):
            for name, node in step.variables.items():
                yield _add(f"{path}/env/-", {"name": name, "value": value(node, facts)})


def _containers(facts: Facts) -> Iterator[tuple[str, dict[str, Any]]]:
    for field, containers in (("initContainers", facts.init_containers), ("containers", facts.main_containers)):
        for index, container in enumerate(containers):
            yield f"/spec/{field}/{index}", container


def _is_wanted(step: AddVariables, container: dict[str, Any], facts: Facts) -> bool:
    ours = container.get("name") in OUR_CONTAINERS
    return not ours and _holds(step.when, facts) and not any(name in step.variables for name in env_names(container))


_STEP: dict[type, Any] = {
    Ensure: _ensure,
    Add: _one,
    AddNames: _names,
    EnsureVariables: _ensure_variables,
    AddVariables: _variables,
}
