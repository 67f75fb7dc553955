"""The table of pinned programs: the only place that holds their versions.

In: nothing. Out: `TOOLS`, one row for each Go module, and `find`, the row that makes a program.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

GO_VERSION = "1.26.8"
"""What is fetched where `go` is missing or older than `GO_MINIMUM`."""

GO_MINIMUM = (1, 26)

KIND_NODE_IMAGE = "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
"""The node image that belongs to the pinned kind (its pkg/apis/config/defaults)."""


@dataclass(frozen=True)
class Tool:
    """One Go module and the programs that come out of it.

    `programs` maps a program to its package; in `ldflags` and `programs` nothing but `{version}`,
    `{major}` and `{minor}` is replaced. `staging`: the module replaces its siblings by folders of
    its own repository, which `go build` can't see from outside; siblings are taken as `v0.MINOR.PATCH`.
    `source`: a folder beside this file that is the module, or a program `build` that uses the published one. `keeps`: a
    folder of the module that is kept beside the programs, by its last name. `requires`: further modules at a version,
    such as the row's go.mod replaces others by. `like`: the row whose versions of other modules are taken, so that what
    both use is compiled once. `apart`: built only when it is asked for by name. `cpu_seconds`: what it took once, to
    tell how long a build takes.
    """

    name: str
    version: str
    module: str
    programs: Mapping[str, str]
    ldflags: str = ""
    tags: str = ""
    staging: bool = False
    source: str = ""
    like: str = ""
    keeps: str = ""
    requires: Mapping[str, str] = field(default_factory=dict)
    apart: bool = False
    cpu_seconds: int = 60


_KUBERNETES_VERSION = " ".join(
    f"-X {package}.{variable}={value}"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for variable, value in {
        "gitVersion": "{version}",
        "gitMajor": "{major}",
        "gitMinor": "{minor}",
        "gitTreeState": "clean",
    }.items()
)

_KUBERNETES = "v1.37.2"
_PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
_CNI_VERSION = "v1.9.1"
_CNI_MODULE = "github.com/containernetworking/plugins"
_CNI = {"bridge": "main", "loopback": "main", "host-local": "ipam", "portmap": "meta"}
_KIND = "v0.33.0"
_CONTAINERD = "github.com/containerd/containerd/v2"
_CERT_MANAGER = "github.com/cert-manager/cert-manager"
_FLUX = "v1.9.6"
_KUBE_ROUTER = "github.com/cloudnativelabs/kube-router/v2"


def _old_apiserver(version: str) -> Tool:
    """Return an API server alone, for admission on old versions; these link against names that Go 1.23 closed."""
    return Tool(
        name=f"kube-apiserver-{'.'.join(version.split('.')[:2]).lstrip('v')}",
        version=version,
        module="k8s.io/kubernetes",
        programs={"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"},
        ldflags=f"-checklinkname=0 {_KUBERNETES_VERSION}",
        staging=True,
        apart=True,
        cpu_seconds=280,
    )


TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name="helm",
            cpu_seconds=80,
            version="v3.22.0",
            module="helm.sh/helm/v3",
            programs={"helm": "helm.sh/helm/v3/cmd/helm"},
            like="kubernetes",
            # What `helm template` and `helm lint` take the cluster for where there is none; else it is v1.20.
            ldflags="-X helm.sh/helm/v3/internal/version.version={version} "
            + " ".join(
                f"-X helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={value}"
                for package in ("chartutil", "lint/rules")
                for part, value in (("Major", "1"), ("Minor", "37"))
            ),
        ),
        Tool(
            name="etcd",
            cpu_seconds=60,
            version="v3.7.3",
            module="go.etcd.io/etcd/server/v3",
            programs={"etcd": "go.etcd.io/etcd/server/v3"},
        ),
        # Apart from the rest: a machine with kind needs nothing else of Kubernetes.
        Tool(
            name="kubectl",
            cpu_seconds=215,
            version=_KUBERNETES,
            module="k8s.io/kubernetes",
            programs={"kubectl": "k8s.io/kubernetes/cmd/kubectl"},
            ldflags=_KUBERNETES_VERSION,
            staging=True,
        ),
        Tool(
            name="kubernetes",
            cpu_seconds=650,
            version=_KUBERNETES,
            module="k8s.io/kubernetes",
            programs={name: f"k8s.io/kubernetes/cmd/{name}" for name in _PARTS},
            ldflags=_KUBERNETES_VERSION,
            staging=True,
        ),
        Tool(
            name="containerd",
            cpu_seconds=160,
            version="v2.4.2",
            module=_CONTAINERD,
            programs={name: f"{_CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
            ldflags=f"-X {_CONTAINERD}/version.Version={{version}}",
            tags="no_aufs,no_zfs,no_btrfs,no_devmapper",
        ),
        Tool(
            name="cni-plugins",
            cpu_seconds=25,
            version=_CNI_VERSION,
            module=_CNI_MODULE,
            programs={name: f"{_CNI_MODULE}/plugins/{kind}/{name}" for name, kind in _CNI.items()},
        ),
        Tool(
            name="coredns",
            cpu_seconds=60,
            version="v1.14.6",
            module="github.com/coredns/coredns",
            programs={"coredns": "build"},
            source="coredns",
            like="kubernetes",
        ),
        Tool(
            name="pause",
            cpu_seconds=5,
            version="v1.0.0",
            module="pause",
            programs={"pause": "pause"},
            source="pause",
        ),
        Tool(
            name="kustomize",
            cpu_seconds=20,
            version="v5.8.2",
            module="sigs.k8s.io/kustomize/kustomize/v5",
            programs={"kustomize": "sigs.k8s.io/kustomize/kustomize/v5"},
            ldflags="-X sigs.k8s.io/kustomize/api/provenance.version={version}",
        ),
        Tool(
            name="kubeconform",
            cpu_seconds=15,
            version="v0.8.0",
            module="github.com/yannh/kubeconform",
            programs={"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"},
            ldflags="-X main.version={version}",
        ),
        Tool(
            name="ct",
            cpu_seconds=120,
            version="v3.14.0",
            module="github.com/helm/chart-testing/v3",
            programs={"ct": "github.com/helm/chart-testing/v3/ct"},
            ldflags="-X github.com/helm/chart-testing/v3/ct/cmd.Version={version}",
        ),
        Tool(
            name="kind",
            cpu_seconds=30,
            version=_KIND,
            module="sigs.k8s.io/kind",
            programs={"kind": "sigs.k8s.io/kind"},
        ),
        Tool(
            name="actionlint",
            cpu_seconds=15,
            version="v1.7.12",
            module="github.com/rhysd/actionlint",
            programs={"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"},
        ),
        # The last version whose programs are in the module itself; links against a name that Go 1.23 closed.
        Tool(
            name="cert-manager",
            version="v1.11.5",
            module=_CERT_MANAGER,
            programs={f"cert-manager-{name}": f"{_CERT_MANAGER}/cmd/{name}" for name in ("controller", "cainjector")},
            ldflags="-checklinkname=0",
            keeps="deploy/crds",
            apart=True,
        ),
        Tool(
            name="kube-router",
            version="v2.1.0",
            module=_KUBE_ROUTER,
            programs={"kube-router": f"{_KUBE_ROUTER}/cmd/kube-router"},
            apart=True,
            cpu_seconds=300,
        ),
        Tool(
            name="flux-kustomize-controller",
            version=_FLUX,
            module="github.com/fluxcd/kustomize-controller",
            programs={"flux-kustomize-controller": "github.com/fluxcd/kustomize-controller"},
            keeps="config/crd/bases",
            requires={"github.com/opencontainers/go-digest": "v1.0.1-0.20220411205349-bde1400a84be"},
            apart=True,
            cpu_seconds=600,
        ),
        # Its kinds alone.
        Tool(
            name="flux-sources",
            version=_FLUX,
            module="github.com/fluxcd/source-controller",
            programs={},
            keeps="config/crd/bases",
            apart=True,
        ),
        # What a node image for kind has beside the cluster's programs (tests/support/clusters/node_image.py).
        Tool(
            name="kubeadm",
            cpu_seconds=200,
            version=_KUBERNETES,
            module="k8s.io/kubernetes",
            programs={"kubeadm": "k8s.io/kubernetes/cmd/kubeadm"},
            ldflags=_KUBERNETES_VERSION,
            staging=True,
            apart=True,
        ),
        Tool(
            name="cni-ptp",
            version=_CNI_VERSION,
            module=_CNI_MODULE,
            programs={"ptp": f"{_CNI_MODULE}/plugins/main/ptp"},
            apart=True,
        ),
        Tool(
            name="kind-base",
            version=_KIND,
            module="sigs.k8s.io/kind",
            programs={},
            keeps="images/base/files",
            apart=True,
        ),
        # Its test pods alone.
        Tool(
            name="pod-security-admission",
            version="v0.37.2",
            module="k8s.io/pod-security-admission",
            programs={},
            keeps="test/testdata",
            apart=True,
        ),
        # Neighbours of the redirect: a mesh's rules, and a kernel that is not Linux.
        Tool(
            name="istio-iptables",
            version="v0.0.0-20260827124520-eed52ebb66ad",
            module="istio.io/istio",
            programs={"istio-iptables": "build"},
            source="istio",
            apart=True,
            cpu_seconds=120,
        ),
        Tool(
            name="gvisor",
            version="v0.0.0-20260224225140-573d5e7127a8",
            module="gvisor.dev/gvisor",
            programs={"runsc": "gvisor.dev/gvisor/runsc"},
            apart=True,
            cpu_seconds=300,
        ),
        # What publishes a release (make release), and the registry of its rehearsal.
        Tool(
            name="crane",
            version="v0.22.1",
            module="github.com/google/go-containerregistry",
            programs={"crane": "github.com/google/go-containerregistry/cmd/crane"},
            ldflags="-X github.com/google/go-containerregistry/cmd/crane/cmd.Version={version}",
            apart=True,
            cpu_seconds=30,
        ),
        Tool(
            name="cosign",
            version="v3.1.3",
            module="github.com/sigstore/cosign/v3",
            programs={"cosign": "github.com/sigstore/cosign/v3/cmd/cosign"},
            ldflags="-X sigs.k8s.io/release-utils/version.gitVersion={version}",
            apart=True,
            cpu_seconds=300,
        ),
        Tool(
            name="registry",
            version="v3.1.2",
            module="github.com/distribution/distribution/v3",
            programs={"registry": "build"},
            source="registry",
            apart=True,
        ),
        _old_apiserver("v1.24.17"),
        _old_apiserver("v1.29.15"),
        _old_apiserver("v1.34.4"),
    )
}


def find(name: str, tools: Iterable[Tool] = TOOLS.values()) -> Tool:
    """Return the row called `name`, else the first one that makes a program of that name."""
    rows = list(tools)
    for tool in (*(row for row in rows if row.name == name), *(row for row in rows if name in row.programs)):
        return tool
    known = sorted({row.name for row in rows} | {program for row in rows for program in row.programs})
    raise KeyError(f"tool {name!r} is not in tests/support/tools/table.py; one of: {', '.join(known)}")
