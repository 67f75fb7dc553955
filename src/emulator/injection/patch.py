"""The injection as a JSON patch: reads the steps of `injection` for one pod.

The operations (RFC 6902) are `add` and, on a pod that is already injected, `replace` of the emulator's variables and
`move` of the injected containers. The rest of the pod stays as it came.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from emulator.injection.facts import env_names
from emulator.injection.leaves import (
    Add,
    AddNames,
    AddVariables,
    Ensure,
    EnsureVariables,
    Fact,
    Joined,
    MoveFirst,
    Number,
    Param,
    Part,
    ReplaceVariables,
    When,
)
from emulator.injection.recognition import OUR_CONTAINERS
from emulator.injection.steps import PARTS, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from emulator.injection.facts import Facts

Operation = dict[str, Any]
Step = Add | AddNames | AddVariables | Ensure | EnsureVariables | MoveFirst | ReplaceVariables


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
    """Carry out `add`, `replace` and `move` on a pod in place, as an API server does (RFC 6902 section 4)."""
    for operation in patch:
        json = operation.get("value")
        if operation["op"] == "move":
            target, last = _find(pod, operation["from"])
            json = target.pop(int(last) if isinstance(target, list) else last)
        target, last = _find(pod, operation["path"])
        if not isinstance(target, list):
            target[last] = json
        elif operation["op"] == "replace":
            target[int(last)] = json
        elif last == "-":
            target.append(json)
        else:
            target.insert(int(last), json)


def _find(pod: dict[str, Any], pointer: str) -> tuple[Any, str]:
    """Return the map or list that a pointer's last token is a key or an index of, and that token."""
    *parents, last = parts(pointer)
    target: Any = pod
    for part in parents:
        target = target[int(part) if isinstance(target, list) else part]
    return target, last


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
    for name in when:  # noqa: SIM110 - half the time of all(), and asked for each step
        if not getattr(facts, name):
            return False
    return True


def _add(path: str, json: Any) -> Operation:  # noqa: ANN401 - any JSON
    return {"op": "add", "path": path, "value": json}


def _texts(step: Step, facts: Facts) -> Iterator[str]:
    if isinstance(step, Add) and isinstance(step.value, Part):
        if _holds(step.when, facts):
            yield f'{{"op":"add","path":{_json(step.path)},"value":{_part(step.value.name, facts)}}}'
    else:
        yield from map(_json, _STEP[type(step)](step, facts))


def _part(name: str, facts: Facts) -> str:
    """Return a part as JSON, all but the pod's own words made once for an installation and each form of the part."""
    key = (name, *(bool(getattr(facts, asked)) for asked in _CONDITIONS[name]))
    made = _made.get(key)
    if made is None or made[0] is not facts.parameters:
        pieces = _WORD.split(_json(value(_WITH_WORDS[name], facts)))
        made = _made[key] = (facts.parameters, pieces)
    pieces = made[1]
    if len(pieces) == 1:
        return pieces[0]
    # Every other piece is the name of a fact.
    return "".join(_json(getattr(facts, piece)) if at % 2 else piece for at, piece in enumerate(pieces))


def _conditions_in(node: Any) -> set[str]:  # noqa: ANN401 - a tree of nodes
    """Return the facts that decide what a tree has in it."""
    match node:
        case dict():
            return set().union(*map(_conditions_in, node.values()))
        case list():
            return set().union(*map(_conditions_in, node))
        case When(condition=condition, then=then):
            return ({condition.name} if isinstance(condition, Fact) else set()) | _conditions_in(then)
        case _:
            return set()


def _with_words(node: Any) -> Any:  # noqa: ANN401 - a tree of nodes
    """Return the tree with a mark for each fact that is a value of it."""
    match node:
        case dict():
            return {key: _with_words(item) for key, item in node.items()}
        case list():
            return [_with_words(item) for item in node]
        case When(condition=condition, then=then):
            return When(condition, _with_words(then))
        case Fact(name=name):
            return f"\0{name}\0"
        case _:
            return node


_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_CONDITIONS = {name: sorted(_conditions_in(part)) for name, part in PARTS.items()}
_WITH_WORDS = {name: _with_words(part) for name, part in PARTS.items()}
_WORD = re.compile(r'"\\u0000(\w+)\\u0000"')  # the mark as JSON
_made: dict[tuple[Any, ...], tuple[Mapping[str, str], list[str]]] = {}


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


def _replace_variables(step: ReplaceVariables, facts: Facts) -> Iterator[Operation]:
    if _holds(step.when, facts):
        asked = getattr(facts, step.values)
        for index, entry in enumerate(facts.our_emulator["env"]):
            if entry["name"] in facts.unfollowed:
                variable = {"name": entry["name"], "value": asked[entry["name"]]}
                yield {"op": "replace", "path": f"{facts.emulator_path}/env/{index}", "value": variable}


def _move_first(step: MoveFirst, facts: Facts) -> Iterator[Operation]:
    if _holds(step.when, facts):
        order = list(facts.init_names)
        for name in OUR_CONTAINERS:
            if name in order:
                index = order.index(name)
                order.insert(0, order.pop(index))
                yield {"op": "move", "from": f"/spec/initContainers/{index}", "path": "/spec/initContainers/0"}


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
    ReplaceVariables: _replace_variables,
    MoveFirst: _move_first,
}
