"""Values that operators look for, a test for what each does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import log
from emulator.build.render.__main__ import repository
from tests.process.chart.test_schema import SCHEMA
from tests.support.chart.rendering import CHART, HelmError, objects, one, pod_spec, template, values_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.chart.rendering import Object

ROLE = "arn:aws:iam::123456789012:role/app-role"
EVERYTHING = (
    "--set=mode=both,certificate.mode=cert-manager,serviceMonitor.enabled=true,podMonitor.enabled=true",
    "--set=prometheusRule.enabled=true,dashboard.enabled=true,networkPolicy.enabled=true",
)


def with_tests(*options: str) -> list[Object]:
    """Return the rendered objects, those of `helm test` with a role included."""
    return [item for item in yaml.safe_load_all(template(f"--set=test.roleArn={ROLE}", *options)) if item]


def test_name_override() -> None:
    """`nameOverride` replaces the chart's part of the names; labels, and so selectors, stay."""
    found = objects("--set=nameOverride=imds", release="r")

    assert "r-imds" == one(found, "Deployment")["metadata"]["name"]
    assert {"imds-emulator"} == {item["metadata"]["labels"]["app.kubernetes.io/name"] for item in found}


@pytest.mark.parametrize("mode", ["self", "cert-manager"])
def test_common_annotations(mode: str) -> None:
    """`commonAnnotations` are on every object beside those it needs, and not on the webhook's pods."""
    found = with_tests(*EVERYTHING, f"--set=certificate.mode={mode},commonAnnotations.team=a")
    webhooks = one(found, "MutatingWebhookConfiguration")["metadata"]["annotations"]

    assert [] == [item for item in found if item["metadata"]["annotations"]["team"] != "a"]
    assert "-1" == webhooks["argocd.argoproj.io/sync-wave"]
    assert (mode == "cert-manager") == ("cert-manager.io/inject-ca-from" in webhooks)
    assert "team" not in one(found, "Deployment")["spec"]["template"]["metadata"]["annotations"]


def test_no_annotations() -> None:
    """Where there are no annotations the key is not there, rather than null."""
    annotated = [item for item in objects(*EVERYTHING) if "annotations" in item["metadata"]]

    assert [] == [item["metadata"]["name"] for item in annotated if not item["metadata"]["annotations"]]


def test_common_labels_of_tests() -> None:
    """`commonLabels` are on the objects of `helm test`, too."""
    assert {"a"} == {item["metadata"]["labels"]["team"] for item in with_tests("--set=commonLabels.team=a")}


def test_deployment(tmp_path: Path) -> None:
    """History, runtime class, log level and security contexts arrive at the webhook's pods."""
    found = objects(
        values_file(
            tmp_path,
            """
            revisionHistoryLimit: 7
            runtimeClassName: gvisor
            logLevel: debug
            podSecurityContext: {fsGroup: 7}
            securityContext: {privileged: false}
            """,
        )
    )
    spec = pod_spec(found)
    (container,) = spec["containers"]

    assert 7 == one(found, "Deployment")["spec"]["revisionHistoryLimit"]
    assert ("gvisor", 7) == (spec["runtimeClassName"], spec["securityContext"]["fsGroup"])
    assert container["securityContext"]["privileged"] is False
    assert {"name": "IMDS_EMULATOR_LOG_LEVEL", "value": "debug"} in container["env"]
    assert list(log.LEVELS) == SCHEMA["properties"]["logLevel"]["enum"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
        (("--set=hostNetwork=true",), {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        (("--set=hostNetwork=true,strategy.type=Recreate",), {"type": "Recreate"}),
    ],
)
def test_strategy(options: tuple[str, ...], expected: Object) -> None:
    """With host ports an old pod ends before a new one starts, since no other node may be free."""
    assert expected == one(objects(*options), "Deployment")["spec"]["strategy"]


def test_pull_secrets_of_all_charts(tmp_path: Path) -> None:
    """`global.imagePullSecrets`, in both forms that charts have, is added to the chart's own, each once."""
    values = values_file(
        tmp_path, "global: {imagePullSecrets: [a, {name: b}, {name: c}]}\nimagePullSecrets: [{name: c}, {name: d}]\n"
    )
    found = with_tests(values)
    expected = [{"name": name} for name in "abcd"]

    assert expected == pod_spec(found)["imagePullSecrets"]
    assert expected == one(found, "Pod", "-test")["spec"]["imagePullSecrets"]
    assert "" == one(found, "ConfigMap", "-parameters")["data"]["imagePullSecrets"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"maxUnavailable": 1}),
        (("--set=podDisruptionBudget.minAvailable=2",), {"minAvailable": 2}),
        (("--set=podDisruptionBudget.minAvailable=50%",), {"minAvailable": "50%"}),
    ],
)
def test_disruption_budget(options: tuple[str, ...], expected: Object) -> None:
    """The API server takes one of the two: `minAvailable` where it is set."""
    spec = one(objects(*options), "PodDisruptionBudget")["spec"]

    assert expected == {key: value for key, value in spec.items() if key != "selector"}


