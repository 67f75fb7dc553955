"""Injection and rules as CEL, for admission policies: prints the steps of `injection` and the rows of `rules`.

These are the fields of a MutatingAdmissionPolicy (API server 1.34 and later) and of two ValidatingAdmissionPolicies
(1.30 and later), all over `object`, `namespaceObject` and the variable `parameters`, which the manifests add:

    mutation         mutation(), mutation_variables()       pods labelled "True"
    guard (Deny)     validations(), validation_variables()  pods labelled "True", also by an update
    advice (Warn)    warnings(), warning_variables()        pods with the label, of any value; beside a webhook, which
                     warns itself: label_warnings(), label_warning_variables()

each for `CREATE` of pods, with match_conditions(), the guard with guard_match_conditions(). Entries of lists are dicts
with the API's field names.
"""

from __future__ import annotations

import re
from string import Template
from textwrap import indent
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.arn import SHOWN_LIMIT
from emulator.injection import rules
from emulator.injection.advice import WARNINGS
from emulator.injection.cel_text import PARAMETERS, param, text, texts
from emulator.injection.facts import QUESTIONS
from emulator.injection.leaves import (
    Add,
    AddNames,
    AddVariables,
    Ensure,
    EnsureVariables,
    Fact,
    FactText,
    Joined,
    MoveFirst,
    Number,
    Param,
    Part,
    ReplaceVariables,
    When,
)
from emulator.injection.pod import MIRROR_ANNOTATION
from emulator.injection.recognition import OUR_CONTAINERS
from emulator.injection.steps import PARTS, STEPS

if TYPE_CHECKING:
    from emulator.injection.rule import Rule

Entry = dict[str, str]

_TAB = "  "


def match_conditions() -> list[Entry]:
    """Return the conditions of all policies: mirror pods can't be changed."""
    mirror = f"!({text(MIRROR_ANNOTATION)} in object.metadata.?annotations.orValue({{}}))"
    return [{"name": "not-a-mirror-pod", "expression": mirror}]


def guard_match_conditions() -> list[Entry]:
    """Return the conditions of the guard: of updates only those that add the label."""
    new = (
        "request.operation != 'UPDATE'"
        f" || oldObject.metadata.?labels[?{text(names.LABEL_ENABLED)}].orValue('') != {text(names.LABEL_ENABLED_VALUE)}"
    )
    return [*match_conditions(), {"name": "newly-labelled", "expression": new}]


def mutation() -> str:
    """Return the one expression of the mutation: a list of JSONPatch, empty for a pod that is injected already."""
    return " +\n".join(_STEP[type(step)](step) for step in STEPS)


def mutation_variables() -> list[Entry]:
    """Return the variables that `mutation` needs."""
    return _needed(mutation())


def mutation_parameters() -> list[str]:
    """Return the parameters that `mutation` and its variables read."""
    return _parameters(mutation(), *_texts(mutation_variables()))


def validations() -> list[Entry]:
    """Return the refusals in order, and last what is wrong with a labelled pod that has come so far."""
    return [_validation(rule, _fine(rule)) for rule in (*rules.REFUSALS, *rules.GUARDS)]


def validation_variables() -> list[Entry]:
    """Return the variables that `validations` needs."""
    return _needed(*_texts(validations()))


def validation_parameters() -> list[str]:
    """Return the parameters that `validations` and its variables read."""
    return _parameters(*_texts(validations()), *_texts(validation_variables()))


def label_warnings() -> list[Entry]:
    """Return that another value of the label leaves the pod alone, which no webhook for labelled pods can tell."""
    return [_validation(rules.LABEL_VALUE, _fine(rules.LABEL_VALUE))]


def label_warning_variables() -> list[Entry]:
    """Return the variables that `label_warnings` needs."""
    return _needed(*_texts(label_warnings()))


def warnings() -> list[Entry]:
    """Return all that is odd but allowed; of pods whose label has another value, only that."""
    enabled = f"variables.label != {text(names.LABEL_ENABLED_VALUE)} || "
    return label_warnings() + [_validation(rule, enabled + _fine(rule)) for rule in WARNINGS]


