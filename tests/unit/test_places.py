"""`inject` on the objects of operators: templates by their shape, and no label passed over in silence."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
import yaml

from emulator import names
from emulator.cli import inject
from tests.support.kustomize.building import ROOT

Object = dict[str, Any]

ASKING = {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}
METADATA = {
    "labels": ASKING,
    "annotations": {names.ANNOTATION_ROLE_ARN: "arn:aws:iam::123456789012:role/app-role"},
}
SPEC = {"containers": [{"name": "app", "image": "app:1"}]}
TEMPLATE = {"metadata": METADATA, "spec": SPEC}
NATIVE = [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER]

# An operator's object -> the path of the template in it.
OPERATORS: dict[str, tuple[Object, str]] = {
    "ray": (
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "spec": {
                "headGroupSpec": {"template": {"spec": SPEC}},
                "workerGroupSpecs": [{"groupName": "a", "template": TEMPLATE}],
            },
        },
        "spec.workerGroupSpecs[0].template",
    ),
    "ray-job": (
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "spec": {"rayClusterSpec": {"headGroupSpec": {"template": TEMPLATE}}},
        },
        "spec.rayClusterSpec.headGroupSpec.template",
    ),
    "ray-submitter": (
        {"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {"submitterPodTemplate": TEMPLATE}},
        "spec.submitterPodTemplate",
    ),
    "spark": (
        {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "spec": {"driver": {"template": TEMPLATE}},
        },
        "spec.driver.template",
    ),
    "keda": (
        {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "spec": {"jobTargetRef": {"template": TEMPLATE}}},
        "spec.jobTargetRef.template",
    ),
    "jobset": (
        {
            "apiVersion": "jobset.x-k8s.io/v1alpha2",
            "kind": "JobSet",
            "spec": {"replicatedJobs": [{"name": "a", "template": {"spec": {"template": TEMPLATE}}}]},
        },
        "spec.replicatedJobs[0].template.spec.template",
    ),
    "airflow": ({"apiVersion": "v1", "kind": "Pod", **TEMPLATE}, ""),
    "knative": ({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": {"template": TEMPLATE}}, ""),
    "runners": (
        {"apiVersion": "actions.github.com/v1alpha1", "kind": "AutoscalingRunnerSet", "spec": {"template": TEMPLATE}},
        "",
    ),
    "values of a chart": ({"template": TEMPLATE}, "template"),
    "object within an object": (
        {
            "apiVersion": "work.open-cluster-management.io/v1",
            "kind": "ManifestWork",
            "spec": {"manifests": [{"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": TEMPLATE}}]},
        },
        "",
    ),
}

# A label where no template is -> its path, which the warning names.
STRAYS: dict[str, tuple[Object, str]] = {
    "argo, workflow": (
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {"podMetadata": {"labels": ASKING}}},
        "spec.podMetadata.labels",
    ),
    "argo, step": (
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "spec": {"templates": [{"name": "a", "metadata": METADATA, "container": {"image": "a"}}]},
        },
        "spec.templates[0].metadata.labels",
    ),
    "spark": (
        {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "spec": {"driver": {"labels": ASKING}},
        },
        "spec.driver.labels",
    ),
    "spark, labels that are copied to all its pods": (
        {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": METADATA, "spec": {}},
        "metadata.labels",
    ),
    "spark, a template without containers": (
        {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "ScheduledSparkApplication",
            "spec": {"template": {"executor": {"template": {"metadata": METADATA, "spec": {"nodeSelector": {}}}}}},
        },
        "spec.template.executor.template.metadata.labels",
    ),
    "tekton": (
        {"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": METADATA, "spec": {"taskSpec": {"steps": []}}},
        "metadata.labels",
    ),
    "runner without containers": (
        {
            "apiVersion": "actions.summerwind.dev/v1alpha1",
            "kind": "RunnerDeployment",
            "spec": {"template": {"metadata": METADATA, "spec": {"repository": "a/b"}}},
        },
        "spec.template.metadata.labels",
    ),
    "airflow, a file in a ConfigMap": (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "data": {"pod_template.yaml": yaml.safe_dump({"kind": "Pod", **TEMPLATE})},
        },
        "data[pod_template.yaml]",
    ),
    "jenkins, a file in a ConfigMap": (
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"jcasc": f"labels:\n  - {names.LABEL_ENABLED}: 'True'\n"}},
        "data.jcasc",
    ),
    "gitlab runner, TOML": (
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"c": f'[pod_labels]\n"{names.LABEL_ENABLED}" = "True"\n'}},
        "data.c",
    ),
    "pair": (
        {"apiVersion": "x.io/v1", "kind": "X", "spec": {"labels": [{"key": names.LABEL_ENABLED, "value": "True"}]}},
        "spec.labels[0]",
    ),
    "boolean": (
        {"apiVersion": "x.io/v1", "kind": "X", "spec": {"podLabels": {names.LABEL_ENABLED: True}}},
        "spec.podLabels",
    ),
    "kustomization": (
        {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "labels": [{"pairs": ASKING}]},
        "labels[0].pairs",
    ),
    "workload": (
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": METADATA, "spec": {"template": {"spec": SPEC}}},
        "metadata.labels",
    ),
    "job of a CronJob": (
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "spec": {"jobTemplate": {"metadata": METADATA, "spec": {"template": {"spec": SPEC}}}},
        },
        "spec.jobTemplate.metadata.labels",
    ),
}

# The label in what makes no pods, or beside a template that has it: not a word.
QUIET: dict[str, Object] = {
    "service of labels for all": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"labels": ASKING},
        "spec": {"selector": ASKING},
    },
    "monitor of labels for all": {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"labels": ASKING},
    },
    **{
        f"{kind} of labels for all": {"apiVersion": version, "kind": kind, "metadata": {"labels": ASKING}}
        for version, kind in (
            ("autoscaling.k8s.io/v1", "VerticalPodAutoscaler"),
            ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            ("rbac.authorization.k8s.io/v1", "Role"),
            ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
        )
    },
    "selector": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "spec": {"podSelector": {"matchLabels": ASKING}},
    },
    "annotation of kubectl": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(TEMPLATE)}},
    },
    "history": {"apiVersion": "apps/v1", "kind": "ControllerRevision", "data": {"spec": {"template": TEMPLATE}}},
    "status": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "status": {"stored": {"labels": ASKING}}},
    "another value": {"apiVersion": "x.io/v1", "kind": "X", "spec": {"labels": {names.LABEL_ENABLED: "true"}}},
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    """Return what runs `inject`: status, output, complaints."""

    def run_text(text: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), newline=""))
        status = inject.main(list(arguments) or ["-f", "-"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run_text


def names_in(node: Any) -> list[list[str]]:  # noqa: ANN401 - anything that YAML has
    """Return the names of the init containers of each pod in there."""
    if isinstance(node, list):
        return [found for item in node for found in names_in(item)]
    if not isinstance(node, dict):
        return []
    own = [[c["name"] for c in node["initContainers"]]] if "initContainers" in node else []
    return own + [found for item in node.values() for found in names_in(item)]


@pytest.mark.parametrize("name", OPERATORS)
def test_template_of_an_operator(run: Any, name: str) -> None:  # noqa: ANN401 - a function
    """A map that has the shape of a pod template, with the label, is injected; nothing else in the object is."""
    content, path = OPERATORS[name]
    status, output, complaints = run(yaml.safe_dump(content))
    again = run(yaml.safe_dump(content), "-f", "-", "--check")[1]

    assert (0, "") == (status, complaints)
    assert [sorted(NATIVE)] == [sorted(found) for found in names_in(yaml.safe_load(output))]
    assert again.endswith(f": {path}: to be injected\n" if path else "/?: to be injected\n")


def test_job_pods_of_operators(run: Any) -> None:  # noqa: ANN401 - a function
    """Pods that a Job makes for an operator are treated as a Job's: their classic sidecar ends with the app."""
    for name in ("keda", "jobset", "ray-submitter"):
        _, output, _ = run(yaml.safe_dump(OPERATORS[name][0]), "-f", "-", "--set", "sidecarMode=classic")
        assert "shareProcessNamespace: true" in output


