"""A release, rehearsed: `make release` to a registry of our own, then what a person does who has but its address."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from emulator import __version__, names
from emulator.build import apt
from emulator.build.images import build, builders
from emulator.build.release.images import NAMES, PLATFORMS
from tests.cluster.operators import previous, registry
from tests.support import demo
from tests.support.clusters.native import Native
from tests.support.kubernetes import images, pods, sts
from tests.support.kubernetes.kube import path, program, wait_for
from tests.support.kubernetes.pods import Team

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.operators.registry import Registry
    from tests.support.kubernetes.kube import Kube
    from tests.support.kubernetes.release import Release
    from tests.support.reliability.figures import Figures

pytestmark = [
    pytest.mark.full_only(reason="builds for two architectures, and installs the chart on a cluster of its own"),
    pytest.mark.timeout(registry.RELEASE_SECONDS),
]

ARTIFACTS = (*NAMES, "files", "charts/imds-emulator")
QEMU = "/usr/bin/qemu-aarch64-static"
PROGRAM = "/usr/bin/imds-emulator"
INSTALL_SECONDS = 120


@pytest.fixture(scope="module")
def node(kube: Kube) -> Native:
    """Return the cluster; only a native one can be told of a registry's authority."""
    found = images.provider(kube)
    if not isinstance(found, Native):
        pytest.skip("the rehearsal's registry is known to a native cluster alone")
    return found


