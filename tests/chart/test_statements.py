"""What the chart says, value by value: each test names the case or the choice that it holds."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from emulator import __version__, names
from tests.chart import rendering
from tests.chart.rendering import CHART, KUBE_VERSION, HelmError, helm, objects, one, template, values_file
from tests.tools import build
from tests.tools.table import find

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chart.rendering import Object

ROLE = "arn:aws:iam::123456789012:role/app-role"
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
VERSIONS = ("v1.24.17-eks-4f4795d", "v1.29.4-gke.1043002", "v1.31.7-eks-4096722", "v1.37.0")
WEBHOOK_KINDS = {"MutatingWebhookConfiguration", "Deployment", "Service", "Secret", "PodDisruptionBudget"}


def webhook(found: list[Object]) -> Object:
    """Return the only webhook of the webhook configuration."""
    (entry,) = one(found, "MutatingWebhookConfiguration")["webhooks"]
    return dict(entry)


def pod_spec(found: list[Object]) -> Object:
    """Return the spec of the webhook's pods."""
    return dict(one(found, "Deployment")["spec"]["template"]["spec"])


def test_deterministic() -> None:
    """Two renderings are the same text, and no template asks for chance, the time or the cluster (C55)."""
    sources = "".join(file.read_text() for file in (CHART / "templates").iterdir() if file.is_file())

    assert template() == template.__wrapped__()
    assert [] == re.findall(r"\b(?:lookup|rand\w*|gen[A-Z]\w+|uuidv4|now|date\w*|htmlDate|ago)\b(?= )", sources)


def test_old_kubernetes() -> None:
    """Kubernetes 1.23 is refused (C56)."""
    with pytest.raises(HelmError, match=r"chart requires kubeVersion: >=1.24.0-0 which is incompatible with"):
        template(kube_version="v1.23.17")


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_versions(version: str) -> None:
    """Versions with a vendor's suffix are taken; the guard policy is there from 1.30 on (C56)."""
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
    """Every name is a DNS label of 63 characters at most, and the webhook calls the Service by its name (C57)."""
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


def test_scope() -> None:
    """The API server calls for new pods with exactly the label "True", fails closed, and waits 5 s (C12, C24, C62)."""
    entry = webhook(objects())

    assert {
        "name": "pods.inject.imds-emulator",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "service": {"name": "imds-emulator", "namespace": "imds-emulator", "path": "/mutate", "port": 443}
        },
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "objectSelector": {"matchLabels": {names.LABEL_ENABLED: "True"}},
        "namespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", "imds-emulator"],
                }
            ]
        },
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "timeoutSeconds": 5,
    } == entry


def test_namespaces(tmp_path: Path) -> None:
    """Which namespaces are left alone can be adjusted, the release's own included (C13)."""
    values = values_file(
        tmp_path,
        """
        namespaces:
          excluded: [kube-system, kube-public]
          excludeRelease: false
          selector:
            matchLabels: {emulator: allowed}
            matchExpressions: [{key: team, operator: Exists}]
        """,
    )
    expected = {
        "matchLabels": {"emulator": "allowed"},
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "kube-public"]},
            {"key": "team", "operator": "Exists"},
        ],
    }

    assert expected == webhook(objects(values))["namespaceSelector"]


@pytest.mark.parametrize("mode", ["webhook", "policy"])
def test_argo_cd_order(mode: str) -> None:
    """What a labelled pod of the same sync must find there is one wave ahead of it (C65)."""
    ahead = {
        item["kind"]
        for item in objects(f"--set=mode={mode}")
        if item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave") == "-1"
    }

    expected = {
        "webhook": {"MutatingWebhookConfiguration"},
        "policy": {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
    }
    assert expected[mode] | {"ConfigMap", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} == ahead


def test_no_namespace_excluded() -> None:
    """With nothing excluded the selector is empty, not invalid."""
    found = objects("--set-json=namespaces.excluded=[]", "--set=namespaces.excludeRelease=false")

    assert {"matchExpressions": []} == webhook(found)["namespaceSelector"]


def test_self_mode() -> None:
    """Mode `self`: no caBundle (C63), a Secret without data that the release owns (C58), and the right to that one."""
    found = objects("--set=certificate.mode=self")

    assert "caBundle" not in webhook(found)["clientConfig"]
    assert {"apiVersion", "kind", "metadata", "type"} == one(found, "Secret").keys()
    assert [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["imds-emulator-certificate"],
            "verbs": ["get", "update"],
        }
    ] == one(found, "Role")["rules"]
    assert [
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": ["imds-emulator"],
            "verbs": ["get", "patch"],
        }
    ] == one(found, "ClusterRole")["rules"]
    assert ["parameters"] == [volume["name"] for volume in pod_spec(found)["volumes"]]