@pytest.mark.parametrize("name", STRAYS)
def test_label_without_template(run: Any, name: str) -> None:  # noqa: ANN401 - a function
    """The label where nothing can be injected: a warning with its path, status 1, and no manifest at all."""
    content, path = STRAYS[name]
    text = f"{yaml.safe_dump(OPERATORS['keda'][0])}---\n{yaml.safe_dump(content)}"
    status, output, complaints = run(text)

    assert (1, "") == (status, output)
    assert f": document 2: {content['kind']}/?: {path}: label {names.LABEL_ENABLED} is not in a pod temp" in complaints
    assert complaints.startswith("imds-emulator inject: warning: ")


def test_label_on_workload_only(run: Any) -> None:  # noqa: ANN401 - a function
    """The label belongs on the pod template, which the warning names."""
    assert run(yaml.safe_dump(STRAYS["workload"][0]))[2].endswith(": set it in spec.template.metadata.labels\n")


@pytest.mark.parametrize("name", QUIET)
def test_label_that_means_nothing(run: Any, name: str) -> None:  # noqa: ANN401 - a function
    """Labels of kinds that make no pods, selectors, annotations and history come out as they came."""
    text = yaml.safe_dump(QUIET[name])

    assert (0, text, "") == run(text)


def test_labels_about_a_labelled_template(run: Any) -> None:  # noqa: ANN401 - a function
    """Kustomize that labels templates labels the object, the Job and the volume claims, too."""
    claim = {"metadata": {"name": "data", "labels": ASKING}, "spec": {}}
    stateful = {"template": TEMPLATE, "volumeClaimTemplates": [claim]}
    for kind, spec in (
        ("StatefulSet", stateful),
        ("CronJob", {"jobTemplate": {"metadata": {"labels": ASKING}, "spec": {"template": TEMPLATE}}}),
    ):
        content = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"labels": ASKING}, "spec": spec}
        assert (0, "") == run(yaml.safe_dump(content))[::2]