@pytest.fixture(scope="module")
def published(node: Native, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Provide the registry with a release in it, by `make release`."""
    with registry.serving(node.gateway, tmp_path_factory.mktemp("registry")) as made:
        node.trust(made.host, made.authority)
        planned = made.release("PLAN=1")
        assert "] done " not in planned
        assert "] to do " in planned
        made.release()
        yield made


def pinned(published: Registry, name: str, *words: str) -> str:
    """Return a reference by digest."""
    reference = f"{published.prefix}/{name}"
    return f"{reference}@{published.run('crane', 'digest', *words, f'{reference}:{__version__}').split()[0]}"


def test_a_second_run_has_nothing_to_do(published: Registry, figures: Figures) -> None:
    """All is built again, has the digests of before, and is found to be published, signed and attested."""
    before = [pinned(published, name) for name in ARTIFACTS]
    started = time.monotonic()
    said = published.release()

    steps = [line for line in said.splitlines() if "  push " in line or "  sign " in line or "  attest " in line]
    figures.add("steps of a release", len(steps))
    figures.add("steps left to a second run", sum("to do" in line for line in steps), bound="0")
    figures.add("the second run takes", time.monotonic() - started, "s")
    assert [] == [line for line in steps if "to do" in line]
    assert before == [pinned(published, name) for name in ARTIFACTS]


def test_signatures(published: Registry, figures: Figures, tmp_path: Path) -> None:
    """All that is published is signed, each platform has its SBOM, all has its provenance; another key signed none."""
    public = str(published.key.with_suffix(".pub"))
    verify = ("--key", public, "--insecure-ignore-tlog")
    parts = [pinned(published, name, "--platform", platform) for name in NAMES for platform in PLATFORMS]
    for reference in (*parts, *(pinned(published, name) for name in ARTIFACTS)):
        published.run("cosign", "verify", *verify, reference)
    for reference in parts:
        published.run("cosign", "verify-attestation", *verify, "--type", "cyclonedx", reference)
    for name in ARTIFACTS:
        published.run("cosign", "verify-attestation", *verify, "--type", "slsaprovenance1", pinned(published, name))
    published.run("cosign", "generate-key-pair", cwd=tmp_path)
    other = ("--key", str(tmp_path / "cosign.pub"), "--insecure-ignore-tlog")
    with pytest.raises(AssertionError, match=r"cosign verify .*: [1-9]"):
        published.run("cosign", "verify", *other, parts[0])

    figures.add("digests verified", len(parts) + len(ARTIFACTS))


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_image_of_the_command(published: Registry, figures: Figures, architecture: str, tmp_path: Path) -> None:
    """The image of the command line starts on both architectures, and injects as a KRM function by default."""
    platform = f"linux/{architecture}"
    config = json.loads(published.run("crane", "config", f"--platform={platform}", pinned(published, "cli")))
    fetched = tmp_path / "image.tar"
    published.run("crane", "export", f"--platform={platform}", pinned(published, "cli"), str(fetched))
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    subprocess.run(["tar", "-xf", fetched, "-C", rootfs], check=True)
    emulated: list[str] = []
    if platform != builders.HERE:
        apt.ensure({"qemu-user-static": "qemu-aarch64-static"})
        shutil.copyfile(QEMU, rootfs / "qemu")
        (rootfs / "qemu").chmod(0o755)
        emulated = ["/qemu", "/usr/bin/python3.13", "-IS"]

    def run(*words: str, stdin: str = "") -> str:
        command = ["chroot", "--userspec=65534:65534", str(rootfs), *emulated, PROGRAM, *words]
        (rootfs / "usr/bin/python3.13").chmod(0o755)  # that the emulator of processors may read it
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout

    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "app",
            "labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE},
            "annotations": {names.ANNOTATION_ROLE_ARN: pods.APP_ROLE},
        },
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }
    listed = {"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": [pod]}
    injected = run(*config["config"]["Cmd"], stdin=json.dumps(listed))
    size = sum(file.stat().st_size for file in rootfs.rglob("*") if file.is_file() and not file.is_symlink())

    figures.add(f"size of the command's image, {platform}", size / 1e6, "MB")
    assert f"{__version__}\n" == run("version")
    assert names.EMULATOR_CONTAINER in injected
    assert "trust-policy" in run("help")


def test_install_and_use(kube: Kube, published: Registry, release: Release, figures: Figures, tmp_path: Path) -> None:
    """`helm install oci://...` without `--set` or a checkout; `helm test`; the demo's pod has its credentials."""
    node = images.provider(kube)
    assert node
    chart = f"oci://{published.prefix}/charts/imds-emulator"
    helm = [program("helm"), "--kubeconfig", str(kube.kubeconfig), "--namespace", release.namespace]
    wait = ["--wait", f"--timeout={INSTALL_SECONDS}s"]
    started = time.monotonic()
    published.run(*helm, "install", release.name, chart, "--create-namespace", *wait, cwd=tmp_path)
    figures.add("from nothing to a webhook that is ready", time.monotonic() - started, "s")
    published.run(*helm, "test", release.name, cwd=tmp_path)
    used = {each["spec"]["containers"][0]["image"] for each in release.pods()}

    for archive in build.ensure(images.TESTS):
        node.load(archive)
    deployed = sts.deploy(kube, demo.STS_NAMESPACE)
    try:
        deployed.set_roles({pods.APP_ROLE: {"subjects": [f"system:serviceaccount:{demo.APP_NAMESPACE}:*"]}})
        settings = [f"--set=sts.region={pods.REGION}", f"--set=sts.caBundleConfigMap={pods.CLIENT_CONFIG}"]
        published.run(*helm, "upgrade", release.name, chart, *settings, *wait, cwd=tmp_path)
        team = Team(kube, deployed, demo.APP_NAMESPACE).prepare()
        kube.create(team.pod("app", "exec sleep infinity"))
        kube.kubectl("wait", "--namespace", team.namespace, "pod/app", "--for=condition=Ready", "--timeout=120s")
        answer = kube.shell(team.namespace, "app", pods.CURL)
        pod = kube.request("GET", path("v1", "Pod", team.namespace, "app"))
    finally:
        kube.delete(path("v1", "Namespace", name=demo.APP_NAMESPACE))
        sts.remove(kube, demo.STS_NAMESPACE)

    assert {pinned(published, "emulator")} == used
    assert [pinned(published, "emulator"), pinned(published, "redirect")] == [
        each["image"] for each in pod["spec"]["initContainers"]
    ]
    assert '"Code" : "Success"' in answer


def test_upgrade(kube: Kube, published: Registry, release: Release, figures: Figures, tmp_path: Path) -> None:
    """An upgrade to the published chart from the version before, out of the same registry, has its pods replaced."""
    chart = previous.published_chart(tmp_path)
    if chart is None:
        pytest.skip("this checkout has not the history with 0.1.0")
    for archive in build.ensure(build.PRODUCT):
        copy = previous.published_image(tmp_path, archive)
        name = archive.name.partition("-")[0]
        published.run("crane", "push", str(copy), f"{published.prefix}/{name}:{previous.PUBLISHED_TAG}")
    path_of_images = published.prefix.partition("/")[2]
    before = {
        "global": {"imageRegistry": published.host},
        "image": {"repository": f"{path_of_images}/emulator", "tag": previous.PUBLISHED_TAG},
        "redirectImage": {"repository": f"{path_of_images}/redirect", "tag": previous.PUBLISHED_TAG},
    }
    release.install(before, chart)
    started = time.monotonic()
    published.run(
        *[program("helm"), "--kubeconfig", str(kube.kubeconfig), "--namespace", release.namespace],
        *["upgrade", release.name, f"oci://{published.prefix}/charts/imds-emulator", "--reset-values"],
        *["--wait", f"--timeout={INSTALL_SECONDS}s"],
        cwd=tmp_path,
    )

    figures.add("the upgrade takes", time.monotonic() - started, "s")
    assert release.works()
    expected = {pinned(published, "emulator")}

    def replaced() -> bool:
        return expected == {each["spec"]["containers"][0]["image"] for each in release.pods()}

    wait_for("the pods of before gone", replaced, INSTALL_SECONDS)
