"""Each mode as a whole: one golden, and what must be there or must not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from emulator import names
from emulator.injection import cel, cel_text
from tests.support.chart.rendering import CHART, HelmError, objects, one, template, values_file, webhook

GOLDEN = Path(__file__).parent / "golden"
SOURCES = CHART.parents[1] / "src" / "emulator"
MODES = {
    "webhook": ("--set=mode=webhook",),
    "policy": ("--set=mode=policy",),
    "cert-manager": ("--set=certificate.mode=cert-manager",),
}
WATCHED = (
    "--set=serviceMonitor.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true",
    "--set=dashboard.enabled=true,networkPolicy.enabled=true",
)


@pytest.mark.parametrize("mode", MODES)
def test_golden(mode: str) -> None:
    """The mode's whole output is the golden's; `python -m tests.process.chart` rewrites it."""
    assert (GOLDEN / f"{mode}.yaml").read_text() == golden(mode)


def golden(mode: str) -> str:
    """Return a mode's output; what `emulator.cel` writes is named, not repeated (see `test_cel_arrives_unchanged`)."""
    found = list(yaml.safe_load_all(template(*MODES[mode])))
    for item in found:
        if item["kind"].endswith("AdmissionPolicy"):
            expressions = ("matchConditions", "variables", "validations", "mutations")
            item["spec"].update({key: "by emulator.cel" for key in expressions if key in item["spec"]})
    return yaml.safe_dump_all(found, sort_keys=False, width=120)


def test_goldens_are_used() -> None:
    """No golden is left over."""
    assert {f"{mode}.yaml" for mode in MODES} == {file.name for file in GOLDEN.iterdir()}


def test_policy_mode_has_no_server() -> None:
    """Mode `policy` runs nothing: policies, their bindings and the parameters, no more."""
    kinds = {item["kind"] for item in objects(*MODES["policy"])}

    assert {
        "ConfigMap",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    } == kinds


def test_mode_between() -> None:
    """Mode `both` has the objects of webhook and policy; the webhook may be away, for the policy stands in."""
    found = {mode: objects(f"--set=mode={mode}") for mode in ("webhook", "policy", "both")}
    named = {mode: {(each["kind"], each["metadata"]["name"]) for each in found[mode]} for mode in found}

    assert named["webhook"] | named["policy"] == named["both"]
    assert ("Fail", "Ignore") == tuple(webhook(found[mode])["failurePolicy"] for mode in ("webhook", "both"))
    assert "Fail" == one(found["both"], "MutatingAdmissionPolicy")["spec"]["failurePolicy"]


@pytest.mark.parametrize(
    ("version", "expected"),
    {
        "v1.34.1": "admissionregistration.k8s.io/v1beta1",
        "v1.35.2-gke.100": "admissionregistration.k8s.io/v1beta1",
        "v1.36.0": "admissionregistration.k8s.io/v1",
        "v1.37.2": "admissionregistration.k8s.io/v1",
    }.items(),
)
def test_version_of_the_policy(version: str, expected: str) -> None:
    """The mutating policy has the newest API version that the API server serves."""
    found = objects(*MODES["policy"], kube_version=version)

    assert [expected, expected] == [
        one(found, kind)["apiVersion"] for kind in ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
    ]


def test_version_of_the_policy_served_early() -> None:
    """An API server that says that it serves v1 is taken at its word."""
    api = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
    found = objects(*MODES["policy"], api, kube_version="v1.35.0")

    assert "admissionregistration.k8s.io/v1" == one(found, "MutatingAdmissionPolicy")["apiVersion"]


def test_policy_mode_too_early() -> None:
    """Where there is no mutating policy, mode `policy` is refused with the remedy."""
    with pytest.raises(HelmError) as refusal:
        template(*MODES["policy"], kube_version="v1.33.1")

    expected = "mode is policy, which needs Kubernetes 1.34 or later, and this is v1.33.1: set mode to webhook"
    assert expected == str(refusal.value).splitlines()[0].split(": ", 2)[2]


@pytest.mark.parametrize("mode", ["webhook", "policy"])
def test_policies_have_bindings(mode: str) -> None:
    """Each binding names its policy, and, for a rollback, the ConfigMap of the release."""
    found = objects(*MODES[mode], release="r", namespace="ns")
    policies = {item["metadata"]["name"] for item in found if item["kind"].endswith("AdmissionPolicy")}
    bindings = [item["spec"] for item in found if item["kind"].endswith("AdmissionPolicyBinding")]
    actions = {
        binding["policyName"]: (binding["paramRef"].pop("parameterNotFoundAction"), binding.get("validationActions"))
        for binding in bindings
    }

    expected: dict[str, tuple[str, list[str] | None]] = {
        "r-imds-emulator-guard": ("Deny", ["Deny"]),
        "r-imds-emulator-advice": ("Allow", ["Warn"]),
    }
    if mode == "policy":
        expected["r-imds-emulator"] = ("Deny", None)
    assert expected == actions
    assert policies == actions.keys()
    assert [{"name": "r-imds-emulator-parameters", "namespace": "ns"}] * len(bindings) == [
        binding["paramRef"] for binding in bindings
    ]


