"""The rules: each is shown by a pod, and what they say fits into one line."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import names
from emulator.arn import parse_role_arn
from emulator.injection import judgement, rules
from emulator.injection.facts import Facts
from emulator.injection.globs import glob_matches
from emulator.names import ANNOTATION_ROLE_ARN
from tests.support.pod_files import pure
from tests.support.pod_files.cases import PARAMETERS, Case, cases

CASES = cases()
ARN_PIECES = [
    "arn",
    "aws",
    "aws-cn",
    ":",
    "::",
    "iam",
    "123456789012",
    "role",
    "/",
    "a",
    "é",
    "n" * 64,
    "p" * 510,
    " ",
    "\n",
]


def facts_of(case: Case) -> Facts:
    """Return the facts of a case's pod."""
    return Facts(case.pod, case.parameters, namespace_annotations=case.namespace_annotations)


def test_each_rule_has_a_pod() -> None:
    """Each reason to refuse or to warn is shown by a pod of tests/unit/pods."""
    shown = {rule.name for rule in rules.ALL for case in CASES if rule.find(facts_of(case))}
    assert {rule.name for rule in rules.ALL} == shown


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lines(case: Case) -> None:
    """A refusal or a warning is one line; a warning is short enough for kubectl to print it whole.

    Source: Kubernetes API reference, AdmissionResponse, warnings.
    """
    facts = facts_of(case)
    warnings = [*judgement.warnings(facts), *judgement.label_warning(facts)]

    assert not any("\n" in line for line in [judgement.refusal(facts), *warnings])
    assert [line for line in warnings if len(line) > 256] == []


@given(st.lists(st.sampled_from(ARN_PIECES)).map("".join) | st.text())
def test_role_arn_is_judged_as_the_sidecar_does(text: str) -> None:
    """What the rules let pass the sidecar can use, and what the sidecar could use is not refused."""
    facts = Facts({"metadata": {"annotations": {ANNOTATION_ROLE_ARN: text}}}, PARAMETERS)
    try:
        expected = parse_role_arn(text).partition
    except ValueError:
        expected = ""

    assert expected == facts.partition


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        ("*", "", True),
        ("*", "abc", True),
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("a*c", "abc", True),
        ("a*c", "ac", True),
        ("a*c", "acb", False),
        ("a*a", "a", False),
        ("*b*", "abc", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*bc*c", "abc", False),
        ("a.c", "abc", False),
        ("a?c", "abc", False),
        ("[a]", "a", False),
        ("", "a", False),
    ],
)
def test_glob(glob: str, text: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """A * stands for any run of characters, and nothing else is special."""
    assert expected is glob_matches(glob, text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", '"a"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ('a"\\', r'"a\"\\"'),
        ("x" * 100, '"' + "x" * 100 + '"'),
        ("x" * 101, '"' + "x" * 100 + '..."'),
    ],
)
def test_shown(value: str, expected: str) -> None:
    """A value is quoted, and cut where it is long."""
    assert expected == judgement.shown(value)


NOT_INJECTED = next(rule for rule in rules.GUARDS if rule.name == "not-injected")


@pytest.mark.parametrize("name", ["plain", "impostor-command", "env-late-container", "env-late-container-0-1-0"])
def test_guard(name: str) -> None:
    """The guard finds a pod that was not injected, only looks so, or has a container that others added since."""
    facts = next(facts_of(case) for case in CASES if case.name == name)

    assert "nothing" == NOT_INJECTED.find(facts)


@pytest.mark.parametrize("endpoints", [[], ["http://192.0.2.1"]])
def test_guard_of_env(endpoints: list[str]) -> None:
    """With the redirect `env` each container needs the emulator's endpoint and no other: the guard finds the rest."""
    case = next(case for case in CASES if case.name == "env")
    injected = pure.outcome(case).pod
    assert injected is not None
    assert "" == NOT_INJECTED.find(facts_of(dataclasses.replace(case, pod=injected)))
    app = next(each for each in injected["spec"]["containers"] if each["name"] == "app")
    others = [entry for entry in app["env"] if entry["name"] != names.ENV_SERVICE_ENDPOINT]
    app["env"] = [*others, *({"name": names.ENV_SERVICE_ENDPOINT, "value": value} for value in endpoints)]

    assert "nothing" == NOT_INJECTED.find(facts_of(dataclasses.replace(case, pod=injected)))


def test_guard_names_the_remedy() -> None:
    """No pod of tests/unit/pods is refused by the guard for a lack of injection: what it says is said here."""
    facts = next(facts_of(case) for case in CASES if case.name == "plain")
    expected = (
        "the pod was not injected and would get the node's role: check that the imds-emulator webhook or mutating"
        " policy is installed and covers this namespace, or remove the label"
        " gkemulticloud.googleapis.com/aws-imds-emulator-enabled"
    )

    assert expected == judgement.line(NOT_INJECTED, NOT_INJECTED.find(facts), facts)
