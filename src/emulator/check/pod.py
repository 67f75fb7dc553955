"""`imds-emulator check pod NAME`: why does this pod get no credentials?

Goes in: a cluster to read, namespace and name. Comes out: findings, from the label to the answer of STS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.arn import parse_role_arn
from emulator.check.cluster_client import Unreadable
from emulator.check.findings import Finding, failed, ok, warning

if TYPE_CHECKING:
    from emulator.check.cluster_client import Cluster

# What a container's own variables make SDKs do before they would ask the metadata service.
# Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".
BYPASSES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_DISABLED",
)

# STS error code -> remedy. Source: AWS STS API Reference, AssumeRoleWithWebIdentity, Errors.
STS_REMEDIES = {
    "AccessDenied": "the role's trust policy does not let this service account in: compare with "
    "`imds-emulator trust-policy -n {namespace} --service-account {account}`",
    "InvalidIdentityToken": "IAM has no OIDC provider for this cluster's issuer with the token's audience, "
    "or cannot read its keys: run `imds-emulator check`",
    "IDPCommunicationError": "AWS could not read the issuer's keys: they must be public over HTTPS",
    "ExpiredTokenException": "the projected token is stale: see the kubelet's log, and the node's clock",
    "ValidationError": "role ARN, session name or duration are refused: see the message in the log",
    "RegionDisabledException": "STS is not enabled for this region in the account: enable it, or choose another region",
}
_LOG_LINES = "50"


def findings(cluster: Cluster, namespace: str, name: str) -> list[Finding]:
    """Return what was found on the pod's way from its label to its credentials."""
    try:
        pod = cluster.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
    except Unreadable as error:
        return [failed(f"pod {namespace}/{name}", error.message, "see `kubectl get pods -A`")]
    found = [label(pod), annotation(pod), injected(pod)]
    if any(finding.state == "failed" for finding in found):
        return found
    found += [redirect(pod), emulator(cluster, pod)]
    found += bypasses(pod)
    return found


def label(pod: dict[str, Any]) -> Finding:
    """Is the label, with the exact value, on the pod itself and not only on its workload?"""
    value = (pod["metadata"].get("labels") or {}).get(names.LABEL_ENABLED)
    if value == names.LABEL_ENABLED_VALUE:
        return ok("label", f'"{value}"')
    seen = "absent" if value is None else f'"{value}"'
    return failed(
        "label",
        f"{names.LABEL_ENABLED} is {seen}",
        f'set it to "{names.LABEL_ENABLED_VALUE}" on the pod template (spec.template.metadata.labels) and roll out',
    )


def annotation(pod: dict[str, Any]) -> Finding:
    """Is the annotation the ARN of a role?"""
    text = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_ROLE_ARN, "")
    try:
        role = parse_role_arn(text)
    except ValueError as error:
        return failed("role ARN", str(error), f"set the annotation {names.ANNOTATION_ROLE_ARN} on the pod template")
    return ok("role ARN", role.text)


def injected(pod: dict[str, Any]) -> Finding:
    """Are the containers that the pod's redirect mode needs there?"""
    present = {container["name"] for container in _containers(pod)}
    if names.EMULATOR_CONTAINER in present:
        return ok("injection", ", ".join(sorted(present & {names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER})))
    return failed(
        "injection",
        "the pod has no emulator: it was made before the label or the add-on was there, or in a namespace left out",
        "run `imds-emulator check`, then delete the pod so that its controller makes it anew",
    )


def redirect(pod: dict[str, Any]) -> Finding:
    """Has the init container set its rules?"""
    if names.REDIRECT_CONTAINER not in {container["name"] for container in _containers(pod)}:
        return ok("redirect", "env mode, no init container")
    status = _status(pod, names.REDIRECT_CONTAINER)
    state = status.get("state") or {}
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
            "credentials", (ended.get("message") or ended.get("reason") or "ended").strip(), "mend the setting it names"
        )
    if not ended and "running" not in state:
        return failed("credentials", _waiting(state), "see the events of `kubectl describe pod`")
    metadata = pod["metadata"]
    try:
        log = cluster.get(
            f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log",
            container=names.EMULATOR_CONTAINER,
            tailLines=_LOG_LINES,
        )
    except Unreadable as error:
        return failed(
            "credentials", f"the emulator is not ready; its log: {error.message}", "ask for the right to read pods/log"
        )
    return _sts_answer(str(log), metadata["namespace"], pod["spec"].get("serviceAccountName", "default"))


def bypasses(pod: dict[str, Any]) -> list[Finding]:
    """Return a warning for each variable that makes its container's SDK pass the metadata service by.

    As at admission (`injection.rules`), the value "false" turns nothing on.
    """
    return [
        warning(
            f"container {container['name']}",
            f"sets {variable['name']}",
            "its SDK takes credentials from there, not from the emulator: remove the variable",
        )
        for container in _containers(pod)
        if container["name"] not in {names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER}
        for variable in container.get("env") or []
        if variable["name"] in BYPASSES and str(variable.get("value")).lower() != "false"
    ]


def _sts_answer(log: str, namespace: str, account: str) -> Finding:
    """Return what the log says last of credentials, or what the last line that names an STS code means."""
    _, got, after = log.rpartition(" event=credentials ")
    lines = [line for line in after.splitlines() if " event=stopped " not in line]
    for line in reversed(lines):
        for code, remedy in STS_REMEDIES.items():
            if code in line:
                return failed("credentials", f"STS answers {code}", remedy.format(namespace=namespace, account=account))
    if got and " event=expired " not in after:
        return ok("credentials", "the emulator got them, as its log says")
    last = (lines or ["no log yet"])[-1]
    return failed("credentials", f"not ready: {last}", "STS can't be reached: see DNS, egress rules and proxy settings")


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def _status(pod: dict[str, Any], container: str) -> dict[str, Any]:
    """Return the container's status; an empty one for a pod that has no node yet."""
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return next((entry for entry in statuses if entry["name"] == container), {})


def _waiting(state: dict[str, Any]) -> str:
    waiting = state.get("waiting") or {}
    return f"{waiting.get('reason', 'not started')} {waiting.get('message', '')}".strip()