ODD = """role/\\Q*"'<&>\u00e9\U0001f600{{7}}"""


@pytest.mark.parametrize("mode", ["webhook", "policy"])
def test_policies_have_the_parameters(mode: str) -> None:
    """Policies have the parameters that they read in themselves, in a literal that is both CEL and JSON.

    None has a paramKind: once no policy with one is left, an API server does not find the parameters of the next
    installation (kubernetes/kubernetes#130887).
    """
    found = objects(*MODES[mode], "--set-json", f"allowedRoles.default={json.dumps([ODD])}")
    policies = [item for item in found if item["kind"].endswith("AdmissionPolicy")]
    readers = [policy for policy in policies if "variables.parameters" in json.dumps(policy)]
    data = one(found, "ConfigMap", "-parameters")["data"]

    assert ODD == data["allowedRoles"]
    assert (1 if mode == "webhook" else 3) == len(readers)
    for policy in readers:
        first, *others = policy["spec"]["variables"]
        assert "parameters" == first["name"]
        read = re.findall(r"variables\.parameters\.(\w+)", json.dumps(policy))
        assert {key: data[key] for key in read} == json.loads(first["expression"])
        assert ("httpsProxy" in read) == (policy["kind"] == "MutatingAdmissionPolicy")  # it may hold a password
        assert "params." not in json.dumps(others)
    assert [] == [policy["metadata"]["name"] for policy in policies if "paramKind" in policy["spec"]]


def test_too_many_parameters(tmp_path: Path) -> None:
    """More roles than the API server takes in an expression are refused, with the remedy."""
    roles = [f"arn:aws:iam::123456789012:role/team-{number:05}/*" for number in range(2500)]
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"allowedRoles": {"default": roles}}))

    with pytest.raises(HelmError) as refusal:
        template(f"--values={values}")

    expected = (
        r"allowedRoles.default has 2500 entries, which with the other parameters are 11\d{4} characters,"
        r" and a policy takes 100000: use globs, or the annotation imds-emulator/allowed-roles of namespaces"
    )
    assert re.search(expected, str(refusal.value))


@pytest.mark.parametrize("mode", ["webhook", "policy"])
def test_policies_match_what_the_webhook_matches(mode: str) -> None:
    """Webhook, mutating policy and guard are asked about the same pods; the guard about updates as well."""
    found = objects(*MODES[mode])
    guard = one(found, "ValidatingAdmissionPolicy", "-guard")["spec"]["matchConstraints"]
    if mode == "policy":
        mutating = one(found, "MutatingAdmissionPolicy")["spec"]["matchConstraints"]
    else:
        entry = one(found, "MutatingWebhookConfiguration")["webhooks"][0]
        mutating = {key: entry[key] for key in ("matchPolicy", "objectSelector", "namespaceSelector")}
        mutating["resourceRules"] = entry["rules"]

    (rule,) = guard["resourceRules"]
    assert ["CREATE", "UPDATE"] == rule["operations"]
    rule["operations"] = ["CREATE"]
    assert mutating == guard


def test_cel_arrives_unchanged() -> None:
    """Helm does not touch a character of the expressions."""
    found = objects(*MODES["policy"])
    policy = one(found, "MutatingAdmissionPolicy")["spec"]
    guard = one(found, "ValidatingAdmissionPolicy", "-guard")["spec"]
    advice = one(found, "ValidatingAdmissionPolicy", "-advice")["spec"]

    assert cel.mutation() == policy["mutations"][0]["jsonPatch"]["expression"]
    assert [cel_text.PARAMETERS] * 3 == [spec["variables"].pop(0)["name"] for spec in (policy, guard, advice)]
    assert cel.mutation_variables() == policy["variables"]
    assert (cel.validation_variables(), cel.validations()) == (guard["variables"], guard["validations"])
    assert (cel.warning_variables(), cel.warnings()) == (advice["variables"], advice["validations"])
    beside_webhook = one(objects(*MODES["webhook"]), "ValidatingAdmissionPolicy", "-advice")["spec"]
    assert (cel.label_warning_variables(), cel.label_warnings()) == (
        beside_webhook["variables"],
        beside_webhook["validations"],
    )
    assert [cel.match_conditions()] * 2 == [spec["matchConditions"] for spec in (policy, advice)]
    assert cel.guard_match_conditions() == guard["matchConditions"]