def test_broken_template_of_a_known_kind(run: Any) -> None:  # noqa: ANN401 - a function
    """A labelled pod without a spec is refused, not passed over."""
    status, output, complaints = run(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": METADATA}))

    assert (1, "") == (status, output)
    assert complaints == "imds-emulator inject: -: Pod/?: spec: Required value: must be an object\n"


def test_own_manifests(run: Any) -> None:  # noqa: ANN401 - a function
    """What installs the add-on has the label in selectors and rules, and passes as it is."""
    for file in sorted((ROOT / "install").rglob("*.yaml")):
        text = file.read_text()
        assert (0, text, "") == run(text), file


def test_krm_results(run: Any) -> None:  # noqa: ANN401 - a function
    """As a KRM function a label without template fails the build; the items come back as they came, with results."""
    items = [{**OPERATORS["keda"][0], "metadata": {"name": "a"}}, STRAYS["spark"][0]]
    given = {"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": items}
    status, output, complaints = run(yaml.safe_dump(given), "--krm")
    result = yaml.safe_load(output)

    assert (1, items) == (status, result["items"])
    assert [
        {
            "severity": "error",
            "resourceRef": {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication"},
            "field": {"path": "spec.driver.labels"},
        }
    ] == [{key: value for key, value in entry.items() if key != "message"} for entry in result["results"]]
    assert result["results"][0]["message"] in complaints


def test_krm_warnings(run: Any) -> None:  # noqa: ANN401 - a function
    """Warnings are results too, of an object that is injected."""
    pod = {**TEMPLATE, "spec": {"containers": [{"name": "app", "env": [{"name": "AWS_ACCESS_KEY_ID", "value": "x"}]}]}}
    items = [{"apiVersion": "v1", "kind": "Pod", **pod}]
    given = {"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": items}
    status, output, _ = run(yaml.safe_dump(given), "--krm")
    result = yaml.safe_load(output)

    assert (0, ["warning"]) == (status, [entry["severity"] for entry in result["results"]])
    assert [sorted(NATIVE)] == [sorted(found) for found in names_in(result["items"])]


@pytest.mark.parametrize("own", [None, [{"name": "own"}]])
def test_account_pull_secrets(run: Any, own: list[Object] | None) -> None:  # noqa: ANN401 - a function
    """Where the pod names no pull secret, ours hide those of its service account: a warning says so."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": METADATA, "spec": {**SPEC, "serviceAccountName": "app"}}
    pod["spec"] |= {"imagePullSecrets": own} if own else {}  # type: ignore[operator]
    complaints = run(yaml.safe_dump(pod), "-f", "-", "--set", "imagePullSecrets=ours")[2]

    assert ("those of ServiceAccount 'app' only to pods that name none" in complaints) == (own is None)


@pytest.mark.claim("S16")
def test_nothing_reaches_a_terminal_raw(run: Any) -> None:  # noqa: ANN401 - a function
    """Control, invisible and reordering characters of a manifest are shown as escapes."""
    pod = {"apiVersion": "v1", "kind": "Pod", **TEMPLATE, "spec": {"containers": [{"name": 5, "\x1b[2J": 1}]}}
    pod["metadata"] = {**METADATA, "annotations": {names.ANNOTATION_ROLE_ARN: "a\u202eb\x1b[31m\u00ad"}}
    complaints = run(yaml.safe_dump(pod))[2]

    assert complaints.rstrip("\n").isprintable()
