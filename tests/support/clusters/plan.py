"""What a native cluster runs: its components' command lines, and their files.

In: addresses and where the programs are. Out: a plan (component to argv, in starting order) and configuration texts.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

from tests.support.clusters.addresses import API_PORT, DOMAIN, ISSUER, NODE, Addresses
from tests.support.clusters.node import CLUSTER
from tests.support.tools.table import TOOLS

TEMPLATES = Path(__file__).parent / "files"
IMAGES = {name: f"imds-emulator/{name}:{TOOLS[name].version}" for name in ("pause", "coredns")}

_ETCD = "http://127.0.0.1:2379"
_PKI = f"{CLUSTER}/pki"
_CONFIG = f"{CLUSTER}/config"


def argv(program: str, options: Mapping[str, str | int | bool]) -> list[str]:
    """Return a command line; True and False are spelled as Go's flag packages want them."""
    spelled = {key: str(value).lower() if isinstance(value, bool) else value for key, value in options.items()}
    return [program, *(f"--{key}={value}" for key, value in spelled.items())]


def etcd(program: str, data: str, client: str, peer: str) -> list[str]:
    """Return an etcd that forgets on power failure: quick, and good enough for a test."""
    options: dict[str, str | int | bool] = {
        "name": "node",
        "data-dir": data,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"node={peer}",
        "unsafe-no-fsync": True,
    }
    return argv(program, options)


def apiserver(program: str, pki: str, store: str, services: str, listen: tuple[str, int]) -> list[str]:
    """Return an API server with the admission plugins and the authorizers of a kubeadm cluster."""
    options: dict[str, str | int | bool] = {
        "etcd-servers": store,
        "bind-address": listen[0],
        "advertise-address": listen[0],
        "secure-port": listen[1],
        "service-cluster-ip-range": services,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": True,
        "client-ca-file": f"{pki}/ca.crt",
        "tls-cert-file": f"{pki}/apiserver.crt",
        "tls-private-key-file": f"{pki}/apiserver.key",
        "service-account-issuer": ISSUER,
        "service-account-key-file": f"{pki}/service-accounts.key",
        "service-account-signing-key-file": f"{pki}/service-accounts.key",
    }
    return argv(program, options)


def components(programs: Mapping[str, str], at: Addresses) -> dict[str, list[str]]:
    """Return the plan: etcd first, the node's own parts last."""
    services = ",".join(at.services)
    api = apiserver(programs["kube-apiserver"], _PKI, _ETCD, services, (at.node[0], API_PORT))
    to_kubelet = {
        "kubelet-certificate-authority": f"{_PKI}/ca.crt",
        "kubelet-client-certificate": f"{_PKI}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{_PKI}/apiserver-kubelet-client.key",
        # The node's name resolves nowhere.
        "kubelet-preferred-address-types": "InternalIP",
    }
    controllers: dict[str, str | int | bool] = {
        "kubeconfig": f"{_CONFIG}/kube-controller-manager.kubeconfig",
        "bind-address": "127.0.0.1",
        "leader-elect": False,
        "use-service-account-credentials": True,
        "service-account-private-key-file": f"{_PKI}/service-accounts.key",
        "root-ca-file": f"{_PKI}/ca.crt",
        "cluster-signing-cert-file": f"{_PKI}/ca.crt",
        "cluster-signing-key-file": f"{_PKI}/ca.key",
        "service-cluster-ip-range": services,
    }
    scheduler: dict[str, str | int | bool] = {
        "kubeconfig": f"{_CONFIG}/kube-scheduler.kubeconfig",
        "bind-address": "127.0.0.1",
        "leader-elect": False,
    }
    kubelet: dict[str, str | int | bool] = {
        "config": f"{_CONFIG}/kubelet.yaml",
        "kubeconfig": f"{_CONFIG}/kubelet.kubeconfig",
        "hostname-override": NODE,
        "node-ip": ",".join(at.node),
    }
    return {
        "etcd": etcd(programs["etcd"], f"{CLUSTER}/etcd", _ETCD, "http://127.0.0.1:2380"),
        "kube-apiserver": [*api, *argv("", to_kubelet)[1:]],
        "containerd": argv(programs["containerd"], {"config": f"{_CONFIG}/containerd.toml"}),
        "kube-controller-manager": argv(programs["kube-controller-manager"], controllers),
        "kube-scheduler": argv(programs["kube-scheduler"], scheduler),
        "kubelet": argv(programs["kubelet"], kubelet),
        "kube-proxy": argv(programs["kube-proxy"], {"config": f"{_CONFIG}/kube-proxy.yaml"}),
    }


def configuration(at: Addresses, cgroup: str, cni_programs: str) -> dict[str, str]:
    """Return the files of the folder `config` by name, and the manifests to apply once the API server answers."""
    values = {
        "node": at.node[0],
        "name": NODE,
        "dns": at.dns_service,
        "domain": DOMAIN,
        "cgroup": cgroup,
        "pods": ",".join(at.pods),
        "pods4": at.pods[0],
        "pods6": at.pods[1],
        "cni_programs": cni_programs,
        "pause_image": IMAGES["pause"],
        "coredns_image": IMAGES["coredns"],
    }
    sources = {
        "containerd.toml": "containerd.toml",
        "kubelet.yaml": "kubelet.yaml",
        "kube-proxy.yaml": "kube-proxy.yaml",
        "cni/pods.conflist": "cni.conflist",
        "manifests/coredns.yaml": "manifests/coredns.yaml",
    }
    texts = {name: Template((TEMPLATES / source).read_text()).substitute(values) for name, source in sources.items()}
    return {**texts, "resolv.conf": "nameserver 127.0.0.1\n"}


def recipe(plan: Mapping[str, list[str]], texts: Mapping[str, str]) -> str:
    """All that a running cluster was made from, to compare with what would be made now."""
    return json.dumps([plan, texts], sort_keys=True)
