"""`imds-emulator check pod NAME`: why does this pod get no credentials? From its label to the answer of STS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.arn import parse_role_arn
from emulator.cli.diagnosis.cluster_findings import insecure_endpoint
from emulator.cli.diagnosis.node_findings import FORGETFUL, FORGETS_STARTUP, version
from emulator.cli.diagnosis.sts_codes import last_word, remedy
from emulator.injection import judgement
from emulator.injection.facts import Facts
from emulator.injection.json_values import at, maps
from emulator.injection.served import OURS, annotation, as_served, differences, parameters, served
from emulator.probe.api import Unreadable
from emulator.probe.findings import Finding, failed, ok, unknown, warning

if TYPE_CHECKING:
    from emulator.injection.served import Served
    from emulator.probe.api import Cluster

_LOG_LINES = "50"
RECREATE = "delete the pod so that its controller recreates it"
# Container that a mesh adds to its pods -> the mesh.
MESHES = {
    "istio-proxy": "Istio",
    "istio-validation": "Istio",
    "istio-init": "Istio",
    "kuma-sidecar": "Kuma",
    "kuma-validation": "Kuma",
    "kuma-init": "Kuma",
    "linkerd-proxy": "Linkerd",
    "linkerd-network-validator": "Linkerd",
    "linkerd-init": "Linkerd",
}
MESH_ANNOTATIONS = {
    "Istio": "traffic.sidecar.istio.io/excludeOutboundPorts",
    "Kuma": "traffic.kuma.io/exclude-outbound-ports",
    "Linkerd": "config.linkerd.io/skip-outbound-ports",
}


def findings(cluster: Cluster, namespace: str, name: str) -> list[Finding]:
    """Return what was found on the pod's way from its label to its credentials."""
    subject = f"pod {namespace}/{name}"
    try:
        pod = cluster.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
    except Unreadable as error:
        if error.is_forbidden:
            return [unknown(subject, error.message, f"get pods in namespace {namespace}")]
        return [failed(subject, error.message, "see `kubectl get pods -A`")]
    return [*before_admission(pod), *after_admission(cluster, pod)]


def before_admission(pod: dict[str, Any]) -> list[Finding]:
    """Return the findings on what the pod asks for, and whether it was injected."""
    asked = [label(pod), annotation_of_role(pod)]
    found = served(pod)
    if found and found.is_fixed:
        # What the pod serves was decided at admission: it may have lost both since, as a copy of `kubectl debug` has.
        asked = [line for line in asked if line.state == "ok"]
    return [*asked, injected(pod)]


def after_admission(cluster: Cluster, pod: dict[str, Any]) -> list[Finding]:
    """Return the findings on an injected pod; none on another."""
    found = served(pod)
    if found is None:
        return []
    return [
        *serves(pod, found),
        redirect(pod),
        emulator(cluster, pod),
        *restarts(cluster, pod, found),
        *insecure_endpoint(found),
        *advice(pod, found),
    ]


def label(pod: dict[str, Any]) -> Finding:
    """Is the label, with the exact value, on the pod itself and not only on its workload?"""
    value = at(pod, "metadata", "labels", names.LABEL_ENABLED)
    if value == names.LABEL_ENABLED_VALUE:
        return ok("label", f'"{value}"')
    seen = "absent" if value is None else f'"{value}"'
    return failed(
        "label",
        f"{names.LABEL_ENABLED} is {seen}",
        f'set it to "{names.LABEL_ENABLED_VALUE}" on the pod template (spec.template.metadata.labels) and roll out',
    )


def annotation_of_role(pod: dict[str, Any]) -> Finding:
    """Is the annotation the ARN of a role?"""
    try:
        role = parse_role_arn(annotation(pod, names.ANNOTATION_ROLE_ARN))
    except ValueError as error:
        return failed("role ARN", str(error), f"set the annotation {names.ANNOTATION_ROLE_ARN} on the pod template")
    return ok("role ARN", role.text)


def injected(pod: dict[str, Any]) -> Finding:
    """Are the containers that the pod's redirect mode needs there?"""
    present = {container["name"] for container in _containers(pod)}
    if names.EMULATOR_CONTAINER in present:
        return ok("injection", ", ".join(sorted(present & set(OURS))))
    return failed(
        "injection",
        "the pod has no emulator: it was created before the label or the add-on was there, or in a namespace left out",
        f"run `imds-emulator check`, then {RECREATE}",
    )


def serves(pod: dict[str, Any], emulator: Served) -> list[Finding]:
    """Return what is served, and where the annotations say something else by now."""
    role = emulator.role_arn(pod)
    region = emulator.region or "the partition's default"
    found = [ok("serves", f"{role}, STS region {region}, IMDS {emulator.imds_version}")]
    if not emulator.is_fixed:
        found[0] = warning(
            "serves",
            f"{found[0].seen}; injected by 0.1.0, so that the role follows later changes of the annotation",
            RECREATE,
        )
    found += [
        warning(
            f"annotation {key}",
            f"says {said or 'nothing'}, but {value or 'nothing'} was admitted and is served",
            f"annotations of a running pod change nothing: set it on the pod template and {RECREATE}",
        )
        for key, said, value in differences(pod, emulator)
    ]
    return found