def test_cert_manager_mode() -> None:
    """Mode `cert-manager` fills in caBundle; the webhook mounts the Secret of its Certificate and may only read."""
    found = objects("--set=certificate.mode=cert-manager", release="r", namespace="ns")
    configuration = one(found, "MutatingWebhookConfiguration")

    source = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]

    assert "ns/r-imds-emulator-certificate" == source
    assert "caBundle" not in webhook(found)["clientConfig"]
    assert [] == [item for item in found if item["kind"] in ("Secret", "Role", "RoleBinding")]
    assert ["get"] == one(found, "ClusterRole")["rules"][0]["verbs"]
    secret = one(found, "Certificate", "-certificate")["spec"]["secretName"]
    assert {"name": "certificate", "secret": {"secretName": secret}} in pod_spec(found)["volumes"]
    assert {"name": "r-imds-emulator-ca", "kind": "Issuer", "group": "cert-manager.io"} == one(
        found, "Certificate", "-certificate"
    )["spec"]["issuerRef"]


def test_cert_manager_with_an_issuer() -> None:
    """A given issuer takes the place of the chart's own authority."""
    options = "--set=certificate.issuerRef.name=corp,certificate.issuerRef.kind=ClusterIssuer"
    found = objects("--set=certificate.mode=cert-manager", options)

    assert {"name": "corp", "kind": "ClusterIssuer"} == one(found, "Certificate")["spec"]["issuerRef"]
    assert [] == [item for item in found if item["kind"] == "Issuer"]


def test_secret_mode(tmp_path: Path) -> None:
    """Mode `secret`: the given Secret is mounted and the given authority is the caBundle."""
    values = values_file(
        tmp_path,
        """
        certificate:
          mode: secret
          secretName: tls
          caBundle: |
            -----BEGIN CERTIFICATE-----
            AAAA
            -----END CERTIFICATE-----
        """,
    )
    found = objects(values)

    bundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
    assert bundle == webhook(found)["clientConfig"]["caBundle"]
    assert {"name": "certificate", "secret": {"secretName": "tls"}} in pod_spec(found)["volumes"]
    assert [] == [item for item in found if item["kind"] in ("Secret", "Certificate", "Issuer", "Role")]


def test_secret_mode_filled_by_others() -> None:
    """Mode `secret` without an authority leaves caBundle out, so that whoever fills it in keeps it."""
    found = objects("--set=certificate.mode=secret,certificate.secretName=tls")

    assert "caBundle" not in webhook(found)["clientConfig"]


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_allowed_roles(mode: str) -> None:
    """The webhook may read namespaces only where an allow-list is in use."""
    found = objects(f"--set=allowedRoles.mode={mode}", '--set-json=allowedRoles.default=["arn:a*","arn:b"]')

    assert {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]} == one(found, "ClusterRole")["rules"][1]
    assert ("arn:a*,arn:b", mode) == tuple(
        one(found, "ConfigMap", "-parameters")["data"][key] for key in ("allowedRoles", "allowedRolesMode")
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    {
        (): f"imds-emulator/emulator:{__version__}",
        ("image.tag=1.10",): "imds-emulator/emulator:1.10",
        ("global.imageRegistry=reg.example:5000",): f"reg.example:5000/imds-emulator/emulator:{__version__}",
        (
            "global.imageRegistry=a.example",
            "image.registry=b.example/",
        ): f"b.example/imds-emulator/emulator:{__version__}",
        ("image.repository=reg.example:5000/p/emulator",): f"reg.example:5000/p/emulator:{__version__}",
        (f"image.digest=sha256:{'0' * 64}", "image.tag=x"): f"imds-emulator/emulator@sha256:{'0' * 64}",
    }.items(),
)
def test_image(options: tuple[str, ...], expected: str) -> None:
    """The webhook and the sidecar have one image; the registry is its own, else the global one (C59)."""
    found = objects(*(f"--set-string={option}" for option in options))

    assert (expected, expected) == (
        pod_spec(found)["containers"][0]["image"],
        one(found, "ConfigMap", "-parameters")["data"]["emulatorImage"],
    )


def test_pull_secrets(tmp_path: Path) -> None:
    """Pull secrets of the webhook and of injected pods are two settings (C59)."""
    values = values_file(
        tmp_path, "imagePullSecrets: [{name: reg}]\nsidecar: {imagePullSecrets: [{name: a}, {name: b}]}\n"
    )
    found = objects(values)

    assert [{"name": "reg"}] == pod_spec(found)["imagePullSecrets"]
    assert "a,b" == one(found, "ConfigMap", "-parameters")["data"]["imagePullSecrets"]


def test_quoted_labels(tmp_path: Path) -> None:
    """Labels and annotations that look like other types stay strings; a selector can't be changed by them (C60)."""
    values = values_file(
        tmp_path,
        """
        commonLabels: {example.com/team: "007"}
        podLabels: {example.com/a: "true", example.com/b: "1.10", example.com/c: "True", app.kubernetes.io/name: other}
        podAnnotations: {example.com/d: "0123", example.com/e: "null"}
        """,
    )
    found = objects(values)
    metadata = one(found, "Deployment")["spec"]["template"]["metadata"]
    annotations = {key: value for key, value in metadata["annotations"].items() if key.startswith("example.com/")}

    assert {
        "app.kubernetes.io/name": "imds-emulator",
        "app.kubernetes.io/instance": "imds-emulator",
        "example.com/team": "007",
        "example.com/a": "true",
        "example.com/b": "1.10",
        "example.com/c": "True",
    } == metadata["labels"]
    assert {"example.com/d": "0123", "example.com/e": "null"} == annotations
    assert {"007"} == {item["metadata"]["labels"]["example.com/team"] for item in found}