def test_no_key_is_written_twice(tmp_path: Path) -> None:
    """A label or annotation of the operator's takes the place of one that the chart writes: YAML has a key once."""
    values = values_file(
        tmp_path,
        """
        mode: both
        commonLabels: {release: a, team: infra}
        admission: {annotations: {argocd.argoproj.io/sync-wave: "-5"}}
        podAnnotations: {kubectl.kubernetes.io/default-container: other}
        serviceMonitor: {enabled: true, labels: {release: b}}
        podMonitor: {enabled: true, labels: {release: b}}
        prometheusRule: {enabled: true, labels: {release: b}}
        dashboard: {enabled: true, labels: {release: b}}
        """,
    )

    found = [item for item in YAML(typ="safe", pure=True).load_all(template("--skip-tests", values)) if item]

    watched = [item["metadata"]["labels"] for item in found if item["kind"] in ("ServiceMonitor", "PodMonitor")]
    assert [("b", "infra")] * 2 == [(labels["release"], labels["team"]) for labels in watched]
    configuration = one(found, "MutatingWebhookConfiguration")["metadata"]["annotations"]
    assert "-5" == configuration["argocd.argoproj.io/sync-wave"]
    pods = one(found, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert "other" == pods["kubectl.kubernetes.io/default-container"]


def test_nothing_to_watch_by_default() -> None:
    """Objects of other people's APIs, the dashboard and the network policy are there only where asked for."""
    apis = {item["apiVersion"].split("/")[0] for item in objects()}

    assert {"v1", "apps", "policy", "rbac.authorization.k8s.io", "admissionregistration.k8s.io"} == apis


@pytest.mark.parametrize("mode", ["webhook", "policy"])
def test_metrics_exist(mode: str) -> None:
    """Alerts and dashboard ask only for metrics that the program has; in policy mode only for the sidecars'."""
    spoken = {str(file): set(re.findall(r"imds_emulator_\w+", file.read_text())) for file in SOURCES.rglob("*.py")}
    known = {f"{name}{suffix}" for names_ in spoken.values() for name in names_ for suffix in ("", "_bucket")}
    webhooks = {name for name in known if name.startswith("imds_emulator_webhook_")}
    found = objects(*MODES[mode], *WATCHED)
    rules = json.dumps(one(found, "PrometheusRule")["spec"]["groups"])
    dashboard = json.loads(one(found, "ConfigMap", "-dashboard")["data"]["imds-emulator.json"])
    queries = json.dumps([target["expr"] for panel in dashboard["panels"] for target in panel["targets"]])

    asked = {text: set(re.findall(r"\bimds_emulator_\w+", text)) for text in (rules, queries)}

    assert set() == (asked[rules] | asked[queries]) - known
    assert (mode == "webhook") == bool(asked[rules] & webhooks)
    assert len(asked[queries]) >= 8


def test_pod_monitor_finds_the_sidecars() -> None:
    """Prometheus is led to the health port of the emulator's container in labelled pods of every namespace."""
    spec = one(objects(*WATCHED, "--set=imds.healthPort=17000"), "PodMonitor")["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    container, four, six = endpoint["relabelings"]

    assert {"any": True} == spec["namespaceSelector"]
    assert {names.LABEL_ENABLED: "True"} == spec["selector"]["matchLabels"]
    assert ("keep", names.EMULATOR_CONTAINER) == (container["action"], container["regex"])
    assert "10.0.0.1:17000" == relabeled(four, six, "10.0.0.1")
    assert "[fd00::1]:17000" == relabeled(four, six, "fd00::1")


def relabeled(*arguments: object) -> str:
    """Return the address that Prometheus' relabeling makes of a pod's address; its expressions are anchored."""
    *rules, ip = arguments
    (address,) = [
        re.sub(r"\$\{1\}", match[1], rule["replacement"])
        for rule in rules
        if isinstance(rule, dict) and (match := re.fullmatch(rule["regex"], str(ip)))
    ]
    return str(address)


def test_values_of_ci() -> None:
    """The values that `ct install` tries render."""
    files = sorted((CHART / "ci").iterdir())

    assert ["policy-values.yaml", "webhook-values.yaml"] == [file.name for file in files]
    assert all(list(yaml.safe_load_all(template(f"--values={file}"))) for file in files)
