"""The patch: all that is not ours stays as it came."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import names
from emulator.injection import patch
from emulator.injection.facts import Facts
from emulator.injection.recognition import OUR_CONTAINERS, OUR_VOLUMES
from tests.support.pod_files.cases import PARAMETERS, Case, cases

Object = dict[str, Any]

# The emulator's variables whose values are the pod's own.
FOLLOWING = {
    names.ENV_OWN_ROLE_ARN,
    names.ENV_OWN_REGION,
    names.ENV_IMDS_VERSION,
    names.ENV_OWN_SESSION_NAME,
    names.ENV_SESSION_POLICIES,
}

WORDS = st.text("abcxyz-", min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FOREIGN = st.dictionaries(WORDS.map("x-{}".format), JSON, max_size=2)


def lists_of(items: st.SearchStrategy[Object]) -> st.SearchStrategy[Any]:
    """Return lists as pods hold them: filled, empty, or null."""
    return st.none() | st.lists(items, max_size=3)


def objects(required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]) -> Any:  # noqa: ANN401
    """Return objects of known fields, and of some that nobody knows."""
    known = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda fields, foreign: {**foreign, **fields}, known, FOREIGN)


VARIABLES = objects({"name": st.sampled_from(["A", names.ENV_REGION])}, {"value": st.text()}) | st.just(
    {"name": names.ENV_SERVICE_ENDPOINT, "value": "http://127.0.0.1:16925"}
)
CONTAINERS = objects({"name": WORDS}, {"env": lists_of(VARIABLES), "image": st.text()})
SPECS = objects(
    {"containers": st.lists(CONTAINERS, min_size=1, max_size=3)},
    {
        "initContainers": lists_of(CONTAINERS),
        "volumes": lists_of(objects({"name": WORDS}, {})),
        "imagePullSecrets": lists_of(objects({"name": WORDS}, {})),
        "securityContext": JSON.filter(lambda value: isinstance(value, dict)),
    },
)
METADATA = objects({"annotations": st.dictionaries(WORDS, st.text(), max_size=2)}, {"labels": FOREIGN})
PODS = objects({"metadata": METADATA, "spec": SPECS}, {})
CHOICES = {
    "sidecarMode": ["native", "classic"],
    "redirectMode": ["iptables", "env"],
    "appRegion": ["true", "false"],
    "region": ["eu-west-1"],
    "imagePullSecrets": ["", "reg", "reg,two"],
}
INSTALLATIONS = st.fixed_dictionaries({key: st.sampled_from(values) for key, values in CHOICES.items()})


def without_ours(pod: Object) -> Object:
    """Return the pod without all that an injection may add; lists that it may make come last, and never are null."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    for added in ("kubectl.kubernetes.io/default-container", names.ANNOTATION_REDIRECT):
        pod["metadata"]["annotations"].pop(added, None)
    lists = {
        field: spec.pop(field, None) or [] for field in ("initContainers", "containers", "volumes", "imagePullSecrets")
    }
    for field in ("initContainers", "containers"):
        lists[field] = [c for c in lists[field] if c["name"] not in OUR_CONTAINERS]
        for container in lists[field]:
            container["env"] = [e for e in container.pop("env", None) or [] if not is_added(e)]
    lists["volumes"] = [v for v in lists["volumes"] if v["name"] not in OUR_VOLUMES]
    lists["imagePullSecrets"] = [s for s in lists["imagePullSecrets"] if s["name"] not in ("reg", "two")]
    return {**pod, "spec": {**spec, **lists}}


def is_added(variable: Object) -> bool:
    """Tell a variable that we add from the app's own; the generated ones have neither value."""
    return variable in (
        {"name": names.ENV_SERVICE_ENDPOINT, "value": "http://127.0.0.1:16925"},
        {"name": names.ENV_REGION, "value": "eu-west-1"},
        {"name": names.ENV_DEFAULT_REGION, "value": "eu-west-1"},
    )