def redirect(pod: dict[str, Any]) -> Finding:
    """Has the init container set its rules?"""
    if names.REDIRECT_CONTAINER not in {container["name"] for container in _containers(pod)}:
        return ok("redirect", "env mode, no init container")
    status = _status(pod, names.REDIRECT_CONTAINER)
    state = status.get("state") or {}
    if "running" in state:  # again, in a new sandbox, say
        return warning("redirect", "waits for the emulator to start", "see the line `credentials`")
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
    if ended and ended["exitCode"] == 0:
        return ok("redirect", "rules set")
    if ended:
        message = (ended.get("message") or ended.get("reason") or "").strip()
        return failed(
            "redirect",
            f"exit code {ended['exitCode']}: {message}",
            f"kubectl logs {pod['metadata']['name']} -c {names.REDIRECT_CONTAINER}; "
            f"where NET_ADMIN is refused use {names.ANNOTATION_REDIRECT}: env",
        )
    return failed("redirect", _waiting(state), "see the events of `kubectl describe pod`")


def emulator(cluster: Cluster, pod: dict[str, Any]) -> Finding:
    """Is the emulator ready, and if not, or if it has ended with its pod, what did STS answer?"""
    status = _status(pod, names.EMULATOR_CONTAINER)
    if status.get("ready"):
        return ok("credentials", "the emulator is ready: it holds unexpired credentials")
    state = status.get("state") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
    if ended and ended["exitCode"] != 0 and "running" not in state:
        return failed(
            "credentials",
            (ended.get("message") or ended.get("reason") or "ended").strip(),
            "fix the setting named in the message",
        )
    if not ended and "running" not in state:
        return failed("credentials", _waiting(state), "see the events of `kubectl describe pod`")
    namespace = pod["metadata"]["namespace"]
    try:
        log = read_log(cluster, pod)
    except Unreadable as error:
        seen = f"the emulator is not ready; its log says why: {error.message}"
        if error.is_forbidden:
            return unknown("credentials", seen, f"get pods/log in namespace {namespace}")
        return failed("credentials", seen, "see the node's kubelet, which has the log")
    return _sts_answer(log, pod)


def read_log(cluster: Cluster, pod: dict[str, Any]) -> str:
    """Return the end of the emulator's log; raises Unreadable."""
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
    return str(cluster.get(path, container=names.EMULATOR_CONTAINER, tailLines=_LOG_LINES))


def restarts(cluster: Cluster, pod: dict[str, Any], emulator: Served) -> list[Finding]:
    """Return a warning where a restarted kubelet would leave crashed app containers as they are."""
    node = pod["spec"].get("nodeName")
    if not node or not emulator.is_native or not emulator.has_startup_probe:
        return []
    subject = f"kubelet of {node}"
    try:
        kubelet = str(at(cluster.get(f"/api/v1/nodes/{node}"), "status", "nodeInfo", "kubeletVersion"))
    except Unreadable as error:
        return [unknown(subject, error.message, "get nodes")]
    if version(kubelet) != FORGETS_STARTUP:
        return []
    return [warning(subject, f"{kubelet}; {FORGETFUL}, since the sidecar has a startup probe", RECREATE)]


def advice(pod: dict[str, Any], emulator: Served) -> list[Finding]:
    """Return the warnings that admission gives, of the pod as it is served."""
    facts = Facts(as_served(pod, emulator), parameters(pod, emulator))
    return [warning("pod", line, f"change the pod template, then {RECREATE}") for line in judgement.warnings(facts)]


def mesh(pod: dict[str, Any]) -> str:
    """Return the mesh whose containers the pod has, '' if there is none."""
    return next((MESHES[c["name"]] for c in _containers(pod) if c["name"] in MESHES), "")


def _sts_answer(log: str, pod: dict[str, Any]) -> Finding:
    """Return what the log says last of credentials, or what the last line that names an STS code means."""
    word = last_word(log)
    account = pod["spec"].get("serviceAccountName", "default")
    if word.code:
        hint = remedy(word.code, pod["metadata"]["namespace"], account)
        return failed("credentials", f"STS answers {word.code}", hint)
    if word.is_good:
        return ok("credentials", "the emulator got them, as its log says")
    hint = "STS can't be reached: see DNS, egress rules and proxy settings"
    if found := mesh(pod):
        hint = (
            f"{found}'s rules may keep STS away until its proxy has started: set the annotation"
            f' {MESH_ANNOTATIONS[found]}: "443", or run {found}\'s proxy as a native sidecar; else {hint}'
        )
    return failed("credentials", f"not ready: {word.line}", hint)


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*maps(pod, "spec", "initContainers"), *maps(pod, "spec", "containers")]


def _status(pod: dict[str, Any], container: str) -> dict[str, Any]:
    """Return the container's status; an empty one for a pod that has no node yet."""
    statuses = [*maps(pod, "status", "initContainerStatuses"), *maps(pod, "status", "containerStatuses")]
    return next((entry for entry in statuses if entry["name"] == container), {})


def _waiting(state: dict[str, Any]) -> str:
    waiting = state.get("waiting") or {}
    return f"{waiting.get('reason', 'not started')} {waiting.get('message', '')}".strip()
