"""A pod that comes injected already: what may differ in it, and that all else is refused by name."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from emulator import names
from emulator.injection import judgement, patch
from emulator.injection.facts import FOLLOWING, Facts
from emulator.injection.recognition import OUR_CONTAINERS, OUR_VOLUMES
from tests.support.pod_files import pure
from tests.support.pod_files.cases import PARAMETERS, cases

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]
Path = tuple[str | int, ...]

CASES = {case.name: case for case in cases()}
IMPOSTORS = sorted(name for name in CASES if name.startswith("impostor-"))
FORMS = ("plain", "classic", "env")

# Fields of our containers that others may change, or an installation may have set otherwise.
FREE = {
    *("image", "imagePullPolicy", "resources", "lifecycle", "terminationMessagePolicy"),
    *("startupProbe", "readinessProbe", "livenessProbe"),
}
FREE_OF_SECURITY = {"runAsGroup", "runAsNonRoot", "readOnlyRootFilesystem", "seccompProfile"}
FREE_OF_VOLUMES = {"readOnly", "expirationSeconds", "defaultMode"}
SERVED = {names.ENV_OWN_ROLE_ARN, *(each.variable for each in FOLLOWING)}
CHECKED_VALUES = {names.ENV_OWN_TOKEN_FILE, names.ENV_PORT}


@pytest.mark.claim("S31")
@pytest.mark.parametrize("name", IMPOSTORS)
def test_impostors(name: str) -> None:
    """Each is refused, and the message begins with the field at fault."""
    refusal = pure.outcome(CASES[name]).refusal

    assert refusal.startswith('"spec.')
    assert '" differs from what imds-emulator injects' in refusal


@pytest.mark.claim("S31")
@pytest.mark.parametrize("form", FORMS)
def test_every_field(form: str) -> None:
    """Each text, number and truth of what is injected, changed alone, is refused, unless it may differ."""
    pod = pure.outcome(CASES[form]).pod
    assert pod is not None
    parameters = CASES[form].parameters
    passed = []
    for path in leaves(pod["spec"]):
        changed = copy.deepcopy(pod)
        parent = found(changed["spec"], path[:-1])
        parent[path[-1]] = other(parent[path[-1]])
        facts = Facts(changed, parameters)
        if (
            is_ours(pod["spec"], path)
            and not may_differ(pod["spec"], path)
            and not (form == "env" and is_free_in_env(pod["spec"], path))
        ):
            passed += [] if judgement.refusal(facts) else [path]

    assert passed == []


@pytest.mark.claim("S20")
@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "token-mounted": '"containers[app].volumeMounts[imds-emulator-token]": Forbidden: only the emulator',
        "user-taken": 'container "app" runs as user 16925',
        "user-taken-by-pod": 'container "app" runs as user 16925',
    }.items(),
)
def test_token_and_user_are_the_emulators(name: str, expected: str) -> None:
    """A pod is refused whose other containers mount the emulator's volume, or run as its user."""
    assert expected in pure.outcome(CASES[name]).refusal


@pytest.mark.parametrize("form", FORMS)
def test_served_words_are_followed(form: str) -> None:
    """What the annotation says is put back where a pod comes with another value, and nothing else is changed."""
    pod = pure.outcome(CASES[form]).pod
    assert pod is not None
    changed = copy.deepcopy(pod)
    emulator = next(c for c in containers(changed) if c["name"] == names.EMULATOR_CONTAINER)
    next(e for e in emulator["env"] if e["name"] == names.ENV_OWN_ROLE_ARN)["value"] = "other"
    facts = Facts(changed, CASES[form].parameters)

    assert [names.ENV_OWN_ROLE_ARN] == facts.unfollowed
    patch.apply(changed, patch.operations(facts))
    assert pod == changed


def test_debug_copy() -> None:
    """The copy that `kubectl debug --copy-to` makes loses its annotations, and the emulator needs none."""
    for form in FORMS:
        pod = pure.outcome(CASES[form]).pod
        assert pod is not None
        assert "metadata.annotations" not in str([c for c in containers(pod) if c["name"] in OUR_CONTAINERS])


def test_another_identity_webhook() -> None:
    """Variables that another webhook adds once to our containers are let pass; one of ours is not."""
    pod = pure.outcome(CASES["plain"]).pod
    assert pod is not None
    for name, expected in {
        "AWS_ROLE_ARN": True,
        "HTTPS_PROXY": True,
        "IMDS_EMULATOR_X": False,
        "POD_NAME": False,
    }.items():
        changed = copy.deepcopy(pod)
        changed["spec"]["initContainers"][0]["env"].append({"name": name, "value": "x"})
        assert expected is (judgement.refusal(Facts(changed, PARAMETERS)) == ""), name


def containers(pod: Object) -> list[Object]:
    """Return all containers."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def leaves(node: Any, path: Path = ()) -> Iterator[Path]:  # noqa: ANN401 - any JSON
    """Yield the path of each text, number and truth."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if children is None:
        yield path
        return
    for key, value in children:
        yield from leaves(value, (*path, key))


def found(node: Any, path: Path) -> Any:  # noqa: ANN401 - any JSON
    """Return what is at a path."""
    for key in path:
        node = node[key]
    return node


def other(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return another value of the kind."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"x{value}"


def is_ours(spec: Object, path: Path) -> bool:
    """Tell whether a leaf is in one of our containers or volumes, and not the name that makes it ours."""
    item = found(spec, path[:2])
    return isinstance(item, dict) and item.get("name") in (*OUR_CONTAINERS, *OUR_VOLUMES) and path[2:] != ("name",)


def is_free_in_env(spec: Object, path: Path) -> bool:
    """Tell whether a leaf is the port, which stands once without a redirect, or the user, a cluster's to give."""
    return path[-1] == "runAsUser" or ("env" in path and found(spec, path[:4])["name"] == names.ENV_PORT)


def may_differ(spec: Object, path: Path) -> bool:
    """Tell whether a leaf of ours may have another value."""
    field = path[2]
    if field == "env":
        entry = found(spec, path[:4])
        is_value = path[4] in ("value", "valueFrom")
        return bool(is_value and entry["name"] not in CHECKED_VALUES) or (
            # Optional ones may be another's.
            path[4] == "name" and entry["name"] not in {*SERVED, *CHECKED_VALUES}
        )
    if field == "volumeMounts":
        return path[-1] in FREE_OF_VOLUMES or found(spec, path[:4])["name"] == names.EMPTY_VOLUME
    return (
        field in FREE
        or (field == "securityContext" and path[3] in FREE_OF_SECURITY)
        or (path[0] == "volumes" and path[-1] in FREE_OF_VOLUMES)
    )