@settings(max_examples=100, deadline=None)
@given(PODS, INSTALLATIONS)
def test_what_is_not_ours_is_kept(pod: Object, installation: dict[str, str]) -> None:
    """Byte for byte, and in its order: fields, lists and values that we know and that we don't."""
    facts = Facts(pod, {**PARAMETERS, **installation})
    injected = copy.deepcopy(pod)
    patch.apply(injected, patch.operations(facts))

    assert json.dumps(without_ours(pod)) == json.dumps(without_ours(injected))
    assert Facts(injected, {**PARAMETERS, **installation}).protected


@settings(max_examples=50, deadline=None)
@given(PODS, INSTALLATIONS)
def test_operations_only_add(pod: Object, installation: dict[str, str]) -> None:
    """No operation replaces or removes what a new pod has; `add` at a key creates it, or takes the place of null."""
    operations = patch.operations(Facts(pod, {**PARAMETERS, **installation}))
    grown = copy.deepcopy(pod)
    for operation in operations:
        assert operation["op"] == "add"
        *parents, last = operation["path"].replace("~1", "\0").split("/")[1:]
        target: Any = grown
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        assert isinstance(target, list) or target.get(last.replace("\0", "/")) is None
        patch.apply(grown, [operation])


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_encoded(case: Case) -> None:
    """The webhook's text says what the operations are, also right after the parameters have changed."""
    for parameters in (case.parameters, {**case.parameters, "port": "17001", "emulatorImage": "x"}, case.parameters):
        for native in (True, False):
            facts = Facts(case.pod, parameters, native_sidecars=native)
            assert patch.operations(facts) == json.loads(patch.encoded(facts) or "[]")


@settings(max_examples=50, deadline=None)
@given(PODS, PODS, st.sampled_from(["native", "classic"]), st.sampled_from(["iptables", "env"]))
@pytest.mark.claim("S32")
def test_containers_and_volumes_are_constant(one: Object, other: Object, mode: str, redirect: str) -> None:
    """Our containers and volumes are the same for every pod of an installation, but for the values of variables."""
    parameters = {**PARAMETERS, "sidecarMode": mode, "redirectMode": redirect}

    def added(pod: Object, *, second: bool) -> list[Any]:
        pod["metadata"]["annotations"] |= {
            names.ANNOTATION_ROLE_ARN: f"arn:aws{'-cn' * second}:iam::123456789012:role/app-{second}",
            names.ANNOTATION_REGION: "cn-north-1" if second else "eu-west-1",
            names.ANNOTATION_IMDS_VERSION: "v2" if second else "v1",
            names.ANNOTATION_APP_REGION: str(second).lower(),
        }
        values = [each["value"] for each in patch.operations(Facts(pod, parameters))]
        found = [
            each for each in values if isinstance(each, dict) and each.get("name") in (*OUR_CONTAINERS, *OUR_VOLUMES)
        ]
        for variable in (variable for each in found for variable in each.get("env", ())):
            if variable["name"] in FOLLOWING:
                assert isinstance(variable.pop("value"), str)
        return found

    made = added(one, second=False)
    assert len(made) > 1
    assert made == added(other, second=True)


def test_words_of_a_pod_are_values() -> None:
    """What a pod's owner writes is a value of the emulator's variables; the kubelet sees no variable in it."""
    pod = copy.deepcopy(next(case.pod for case in cases() if case.name == "dollars"))
    for annotation in pod["metadata"]["annotations"]:
        pod["metadata"]["annotations"][annotation] = '"$(HOME)$$\\\0role_arn_value\0'
    variables = {
        variable["name"]: variable.get("value")
        for operation in json.loads(patch.encoded(Facts(pod, PARAMETERS)))
        if isinstance(operation["value"], dict) and operation["value"].get("name") == names.EMULATOR_CONTAINER
        for variable in operation["value"]["env"]
    }

    written = '"$$(HOME)$$$$\\\0role_arn_value\0'
    assert [written, written] == [variables[names.ENV_OWN_ROLE_ARN], variables[names.ENV_SESSION_POLICIES]]
