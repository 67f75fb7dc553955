"""The policy `baseline` beside Pod Security's own level, on an API server: same pods refused, but ours admitted.

Of two namespaces one is held to `baseline` by Pod Security, the other by our policy; each pod is tried in both.
"""

from __future__ import annotations

import copy
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import names
from tests.support.chart.rendering import HelmError, objects, one, template
from tests.support.chart.server import PATIENCE_SECONDS, Server, furnished
from tests.support.clusters import apiserver
from tests.support.kustomize.building import build_from
from tests.support.pod_files.cases import DIRECTORY, PARAMETERS
from tests.support.tools import build
from tests.support.tools.table import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.chart.rendering import Object

VERSION = "v1.37"
THEIRS, OURS = "held-by-pod-security", "held-by-us"
SETTINGS = (
    "--set=baselinePolicy.enabled=true",
    *(
        f"--set={key}={value}"
        for image, key in (("emulatorImage", "image"), ("redirectImage", "redirectImage"))
        for key, value in (
            (f"{key}.repository", PARAMETERS[image].rpartition(":")[0]),
            (f"{key}.tag", PARAMETERS[image].rpartition(":")[2]),
        )
    ),
)
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
PRIVILEGED: Object = {"name": "debugger", "image": "debugger:1", "securityContext": {"privileged": True}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run an API server with our policy, and the two namespaces."""
    with apiserver.running(VERSION) as kubeconfig:
        found = furnished(kubeconfig)
        policies = [
            item
            for item in objects(*SETTINGS)
            if item["kind"] in POLICIES and item["metadata"]["name"].endswith("baseline")
        ]
        found.done("apply", "-f", "-", given=yaml.safe_dump_all(policies))
        for namespace, label in (
            (THEIRS, "pod-security.kubernetes.io/enforce=baseline"),
            (OURS, f"{names.LABEL_POD_SECURITY}={names.POD_SECURITY_BASELINE}"),
        ):
            found.done("create", "namespace", namespace)
            found.done("create", "serviceaccount", "default", "-n", namespace)
            found.done("label", "namespace", namespace, label)
        wait_until_held(found)
        yield found


def wait_until_held(server: Server) -> None:
    """Wait until the policy is in effect in its namespace."""
    held = {"metadata": {"name": "x"}, "spec": {"containers": [PRIVILEGED]}}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not tried(server, OURS, {"x": held})["x"]:
        assert time.monotonic() < deadline, "the policy has no effect"
        time.sleep(0.5)


def tried(server: Server, namespace: str, pods: dict[str, Object]) -> dict[str, str]:
    """Create pods by dry run, each under its key; key -> the complaint, '' for none."""
    items = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**pod["metadata"], "name": key, "namespace": namespace},
            "spec": pod["spec"],
        }
        for key, pod in pods.items()
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    complaints = server.kubectl(
        "create", "--validate=ignore", "--dry-run=server", "-f", "-", given=json.dumps(listed)
    ).stderr
    return {key: complaint_about(key, complaints) for key in pods}


def complaint_about(name: str, complaints: str) -> str:
    """Return the line about one pod, that admission refuses it or that it is not valid."""
    pattern = rf'(?m)^.*(?:pods "{name}" is forbidden|Pod "{name}" is invalid).*$'
    match = re.search(pattern, complaints)
    return match[0] if match else ""


def published() -> dict[str, Object]:
    """Return the test pods that Pod Security's authors publish, of its newest version, both levels."""
    tool = find("pod-security-admission")
    build.ensure([tool])
    return {
        f"{level}-{outcome}-{file.stem}".replace("_", "-"): yaml.safe_load(file.read_text())
        for level in ("baseline", "restricted")
        for outcome in ("pass", "fail")
        for file in sorted((build.folder(tool) / "testdata" / level / VERSION / outcome).glob("*.yaml"))
    }


@pytest.mark.claim("S26")
def test_published_pods(server: Server) -> None:
    """Each published pod is admitted or refused by our policy as by Pod Security, for the rule that it is made for."""
    pods = published()

    theirs, ours = tried(server, THEIRS, pods), tried(server, OURS, pods)

    refused = {name for name, complaint in theirs.items() if complaint}
    by_level = {name for name in refused if 'violates PodSecurity "baseline:latest"' in theirs[name]}
    assert refused == {name for name, complaint in ours.items() if complaint}
    assert by_level == {name for name in refused if f"{names.LABEL_POD_SECURITY}=baseline: " in ours[name]}
    assert {name for name in pods if name.startswith("baseline-fail-")} <= refused
    # Outside of a user namespace procMount Unmasked is not valid, whatever the level.
    assert [] == [name for name in refused - by_level if "fail-procmount" not in name]
    assert len(pods) - len(refused) >= 30


def injected() -> dict[str, Object]:
    """Return the pods of tests/unit/pods as they are after injection."""
    files = sorted(DIRECTORY.glob("*.injected.yaml"))
    return {file.name.removesuffix(".injected.yaml"): yaml.safe_load(file.read_text()) for file in files}


def of_default_images(pods: dict[str, Object]) -> dict[str, Object]:
    """Return those whose redirect has the image of the installation, or that have none."""
    return {
        name: pod
        for name, pod in pods.items()
        if all(container["image"] == PARAMETERS["redirectImage"] for container in redirects(pod))
    }


def redirects(pod: Object) -> list[Object]:
    """Return our init container of a pod, if it has one."""
    return [c for c in pod["spec"].get("initContainers") or [] if c["name"] == names.REDIRECT_CONTAINER]


@pytest.mark.claim("S26")
def test_injected_pods(server: Server) -> None:
    """An injected pod is admitted if Pod Security would admit it without the capabilities of our init container."""
    pods = of_default_images(injected())
    without = copy.deepcopy(pods)
    for pod in without.values():
        for container in redirects(pod):
            del container["securityContext"]["capabilities"]["add"]

    theirs, ours = tried(server, THEIRS, without), tried(server, OURS, pods)
    unchanged = tried(server, THEIRS, pods)

    assert {name: bool(complaint) for name, complaint in theirs.items()} == {
        name: bool(complaint) for name, complaint in ours.items()
    }
    exempt = {name for name in pods if unchanged[name] and not ours[name]}
    assert {name for name, pod in pods.items() if redirects(pod) and not theirs[name]} == exempt
    assert len(exempt) >= 20


CHANGES: dict[str, Callable[[Object], object]] = {
    "image": lambda c: c.update(image="elsewhere.example/redirect:1"),
    "tag": lambda c: c.update(image=c["image"] + "x"),
    "command": lambda c: c.update(command=["sh"]),
    "args": lambda c: c["args"].append("--help"),
    "variable": lambda c: c["env"].append({"name": "LD_PRELOAD", "value": "/x.so"}),
    "reference": lambda c: c["env"][0].update(value="", valueFrom={"fieldRef": {"fieldPath": "metadata.name"}}),
    "envFrom": lambda c: c.update(envFrom=[{"configMapRef": {"name": "x"}}]),
    "workingDir": lambda c: c.update(workingDir="/tmp"),  # noqa: S108 - a field of a pod
    "mount": lambda c: c["volumeMounts"].append({"name": names.EMPTY_VOLUME, "mountPath": "/usr/lib"}),
    "moved": lambda c: c["volumeMounts"][0].update(mountPath="/usr/lib"),
    "capability": lambda c: c["securityContext"]["capabilities"]["add"].append("SYS_ADMIN"),
    "kept": lambda c: c["securityContext"]["capabilities"].pop("drop"),
    "always": lambda c: c.update(restartPolicy="Always"),
    "termination": lambda c: c.update(terminationMessagePath="/usr/lib/x"),
    "privileged": lambda c: c["securityContext"].update(privileged=True, allowPrivilegeEscalation=True),
    "host-port": lambda c: c.update(ports=[{"containerPort": 1, "hostPort": 1}]),
}


@pytest.mark.claim("S26")
def test_what_is_not_ours(server: Server) -> None:
    """Whatever the init container has besides, or in place of, what is injected, it is not an exception any more."""
    plain = injected()["plain"]
    pods = {"as-injected": plain}
    for name, change in CHANGES.items():
        pods[name.lower()] = copy.deepcopy(plain)
        change(redirects(pods[name.lower()])[0])
    for name, field in (("renamed", "initContainers"), ("ordinary", "containers")):
        pods[name] = copy.deepcopy(plain)
        (container,) = redirects(pods[name])
        pods[name]["spec"]["initContainers"].remove(container)
        pods[name]["spec"][field].append(container if name == "ordinary" else {**container, "name": "other"})

    complaints = tried(server, OURS, pods)

    assert {"as-injected"} == {name for name, complaint in complaints.items() if not complaint}
    assert f"{names.LABEL_POD_SECURITY}=baseline: container {names.REDIRECT_CONTAINER} must not" in complaints["image"]
    assert [] == [complaint for complaint in complaints.values() if complaint and "denied request" not in complaint]


@pytest.mark.claim("S26")
def test_updates(server: Server) -> None:
    """A container added to a running pod, or another image in it, is judged as Pod Security judges it; labels are not.

    A pod keeps its exception where the installation has another image by now.
    """
    plain = injected()["plain"]
    for namespace, pod in (
        (OURS, plain),
        (THEIRS, {"metadata": {}, "spec": {"containers": plain["spec"]["containers"]}}),
    ):
        metadata = {**pod["metadata"], "name": "updated", "namespace": namespace}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
        server.done("create", "-f", "-", given=json.dumps(body))

        good = {**PRIVILEGED, "securityContext": {"capabilities": {"add": ["CHOWN"]}}}
        assert "" == debugged(server, namespace, good)
        assert "forbidden" in debugged(server, namespace, {**PRIVILEGED, "name": "worse"})
        server.done("label", "pod", "updated", "a=b", "-n", namespace)
        server.done("set", "image", "pod/updated", f"{plain['spec']['containers'][0]['name']}=app:2", "-n", namespace)
    evil = server.kubectl("set", "image", "pod/updated", f"{names.REDIRECT_CONTAINER}=evil:1", "-n", OURS)
    assert "must not add capabilities" in evil.stderr

    later = [item for item in objects(*SETTINGS, "--set=redirectImage.tag=later") if item["kind"] == POLICIES[0]]
    server.done("apply", "-f", "-", given=yaml.safe_dump(one(later, POLICIES[0], "-baseline")))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not tried(server, OURS, {"plain": plain})["plain"]:
        assert time.monotonic() < deadline, "the later policy has no effect"
        time.sleep(0.5)
    assert "" == debugged(server, OURS, {**PRIVILEGED, "name": "third", "securityContext": {}})


def debugged(server: Server, namespace: str, container: Object) -> str:
    """Add an ephemeral container to the pod `updated`, as `kubectl debug` does; return the complaint."""
    pod: dict[str, Any] = server.get("pod", "updated", "-n", namespace)
    pod["spec"].setdefault("ephemeralContainers", []).append(container)
    path = f"/api/v1/namespaces/{namespace}/pods/updated/ephemeralcontainers"
    return server.kubectl("replace", "--raw", path, "-f", "-", given=json.dumps(pod)).stderr.strip()


def test_only_where_asked_for() -> None:
    """Without the value there is no such policy; before Kubernetes 1.30, which has no policies, it is refused."""
    assert [] == [item for item in objects() if item["metadata"]["name"].endswith("-baseline")]
    with pytest.raises(HelmError, match=r"baselinePolicy.enabled needs Kubernetes 1.30 or later, and this is v1.29.1"):
        template("--set=baselinePolicy.enabled=true", kube_version="v1.29.1")


def test_kustomize(tmp_path: Path) -> None:
    """The component adds the same policy, which reads the ConfigMap, to an install, under a kustomization's names."""
    found = build_from(
        tmp_path,
        "namePrefix: x-\nnamespace: plat\nresources: [ROOT/install]\ncomponents: [ROOT/install/baseline]\n",
    )
    policy = one(found, "ValidatingAdmissionPolicy", "-baseline")
    binding = one(found, "ValidatingAdmissionPolicyBinding", "-baseline")
    expected = one(objects(*SETTINGS), "ValidatingAdmissionPolicy", "-baseline")["spec"]

    assert policy["metadata"]["name"] == binding["spec"]["policyName"] == "x-imds-emulator-baseline"
    assert ("x-imds-emulator-parameters", "plat") == (
        binding["spec"]["paramRef"]["name"],
        binding["spec"]["paramRef"]["namespace"],
    )
    assert (expected["variables"][1:], expected["validations"]) == (
        policy["spec"]["variables"][1:],
        policy["spec"]["validations"],
    )
