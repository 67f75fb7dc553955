"""The test STS in a cluster: its objects, and how a test directs it through the API server.

In: a cluster with the image loaded, trust policies. Out: the address of its Service, its call log, faults.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

from tests.support.kubernetes.kube import Kube, Object, condition, path, wait_for
from tests.support.sts.authority import REGIONAL_HOSTS, certificates

IMAGE = "imds-emulator/test-sts:1"

NAME = "sts"
_READY_SECONDS = 120


@dataclass(frozen=True)
class ClusterSts:
    """The test STS of one namespace."""

    kube: Kube
    namespace: str
    address: str
    ca: str

    def calls(self, role: str = "", session: str = "") -> list[dict[str, Any]]:
        """Return the calls of AssumeRoleWithWebIdentity so far, of a role (ARN) and a session if given."""
        return [
            call
            for call in self._admin("GET", "/calls")
            if call["action"] == "AssumeRoleWithWebIdentity"
            and role in ("", call["roleArn"])
            and session in ("", call["sessionName"])
        ]

    def set_faults(self, *faults: dict[str, Any]) -> None:
        """Order faults in place of all former ones; none: answer as STS does."""
        self._admin("PUT", "/faults", list(faults))

    def set_roles(self, roles: dict[str, Any]) -> None:
        """Replace the trust policies."""
        self._admin("PUT", "/roles", roles)

    def host_aliases(self) -> list[Object]:
        """Return what a pod needs so that AWS's own names lead here."""
        return [{"ip": self.address, "hostnames": list(REGIONAL_HOSTS)}]

    def _admin(self, method: str, target: str, body: object = None) -> Any:  # noqa: ANN401 - decoded JSON
        service = path("v1", "Service", self.namespace, f"{NAME}:admin")
        return self.kube.request(method, f"{service}/proxy{target}", body)


def deploy(kube: Kube, namespace: str) -> ClusterSts:
    """Start STS in `namespace` (made if need be), or find the one that is there; return once it answers."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    secret = path("v1", "Secret", namespace, NAME)
    if not kube.get(secret):
        kube.apply(_secret(namespace))
    kube.apply(*_objects(namespace))

    def available() -> bool:
        found = kube.get(path("apps/v1", "Deployment", namespace, NAME))
        return bool(found and condition(found, "Available"))

    wait_for(f"Deployment {namespace}/{NAME} Available", available, _READY_SECONDS)
    service = kube.request("GET", path("v1", "Service", namespace, NAME))
    ca = b64decode(kube.request("GET", secret)["data"]["ca.crt"]).decode()
    return ClusterSts(kube, namespace, service["spec"]["clusterIP"], ca)


def remove(kube: Kube, namespace: str) -> None:
    """Remove all that `deploy` made."""
    kube.delete(path("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", name=_binding(namespace)))
    kube.delete(path("v1", "Namespace", name=namespace))


def _binding(namespace: str) -> str:
    return f"{namespace}-{NAME}-reads-issuer"


def _secret(namespace: str) -> Object:
    made = certificates([*REGIONAL_HOSTS, f"{NAME}.{namespace}.svc"])
    texts = {"ca.crt": made.ca, "tls.crt": made.certificate, "tls.key": made.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": NAME, "namespace": namespace},
        "data": {name: b64encode(text.encode()).decode() for name, text in texts.items()},
    }


def _objects(namespace: str) -> list[Object]:
    """Return the rest; the role binding lets STS read the issuer and its keys, which is public elsewhere."""
    named: Object = {"name": NAME, "namespace": namespace}
    labels = {"app": NAME}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _binding(namespace)},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:service-account-issuer-discovery",
            },
            "subjects": [{"kind": "ServiceAccount", **named}],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named,
            "spec": {
                "selector": labels,
                "ports": [
                    {"name": "https", "port": 443, "targetPort": 8443},
                    {"name": "admin", "port": 8080, "targetPort": 8080},
                ],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": named,
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _pod_spec()},
            },
        },
    ]


def _pod_spec() -> Object:
    return {
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": 2,
        "securityContext": {"runAsNonRoot": True, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "sts",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "args": ["cluster", "--tls", "/tls"],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "readinessProbe": {
                    "httpGet": {"path": "/healthz", "port": 8080},
                    "periodSeconds": 1,
                    "timeoutSeconds": 10,
                },
                "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "tls", "secret": {"secretName": NAME, "defaultMode": 0o440}}],
    }
