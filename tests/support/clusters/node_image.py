"""`python -m tests.support.clusters.node_image`: a node image for kind where no registry has one.

In: the table of tools, Debian's packages. Out: the image NAME in the docker engine, for KIND_NODE_IMAGE.
It has the layout of kind's own (kind, images/base/Dockerfile and pkg/build/nodeimage) for a cluster of one node: its
network is a file, not a DaemonSet.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from string import Template

from emulator.build import apt
from emulator.build.images import base
from emulator.build.paths import cache, log_path
from emulator.build.progress import StepFailedError, run, say
from tests.support.clusters import archives, plan
from tests.support.tools import build
from tests.support.tools.table import TOOLS, find

VERSION = TOOLS["kubernetes"].version
NAME = f"imds-emulator/node:{VERSION}"
ROWS = (
    "kubernetes",
    "kubectl",
    "kubeadm",
    "etcd",
    "coredns",
    "pause",
    "containerd",
    "cni-plugins",
    "cni-ptp",
    "kind-base",
)

# systemd 252 is the last of Debian that starts on cgroup v1.
SUITE = "bookworm"
PACKAGES = (
    *("systemd", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "mount", "kmod", "procps"),
    *("ca-certificates", "jq", "runc"),
)
# The networks that kind gives to pods of the first node (kind, pkg/internal/apis/config/default.go).
_PODS = {"pods4": "10.244.0.0/24", "pods6": "fd00:10:244::/64"}
_PLACES = {
    "/usr/bin": ("kubeadm", "kubelet", "kubectl"),
    "/usr/local/bin": ("containerd", "containerd-shim-runc-v2", "ctr"),
    "/opt/cni/bin": ("host-local", "loopback", "portmap", "ptp"),
}
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd")
_DOCKERFILE = r"""
FROM scratch
ADD system.tar /
ADD node.tar /
RUN rm -f /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
      /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
      /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/basic.target.wants/* \
      /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl* \
 && echo ReadKMsg=no >>/etc/systemd/journald.conf \
 && ln -sf /usr/lib/systemd/systemd /sbin/init \
 && systemctl enable kubelet containerd undo-mount-hacks \
 && systemctl mask systemd-binfmt \
 && ctr oci spec | jq 'del(.process.rlimits)' >/etc/containerd/cri-base.json
# Into containerd's store alone: to unpack them takes privileges, which the node has.
RUN set -e; containerd --log-level=error & \
    daemon=$! ; until ctr version >/dev/null 2>&1; do sleep 0.2; done \
 && for archive in /kind/images/*; do ctr --namespace=k8s.io images import --local --no-unpack "$archive"; done \
 && kill $daemon && rm -r /kind/images
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
"""
# kind creates what this file holds; the network is there without it.
_NO_NETWORK = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: network-is-a-file, namespace: kube-system}\n"


def ensure() -> None:
    """Make the image, unless the engine has it."""
    if subprocess.run(["docker", "image", "inspect", NAME], capture_output=True, check=False).returncode == 0:
        return
    build.ensure([TOOLS[row] for row in ROWS])
    system = bootstrap()
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as name:
        folder = Path(name)
        os.link(system, folder / "system.tar")
        say(f"{NAME}: put the parts together")
        with tarfile.open(folder / "node.tar", "w") as node:
            for target, source, mode in (*files(), *_images(system, folder)):
                member = node.gettarinfo(source, target.lstrip("/"))
                member.mode, member.uid, member.gid, member.uname, member.gname = mode, 0, 0, "root", "root"
                with source.open("rb") as content:
                    node.addfile(member, content)
            for target, text in texts().items():
                archives.add(node, target.lstrip("/"), text.encode())
        for used in folder.glob("image-*"):
            used.unlink()
        (folder / "Dockerfile").write_text(_DOCKERFILE)
        run(["docker", "build", "--tag", NAME, str(folder)], f"docker build {NAME}", log_path("kind"))


def bootstrap() -> Path:
    """Return the archive of the system below it all, made of Debian's packages where it is missing."""
    archive = cache() / "images" / f"node-{SUITE}.tar"
    if not archive.exists():
        apt.ensure({"mmdebstrap": "mmdebstrap"})
        archive.parent.mkdir(parents=True, exist_ok=True)
        part = archive.with_name("node-part.tar")
        options = [*(f"--dpkgopt={option}" for option in base.LEFT_OUT), f"--include={','.join(PACKAGES)}"]
        command = ["mmdebstrap", "--variant=minbase", *options, SUITE, str(part)]
        run(command, f"bootstrap {SUITE}", log_path("kind"), env={**os.environ, **base.proxy()})
        part.rename(archive)
    return archive


def files() -> Iterator[tuple[str, Path, int]]:
    """Yield place, source and mode of each file of the node but its images and texts."""
    given = build.folder(TOOLS["kind-base"]) / "files"
    for file in sorted(path for path in given.rglob("*") if path.is_file()):
        place = file.relative_to(given)
        yield f"/{place}", file, 0o755 if place.parent.name == "bin" else 0o644
    for folder, names in _PLACES.items():
        for name in names:
            yield f"{folder}/{name}", build.program(find(name), name), 0o755


def texts() -> dict[str, str]:
    """Return the files that are written here."""
    network = Template((plan.TEMPLATES / "cni.conflist").read_text()).substitute(_PODS)
    network = (
        network.replace('"bridge": "pods",\n', "").replace('"isGateway": true,\n', "").replace('"bridge"', '"ptp"')
    )
    return {
        "/kind/version": VERSION,
        "/kind/manifests/default-cni.yaml": _NO_NETWORK,
        "/etc/cni/net.d/10-pods.conflist": network,
    }


def _images(system: Path, folder: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield the archives of the images that kubeadm asks for: one holds all that a control plane runs."""
    kubeadm = build.program(TOOLS["kubeadm"], "kubeadm")
    listing = [str(kubeadm), "config", "images", "list", f"--kubernetes-version={VERSION}"]
    wanted = subprocess.check_output(listing, text=True).split()
    settings = (build.folder(TOOLS["kind-base"]) / "files/etc/containerd/config.toml").read_text()
    sandbox = re.findall(r'sandbox_image = "(.+)"', settings)
    layer = folder / "image-layer.tar"
    with tarfile.open(layer, "w") as tar:
        for name in _CONTROL_PLANE:
            tar.add(build.program(find(name), name), f"usr/local/bin/{name}")
    single = {"coredns": [name for name in wanted if "/coredns" in name], "pause": sandbox}
    rest = [name for name in wanted if "/coredns" not in name and "/pause" not in name]
    archives.write_layers(folder / "image-control-plane.tar", rest, [system, layer], {})
    for row, names in single.items():
        archives.write(folder / f"image-{row}.tar", names[0], build.program(TOOLS[row], row))
    for name in ("control-plane", *single):
        yield f"/kind/images/{name}.tar", folder / f"image-{name}.tar", 0o644


def main() -> int:
    """Make the image and print its name; 1 if a step failed."""
    try:
        ensure()
    except StepFailedError as error:
        print(error, file=sys.stderr)
        return 1
    print(NAME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
