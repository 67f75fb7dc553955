"""Who is who in a native cluster: a certificate for each server, a kubeconfig for each client.

In: the cluster's folder and addresses. Out: its folders `pki` and `config`, and the administrator's `kubeconfig`.
"""

from pathlib import Path

from tests.support.clusters import pki
from tests.support.clusters.addresses import DOMAIN, NODE, Addresses

# User and group, as the API server's default bindings and its Node authorizer know them.
_CLIENTS = {
    "admin": ("imds-emulator-test", "system:masters"),
    "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
}


def write(folder: Path, at: Addresses) -> None:
    """Make them all again, under an authority of this cluster's own."""
    keys, config = folder / "pki", folder / "config"
    config.mkdir(exist_ok=True)
    signer = pki.authority(keys)
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}"]
    pki.certify(signer, "apiserver", "kube-apiserver", hosts=[*names, "127.0.0.1", *at.node, at.api_service])
    pki.certify(signer, "kubelet-server", NODE, hosts=[NODE, *at.node])
    pki.signing_key(keys / "service-accounts.key")
    for client, (user, group) in _CLIENTS.items():
        pki.certify(signer, client, user, group)
        path = folder / "kubeconfig" if client == "admin" else config / f"{client}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(pki.kubeconfig(keys, client, at.server))