def test_names_like_other_types() -> None:
    """A namespace called 123 or true stays a string."""
    for namespace in ("123", "true"):
        found = objects(namespace=namespace)

        assert {namespace} == {item["metadata"].get("namespace", namespace) for item in found}
        assert namespace in webhook(found)["namespaceSelector"]["matchExpressions"][0]["values"]


def test_pass_through(tmp_path: Path) -> None:
    """The knobs of the webhook's pods arrive unchanged."""
    values = values_file(
        tmp_path,
        """
        replicas: 3
        resources: {requests: {cpu: 1m}}
        priorityClassName: ""
        nodeSelector: {pool: infra}
        tolerations: [{key: infra, operator: Exists}]
        affinity: {nodeAffinity: {}}
        topologySpreadConstraints: [{topologyKey: rack, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]
        extraEnv: [{name: IMDS_EMULATOR_DRAIN_SECONDS, value: "1"}]
        extraVolumes: [{name: x, emptyDir: {}}]
        extraVolumeMounts: [{name: x, mountPath: /x}]
        hostNetwork: true
        dnsPolicy: ClusterFirstWithHostNet
        ports: {webhook: 9443, health: 9444, service: 444}
        serviceAccount: {name: sa, annotations: {a: b}}
        admission: {timeoutSeconds: 3, annotations: {c: d}}
        podDisruptionBudget: {maxUnavailable: 50%}
        """,
    )
    found = objects(values)
    spec = pod_spec(found)
    container = spec["containers"][0]

    assert 3 == one(found, "Deployment")["spec"]["replicas"]
    assert {
        "serviceAccountName": "sa",
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "nodeSelector": {"pool": "infra"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
    } == {key: spec[key] for key in (*PASSED, "serviceAccountName")}
    assert "priorityClassName" not in spec
    assert {
        "requests": {"cpu": "1m", "memory": "48Mi"},
        "limits": {"cpu": "1", "memory": "128Mi"},
    } == container["resources"]
    assert {"name": "IMDS_EMULATOR_DRAIN_SECONDS", "value": "1"} == container["env"][-1]
    assert {"name": "x", "mountPath": "/x"} == container["volumeMounts"][-1]
    assert {"name": "x", "emptyDir": {}} == spec["volumes"][-1]
    assert {"https": 9443, "health": 9444} == {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {"https": 444, "health": 9444} == {
        port["name"]: port["port"] for port in one(found, "Service")["spec"]["ports"]
    }
    assert 444 == webhook(found)["clientConfig"]["service"]["port"]
    assert ("sa", {"a": "b"}) == tuple(one(found, "ServiceAccount")["metadata"][key] for key in ("name", "annotations"))
    assert (3, "d") == (
        webhook(found)["timeoutSeconds"],
        one(found, "MutatingWebhookConfiguration")["metadata"]["annotations"]["c"],
    )
    assert "50%" == one(found, "PodDisruptionBudget")["spec"]["maxUnavailable"]


PASSED = ("hostNetwork", "dnsPolicy", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")


def test_least_privilege_of_the_pod() -> None:
    """The webhook runs as a user of its own without capabilities, on a root file system that it can't write."""
    spec = pod_spec(objects())

    assert {
        "runAsNonRoot": True,
        "runAsUser": names.EMULATOR_UID,
        "runAsGroup": names.EMULATOR_GID,
        "seccompProfile": {"type": "RuntimeDefault"},
    } == spec["securityContext"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == spec["containers"][0]["securityContext"]


def test_selectors_agree() -> None:
    """Service, Deployment, disruption budget and spread select the webhook's pods by the same two labels."""
    found = objects(release="r")
    expected = {"app.kubernetes.io/name": "imds-emulator", "app.kubernetes.io/instance": "r"}
    deployment = one(found, "Deployment")["spec"]

    assert expected == one(found, "Service")["spec"]["selector"]
    assert expected == deployment["selector"]["matchLabels"]
    assert expected.items() <= deployment["template"]["metadata"]["labels"].items()
    assert expected == one(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert [expected] * 2 == [
        spread["labelSelector"]["matchLabels"] for spread in deployment["template"]["spec"]["topologySpreadConstraints"]
    ]


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
    assert ["probe", "credentials"] == asking["args"]
    assert ("True", ROLE) == (
        metadata["labels"][names.LABEL_ENABLED],
        metadata["annotations"][names.ANNOTATION_ROLE_ARN],
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
    tool = find("ct")
    build.ensure([tool])
    root = CHART.parents[1]
    path = f"{rendering.program().parent}{os.pathsep}{os.environ['PATH']}"

    linted = subprocess.run(
        [build.program(tool, "ct"), "lint", "--config", "ct.yaml", "--all"],
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