def warning_variables() -> list[Entry]:
    """Return the variables that `warnings` needs."""
    return _needed(*_texts(warnings()))


def warning_parameters() -> list[str]:
    """Return the parameters that `warnings` and its variables read."""
    return _parameters(*_texts(warnings()), *_texts(warning_variables()))


# Rules

_RULES = {f"found_{rule.name}".replace("-", "_"): rule for rule in rules.ALL}
_FOUND = {rule.name: f"variables.{variable}" for variable, rule in _RULES.items()}


def _fine(rule: Rule) -> str:
    return f"{_FOUND[rule.name]} == ''"


def _validation(rule: Rule, expression: str) -> Entry:
    return {"expression": expression, "messageExpression": _message(rule), "reason": "Forbidden"}


def _message(rule: Rule) -> str:
    """Return the rule's message as an expression; `judgement.line` does the same in Python."""
    values = {"found": _FOUND[rule.name]}
    parts = []
    at = 0
    for match in Template.pattern.finditer(rule.message):
        parts.append(text(rule.message[at : match.start()]))
        name = match["named"]
        parts.append(_shown(values.get(name) or (f"variables.{name}" if name in QUESTIONS else param(name))))
        at = match.end()
    parts.append(text(rule.message[at:]))
    return " + ".join(part for part in parts if part != "''")


def _shown(value: str) -> str:
    """Return what quotes a value and cuts it, as `judgement.shown` does."""
    return f"strings.quote(size({value}) > {SHOWN_LIMIT} ? {value}.substring(0, {SHOWN_LIMIT}) + '...' : {value})"


def _texts(entries: list[Entry]) -> list[str]:
    return [part for entry in entries for part in entry.values()]


def _needed(*expressions: str) -> list[Entry]:
    """Return the variables that expressions name, and those that these name, in an order that the API accepts."""
    available = QUESTIONS | {variable: rule.cel for variable, rule in _RULES.items()}
    available |= {name: value(part) for name, part in PARTS.items()}
    wanted: set[str] = set()
    found = _named(*expressions)
    while found:
        wanted |= found
        found = _named(*(available[name] for name in found)) - wanted
    return [{"name": name, "expression": cel} for name, cel in available.items() if name in wanted]


def _parameters(*expressions: str) -> list[str]:
    return sorted(set(re.findall(rf"variables\.{PARAMETERS}\.(\w+)", " ".join(expressions))))


def _named(*expressions: str) -> set[str]:
    return set(re.findall(r"variables\.(\w+)", " ".join(expressions))) - {PARAMETERS}


# The mutation. The value of every key has type dyn, so that maps, and lists of maps, are of one type.


def value(node: Any) -> str:  # noqa: ANN401, PLR0911 - a tree of nodes; a return for each kind
    """Return the CEL that a tree of nodes stands for."""
    match node:
        case dict():
            return _block("{", [_entry(key, item) for key, item in node.items()], "}")
        case list():
            return _block("[", [_item(item) for item in node], "]")
        case bool():
            return str(node).lower()
        case int():
            return str(node)
        case str():
            return text(node)
        case Param(key=key):
            return param(key)
        case Number(key=key, plus=plus):
            return f"int({param(key)})" + (f" + {plus}" if plus else "")
        case Joined(prefix=prefix, key=key):
            return f"{text(prefix)} + {param(key)}"
        case Fact(name=name) | Part(name=name):
            return f"variables.{name}"
    raise TypeError(f"{node!r} has no form in CEL")


def _entry(key: str, node: Any) -> str:  # noqa: ANN401 - a tree of nodes
    if isinstance(node, When):
        return f"?{text(key)}: {_optional(node, f'dyn({value(node.then)})')}"
    return f"{text(key)}: dyn({value(node)})"


def _item(node: Any) -> str:  # noqa: ANN401 - a tree of nodes
    return f"?({_optional(node, value(node.then))})" if isinstance(node, When) else value(node)