def test_ip_families() -> None:
    """The Service's IP families are the cluster's, or those asked for."""
    assert not {"ipFamilyPolicy", "ipFamilies"} & one(objects(), "Service")["spec"].keys()

    asked = '--set-json=service={"ipFamilyPolicy":"RequireDualStack","ipFamilies":["IPv6","IPv4"]}'
    spec = one(objects(asked), "Service")["spec"]
    assert ("RequireDualStack", ["IPv6", "IPv4"]) == (spec["ipFamilyPolicy"], spec["ipFamilies"])


def test_relabelings() -> None:
    """Relabelings reach both monitors; those of the sidecars come after the chart's own."""
    rule: dict[str, Any] = {"action": "labeldrop", "regex": "pod"}
    given = json.dumps([rule])
    found = objects(
        *EVERYTHING, f"--set-json=serviceMonitor.relabelings={given}", f"--set-json=podMonitor.relabelings={given}"
    )

    assert [rule] == one(found, "ServiceMonitor")["spec"]["endpoints"][0]["relabelings"]
    own = one(objects(*EVERYTHING), "PodMonitor")["spec"]["podMetricsEndpoints"][0]["relabelings"]
    assert [*own, rule] == one(found, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["relabelings"]


def test_runbooks() -> None:
    """Each alert refers to its heading in the runbooks, in our repository or where the operator keeps them."""
    for options, page in (
        ((), f"{repository()}/blob/main/docs/runbooks.md"),
        (("--set=prometheusRule.runbookUrl=https://wiki.example/imds",), "https://wiki.example/imds"),
    ):
        (group,) = one(objects(*EVERYTHING, *options), "PrometheusRule")["spec"]["groups"]
        links = [rule["annotations"]["runbook_url"] for rule in group["rules"]]

        assert [f"{page}#{rule['alert'].lower()}" for rule in group["rules"]] == links


def test_umbrella(tmp_path: Path) -> None:
    """A parent chart turns the chart on and off by `condition`; a typo is refused there, too."""
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "imds-emulator").symlink_to(CHART)
    dependency = {"name": "imds-emulator", "version": ">0.0.0-0", "condition": "imds-emulator.enabled"}
    chart = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values = {"global": {"imageRegistry": "mirror.example", "other": {"a": 1}}, "imds-emulator": {"enabled": True}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))

    found = objects(chart=str(tmp_path), release="r")

    assert "r-imds-emulator" == one(found, "Deployment")["metadata"]["name"]
    assert pod_spec(found)["containers"][0]["image"].startswith("mirror.example/imds-emulator/")
    assert [] == objects("--set=imds-emulator.enabled=false", chart=str(tmp_path))
    with pytest.raises(HelmError, match="additional properties 'regio' not allowed"):
        objects("--set=imds-emulator.regio=x", chart=str(tmp_path))


def test_linux_nodes() -> None:
    """Everything that is scheduled asks for Linux nodes, whatever else is asked for."""
    found = with_tests("--set=nodeSelector.pool=infra")
    pods = [pod_spec(found), *(item["spec"] for item in found if item["kind"] == "Pod")]

    assert [{"kubernetes.io/os": "linux", "pool": "infra"}, *[{"kubernetes.io/os": "linux"}] * 2] == [
        spec["nodeSelector"] for spec in pods
    ]
    assert {"ConfigMap", "Deployment", "Pod"} >= {
        item["kind"] for item in found if "containers:" in yaml.safe_dump(item)
    }


def test_uid_of_the_cluster() -> None:
    """Where uid and gid are null, nothing that is scheduled names any."""
    found = with_tests("--set=podSecurityContext.runAsUser=null,podSecurityContext.runAsGroup=null")
    pods = [pod_spec(found), *(item["spec"] for item in found if item["kind"] == "Pod")]

    assert [{"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}] * 3 == [
        spec["securityContext"] for spec in pods
    ]
    assert [] == [spec for spec in pods if "runAs" in json.dumps(spec["containers"])]


def test_uid_of_tests() -> None:
    """The pods of `helm test` do not run as the emulator's user, which admission refuses to others."""
    users = {item["spec"]["securityContext"]["runAsUser"] for item in with_tests() if item["kind"] == "Pod"}

    assert {65532} == users
