"""The chart as a whole: versions, names, determinism, linters, `helm test`."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from emulator import names
from tests.support.chart.rendering import (
    CHART,
    KUBE_VERSION,
    HelmError,
    helm,
    objects,
    one,
    template,
    webhook,
)
from tests.support.tools import programs

if TYPE_CHECKING:
    from tests.support.chart.rendering import Object


ROLE = "arn:aws:iam::123456789012:role/app-role"
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
VERSIONS = ("v1.24.17-eks-4f4795d", "v1.29.4-gke.1043002", "v1.31.7-eks-4096722", "v1.37.0")
WEBHOOK_KINDS = {"MutatingWebhookConfiguration", "Deployment", "Service", "Secret", "PodDisruptionBudget"}


def test_deterministic() -> None:
    """Two renderings are the same text, and no template asks for chance, the time or the cluster."""
    sources = "".join(file.read_text() for file in (CHART / "templates").iterdir() if file.is_file())

    assert template() == template.__wrapped__()
    assert [] == re.findall(r"\b(?:lookup|rand\w*|gen[A-Z]\w+|uuidv4|now|date\w*|htmlDate|ago)\b(?= )", sources)


def test_old_kubernetes() -> None:
    """Kubernetes 1.23 is refused."""
    with pytest.raises(HelmError, match=r"chart requires kubeVersion: >=1.24.0-0 which is incompatible with"):
        template(kube_version="v1.23.17")


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_versions(version: str) -> None:
    """Versions with a vendor's suffix are taken; the guard policy is there from 1.30 on."""
    kinds = {(item["apiVersion"], item["kind"]) for item in objects(kube_version=version)}

    minor = int(version.split(".")[1])
    guard = ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy")
    assert (minor >= 30) == (guard in kinds)
    assert WEBHOOK_KINDS <= {kind for _, kind in kinds}
    assert all("alpha" not in version and "beta" not in version for version, _ in kinds)


@pytest.mark.parametrize(
    "where",
    [
        {"fullnameOverride": "a-very-long-name-for-the-injector-of-the-platform-team-in-production-eu-west-1"},
        {"fullnameOverride": f"{'x' * 50}-{'y' * 20}"},
        {"release": "a" * 53},
        {"release": "1st.release"},
    ],
)
def test_long_names(where: dict[str, str]) -> None:
    """Every name is a DNS label of 63 characters at most, and the webhook calls the Service by its name."""
    override = [f"--set=fullnameOverride={where['fullnameOverride']}"] if "fullnameOverride" in where else []
    found = objects(*override, "--set=certificate.mode=cert-manager", release=where.get("release", "r"), namespace="ns")

    service = one(found, "Service")["metadata"]["name"]
    certificate = one(found, "Certificate", "-certificate")
    common_name = one(found, "Certificate", "-ca")["spec"]["commonName"]

    assert [] == [name for item in found if not DNS_LABEL.fullmatch(name := item["metadata"]["name"])]
    assert (service, "ns") == tuple(webhook(found)["clientConfig"]["service"][key] for key in ("name", "namespace"))
    assert [f"{service}.ns.svc", f"{service}.ns"] == certificate["spec"]["dnsNames"]
    assert "commonName" not in certificate["spec"]
    assert len(common_name) <= 64


def test_new_parameters_restart_the_webhook() -> None:
    """A changed parameter changes the pod template, an unchanged one does not."""
    checksums = [
        one(objects(*options), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/parameters"]
        for options in ((), (), ("--set=sts.region=eu-west-1",))
    ]

    assert checksums[0] == checksums[1] != checksums[2]


def test_helm_test() -> None:
    """`helm test` runs one pod, and one more where a role is given; none of its objects outlives a success."""
    found = [item for item in yaml.safe_load_all(template("--set=test.namespace=team-a")) if is_test(item)]
    with_role = [item for item in yaml.safe_load_all(template(f"--set=test.roleArn={ROLE}")) if is_test(item)]
    (container,) = one(found, "Pod")["spec"]["containers"]
    (asking,) = one(with_role, "Pod", "-credentials")["spec"]["containers"]
    metadata = one(with_role, "Pod", "-credentials")["metadata"]

    assert ["Pod", "Role", "RoleBinding", "ServiceAccount"] == sorted(item["kind"] for item in found)
    assert ["probe", "admission", "team-a"] == container["args"]
    assert ["--role-arn", ROLE] == one(with_role, "Pod", "-test")["spec"]["containers"][0]["args"][3:]
    assert ["probe", "credentials", "--role-arn", ROLE] == asking["args"]
    assert ("True", ROLE, "false") == (
        metadata["labels"][names.LABEL_ENABLED],
        metadata["annotations"][names.ANNOTATION_ROLE_ARN],
        metadata["annotations"][names.ANNOTATION_APP_REGION],
    )
    assert {"before-hook-creation,hook-succeeded"} == {
        item["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for item in with_role
    }


def test_test_pods_are_no_endpoints() -> None:
    """The webhook's Service does not select the pods of `helm test`."""
    found = list(yaml.safe_load_all(template(f"--set=test.roleArn={ROLE}")))
    selector = one(found, "Service")["spec"]["selector"]

    assert [] == [
        item["metadata"]["name"]
        for item in found
        if item["kind"] == "Pod" and selector.items() <= item["metadata"]["labels"].items()
    ]


def is_test(item: Object) -> bool:
    """Tell whether an object belongs to `helm test`."""
    return bool(item["metadata"].get("annotations", {}).get("helm.sh/hook") == "test")


def test_chart_testing() -> None:
    """`ct lint` with the settings of ct.yaml takes the chart, with each of its `ci` values."""
    root = CHART.parents[1]
    path = f"{programs.path('helm').parent}{os.pathsep}{os.environ['PATH']}"

    linted = subprocess.run(
        [programs.path("ct"), "lint", "--config", "ct.yaml", "--all"],
        cwd=root,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "All charts linted successfully") == (linted.returncode, linted.stdout.splitlines()[-1])


def test_lint() -> None:
    """`helm lint --strict` finds nothing."""
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), "--kube-version", KUBE_VERSION)