def _optional(node: When, then: str) -> str:
    condition = (
        f"{value(node.condition)} != ''" if isinstance(node.condition, Param | FactText) else value(node.condition)
    )
    return f"{condition} ? optional.of({then}) : optional.none()"


def _block(opening: str, items: list[str], closing: str) -> str:
    """Return a map or a list, on one line if it is simple."""
    line = ", ".join(items)
    if "\n" not in line and len(line) < 80:  # noqa: PLR2004 - the look alone depends on it
        return opening + line + closing
    return opening + "\n" + indent(",\n".join(items), _TAB) + "\n" + closing


def _patch(path: str, json: str) -> str:
    return f"JSONPatch{{op: 'add', path: {path}, value: {json}}}"


def _if(when: tuple[str, ...], patches: str) -> str:
    return f"({' && '.join(f'variables.{name}' for name in when)} ? {patches} : [])"


def _ensure(step: Ensure) -> str:
    absent = f"!has(object{step.path.replace('/', '.')})"
    condition = " && ".join([*(f"variables.{name}" for name in step.when), absent])
    return f"({condition} ? [{_patch(text(step.path), '[]')}] : [])"


def _one(step: Add) -> str:
    return _if(step.when, f"[{_patch(text(step.path), value(step.value))}]")


def _names(step: AddNames) -> str:
    patch = _patch(text(step.path), "{'name': n}")
    return _if(step.when, f"variables.{step.fact}.map(n, {patch})")


def _ensure_variables(step: EnsureVariables) -> str:
    wanted = " || ".join(f"({_is_wanted(added)})" for added in step.steps)
    return _for_each_container(f"!has(c.env) && ({wanted})", "/env", "[]")


def _variables(step: AddVariables) -> str:
    entries = [value({"name": name, "value": node}) for name, node in step.variables.items()]
    return " +\n".join(_for_each_container(_is_wanted(step), "/env/-", entry) for entry in entries)


def _for_each_container(condition: str, path: str, json: str) -> str:
    """Return a patch for each container c, of index i, under a condition (cel-go's two-variable macros)."""
    return " +\n".join(
        f"variables.{containers}.transformList(i, c, {condition},\n{_TAB}"
        + _patch(f"'/spec/{field}/' + string(i) + {text(path)}", json)
        + ")"
        for field, containers in (("initContainers", "init_containers"), ("containers", "main_containers"))
    )


def _replace_variables(step: ReplaceVariables) -> str:
    asked = f"variables.{step.values}[e.name]"
    variable = f"{{'name': dyn(e.name), 'value': dyn({asked})}}"
    patch = f"JSONPatch{{op: 'replace', path: variables.emulator_path + '/env/' + string(i), value: {variable}}}"
    return _if(step.when, f"variables.emulator_env.transformList(i, e, e.name in variables.unfollowed,\n{_TAB}{patch})")


def _move_first(step: MoveFirst) -> str:
    """Return the moves of redirect and emulator; the first may have pushed the second one place down."""

    def move(place: str) -> str:
        source = f"'/spec/initContainers/' + string({place})"
        return f"[JSONPatch{{op: 'move', from: {source}, path: '/spec/initContainers/0'}}]"

    pushed = "variables.emulator_at + (variables.redirect_at > variables.emulator_at ? 1 : 0)"
    return _if(step.when, f"(variables.redirect_at < 0 ? [] : {move('variables.redirect_at')}) +\n{_TAB}{move(pushed)}")


def _is_wanted(step: AddVariables) -> str:
    conditions = [f"variables.{name}" for name in step.when]
    conditions.append(f"!(c.name in {texts(OUR_CONTAINERS)})")
    conditions.append(f"!c.?env.orValue([]).exists(e, e.name in {texts(list(step.variables))})")
    return " && ".join(conditions)


_STEP: dict[type, Any] = {
    Ensure: _ensure,
    Add: _one,
    AddNames: _names,
    EnsureVariables: _ensure_variables,
    AddVariables: _variables,
    ReplaceVariables: _replace_variables,
    MoveFirst: _move_first,
}
