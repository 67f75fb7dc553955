"""`check` says of each thing on a pod's way whether it is right, and if not, what to do."""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from emulator import names
from emulator.cli import check
from emulator.cli.diagnosis import cluster_findings as check_cluster
from emulator.cli.diagnosis import pod_findings as check_pod
from emulator.cli.diagnosis import sts_codes
from emulator.cli.diagnosis.issuer import issuer
from emulator.cli.diagnosis.node_findings import nodes
from emulator.cli.diagnosis.token_claims import Claims
from emulator.cli.kubeconfig import KubeconfigCluster
from emulator.injection import judgement
from emulator.injection.facts import Facts
from emulator.injection.served import Served, served
from emulator.probe import trial
from emulator.probe.api import Unreadable
from emulator.probe.findings import Finding, as_text, failed, ok
from tests.support.chart.rendering import CHART
from tests.support.pod_files.cases import PARAMETERS, Case, cases, recorded

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:iam::123456789012:role/app-role"
VALUES = CHART / "values.yaml"
POD_PATH = "/api/v1/namespaces/team-a/pods/app"
GROUP = "/apis/admissionregistration.k8s.io"


class FakeCluster:
    """An API server that knows these answers by path; an Unreadable among them is raised."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def get(self, path: str, **_: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the answer for `path`, 404 if there is none."""
        answer = self.answers.get(path, Unreadable(404, f"{path} not found"))
        if isinstance(answer, Unreadable):
            raise answer
        return answer

    def create(self, path: str, body: dict[str, Any], **query: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the answer for a POST; only dry runs, and requests for a token, are expected."""
        is_token = path.endswith("/token")
        assert query == ({} if is_token else {"dryRun": "All"})
        answer = self.answers.get("POST " + path, Unreadable(403, "may not"))
        if isinstance(answer, Unreadable):
            raise answer
        return answer(body)


def injected_pod(**emulator_status: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a Pod
    """Return a pod as it is after admission, with this status of its emulator."""
    return {
        "metadata": {
            "name": "app",
            "namespace": "team-a",
            "labels": {names.LABEL_ENABLED: "True"},
            "annotations": {names.ANNOTATION_ROLE_ARN: ARN},
        },
        "spec": {
            "serviceAccountName": "app",
            "initContainers": [{"name": names.REDIRECT_CONTAINER}, {"name": names.EMULATOR_CONTAINER}],
            "containers": [{"name": "app"}],
        },
        "status": {
            "initContainerStatuses": [
                {"name": names.REDIRECT_CONTAINER, "state": {"terminated": {"exitCode": 0}}},
                {"name": names.EMULATOR_CONTAINER, **emulator_status},
            ]
        },
    }


def credentials(cluster: FakeCluster) -> Finding:
    """Return the finding on the credentials of the pod `app`."""
    return next(line for line in check_pod.findings(cluster, "team-a", "app") if line.subject == "credentials")


def serving(pod: dict[str, Any]) -> Served:
    """Return the pod's emulator."""
    found = served(pod)
    assert found
    return found


def check_token(arguments: list[str]) -> Claims | None:
    """Return what `check` takes from the token of its command line."""
    return check._token(check.parse(arguments))  # noqa: SLF001 - what the checks are given


def test_healthy_pod(capsys: pytest.CaptureFixture[str]) -> None:
    """All lines are ok and the status is 0."""
    cluster = FakeCluster({POD_PATH: fixed_pod()})
    status = check.main(["pod", "app", "-n", "team-a", "-o", "json"], cluster)

    expected = ["ok"] * 6
    assert (status, [line["state"] for line in json.loads(capsys.readouterr().out)]) == (0, expected)


@pytest.mark.parametrize("value", ["true", "yes", None])
def test_label_that_does_not_count(value: str | None) -> None:
    """Only "True" turns the emulator on; the value that is there is shown."""
    pod = injected_pod()
    pod["metadata"]["labels"] = {names.LABEL_ENABLED: value} if value else None
    found = check_pod.label(pod)

    seen = f'"{value}"' if value else "absent"
    assert (found.state, found.seen) == ("failed", f"{names.LABEL_ENABLED} is {seen}")


@pytest.mark.parametrize("code", list(sts_codes.REMEDIES))
def test_sts_refusal(code: str) -> None:
    """The STS code in the emulator's log is named, with the remedy for that code."""
    running = {"ready": False, "state": {"running": {}}}
    log = f"level=error event=exchange code={code}\n"
    cluster = FakeCluster({POD_PATH: injected_pod(**running), f"{POD_PATH}/log": log})
    found = credentials(cluster)

    remedy = sts_codes.REMEDIES[code].format(namespace="team-a", account="app")
    assert found == failed("credentials", f"STS answers {code}", remedy)


ROLE = "namespace=team-a pod=app role=" + ARN
DENIED = f"time=t level=error event=exchange-failed {ROLE} sts_code=AccessDenied credentials=none\n"
GOT = f"time=t level=info event=credentials {ROLE} expires=t\n"
EXPIRED = f"time=t level=error event=expired {ROLE}\n"
STOPPED = f"time=t level=info event=stopped {ROLE}\n"


@pytest.mark.parametrize(
    ("log", "state", "seen"),
    [
        (DENIED + STOPPED, "failed", "STS answers AccessDenied"),
        (GOT + DENIED + STOPPED, "failed", "STS answers AccessDenied"),
        (DENIED + GOT + STOPPED, "ok", "the emulator got them, as its log says"),
        (GOT + EXPIRED + STOPPED, "failed", f"not ready: {EXPIRED.strip()}"),
        ("", "failed", "not ready: no log yet"),
    ],
)
def test_ended_pod(log: str, state: str, seen: str) -> None:
    """Of a Job that has ended, whose sidecar ended well too, the log says what became of the credentials."""
    ended = {"ready": False, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    cluster = FakeCluster({POD_PATH: injected_pod(**ended), f"{POD_PATH}/log": log})
    found = credentials(cluster)

    assert (found.state, found.seen) == (state, seen)


def test_emulator_that_failed() -> None:
    """A wrong setting, with which the emulator ends at once, is named by the emulator's own last word."""
    ended = {"exitCode": 2, "message": "imds-emulator serve: invalid AWS_REGION='mars'\n"}
    pod = injected_pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": ended})

    expected = failed(
        "credentials", "imds-emulator serve: invalid AWS_REGION='mars'", "fix the setting named in the message"
    )
    assert check_pod.emulator(FakeCluster({}), pod) == expected


def test_pod_without_node() -> None:
    """Of a pod that waits for a node nothing has been done yet, whatever its redirect mode."""
    pod = injected_pod()
    pod["status"] = {"phase": "Pending"}
    by_variable = injected_pod()
    by_variable["spec"]["initContainers"] = [{"name": names.EMULATOR_CONTAINER}]
    events = "see the events of `kubectl describe pod`"

    assert check_pod.redirect(pod) == failed("redirect", "not started", events)
    assert check_pod.emulator(FakeCluster({}), pod) == failed("credentials", "not started", events)
    assert check_pod.redirect(by_variable) == ok("redirect", "env mode, no init container")


def test_redirect_that_failed() -> None:
    """The init container's own last word is repeated."""
    pod = injected_pod(ready=False)
    terminated = {"exitCode": 1, "message": "no NET_ADMIN"}
    pod["status"]["initContainerStatuses"][0]["state"] = {"terminated": terminated}
    found = check_pod.redirect(pod)

    assert (found.state, found.seen) == ("failed", "exit code 1: no NET_ADMIN")


@pytest.mark.parametrize(
    ("state", "last", "expected"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}}, {"exitCode": 1, "message": "no NET_ADMIN\n"}, "no NET_ADMIN"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, {"exitCode": 137, "reason": "OOMKilled"}, "OOMKilled"),
    ],
)
def test_redirect_between_two_attempts(state: dict[str, Any], last: dict[str, Any], expected: str) -> None:
    """While the kubelet waits before the next attempt, the last one's word is repeated, not the waiting."""
    pod = injected_pod()
    pod["status"]["initContainerStatuses"][0] = {
        "name": names.REDIRECT_CONTAINER,
        "state": state,
        "lastState": {"terminated": last},
    }
    found = check_pod.redirect(pod)

    assert (found.state, found.seen) == ("failed", f"exit code {last['exitCode']}: {expected}")


@pytest.mark.parametrize("last", [{}, {"terminated": {"exitCode": 0}}, {"terminated": {"exitCode": 1}}])
def test_redirect_that_runs(last: dict[str, Any]) -> None:
    """While it runs it waits for the emulator, whatever became of an attempt before, in another sandbox say."""
    pod = injected_pod()
    pod["status"]["initContainerStatuses"][0] = {
        "name": names.REDIRECT_CONTAINER,
        "state": {"running": {}},
        "lastState": last,
    }

    assert check_pod.redirect(pod).seen == "waits for the emulator to start"


def test_emulator_that_runs_again() -> None:
    """Of an emulator that failed once and runs again, the log is read."""
    pod = injected_pod(ready=False, state={"running": {}}, lastState={"terminated": {"exitCode": 137}})

    assert credentials(FakeCluster({POD_PATH: pod, f"{POD_PATH}/log": DENIED})).seen == "STS answers AccessDenied"


INJECTED = [case for case in cases() if ".injected.yaml" in recorded(case.name) and "0-1-0" not in case.name]


@pytest.mark.parametrize("case", INJECTED, ids=lambda case: case.name)
def test_pod_fresh_from_admission(case: Case) -> None:
    """Of a pod as admission leaves it all is served as annotated, and no warning is lost but those of the namespace."""
    files = recorded(case.name)
    pod = yaml.safe_load(files[".injected.yaml"])
    warned = {line for line in files.get(".warnings.txt", "").splitlines() if "this namespace" not in line}

    assert [line.state for line in check_pod.serves(pod, serving(pod))] == ["ok"]
    assert warned <= {line.seen for line in check_pod.advice(pod, serving(pod))}


def test_advice_as_at_admission() -> None:
    """What admission warns of is repeated, in its words, of the pod as it is served."""
    pod = injected_pod(ready=True)
    pod["spec"]["containers"][0]["env"] = [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]
    told = judgement.warnings(Facts(pod, PARAMETERS))
    found = check_pod.findings(FakeCluster({POD_PATH: pod}), "team-a", "app")

    assert told
    assert told == [line.seen for line in found if line.subject == "pod"]


def ca_bundle(ends: datetime, days: int = 400) -> str:
    """Return a base64 PEM of a CA certificate that ends then, after so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(ends - timedelta(days=days))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return base64.b64encode(certificate.public_bytes(Encoding.PEM)).decode()


def test_newest_certificate() -> None:
    """An authority of before, which lasts for long, does not hide that the certificate in use expires."""
    now = datetime.now(UTC)
    pems = (ca_bundle(now + timedelta(days=300)), ca_bundle(now + timedelta(days=1), days=30))
    bundle = base64.b64encode(b"".join(base64.b64decode(pem) for pem in pems)).decode()
    found = check_cluster.certificate({"name": "w", "clientConfig": {"caBundle": bundle}})

    assert (found.state, found.seen) == ("warning", f"expires on {now + timedelta(days=1):%Y-%m-%d}")


@pytest.mark.parametrize(
    ("hours", "state"), [(-24, "failed"), (-1, "failed"), (1, "warning"), (167, "warning"), (169, "ok"), (7200, "ok")]
)
def test_certificate(hours: int, state: str) -> None:
    """A CA that has expired, if only an hour ago, fails; one that expires within a week is a warning."""
    bundle = ca_bundle(datetime.now(UTC) + timedelta(hours=hours))
    found = check_cluster.certificate({"name": "w", "clientConfig": {"caBundle": bundle}})

    assert found.state == state


@pytest.mark.parametrize("bundle", ["Zm9v", "not base64", "é", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"])
def test_broken_certificate(bundle: str) -> None:
    """A caBundle that is not a certificate is shown with its value and what to do, not by a traceback."""
    found = check_cluster.certificate({"name": "w", "clientConfig": {"caBundle": bundle}})

    assert found.state == "failed"
    assert found.seen == f"clientConfig.caBundle is {bundle!r}, which is not a PEM certificate in base64"
    assert "certificate.caBundle" in found.remedy


def installed(**parameters: str) -> FakeCluster:
    """Return a cluster with the add-on installed so; it admits pods in `team-a`, injected, or refuses them."""

    def admit(pod: dict[str, Any]) -> dict[str, Any]:
        if refusal := judgement.refusal(Facts(pod, PARAMETERS | parameters)):
            raise Unreadable(403, f'admission webhook "w" denied the request: {refusal}')
        return {"spec": {"initContainers": [{"name": names.EMULATOR_CONTAINER}], **pod["spec"]}}

    return FakeCluster({"POST /api/v1/namespaces/team-a/pods": admit})


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"region": "eu-west-1"},
        {"region": "cn-north-1"},
        {"region": "us-gov-west-1"},
        {"region": "", "appRegion": "true"},
        {"allowedRolesMode": "audit", "allowedRoles": ""},
        {"allowedRolesMode": "enforce", "allowedRoles": "arn:aws:iam::*"},
    ],
    ids=str,
)
def test_dry_run_on_a_sound_installation(parameters: dict[str, str]) -> None:
    """Whatever region, partition and list an installation is set to, one that injects is ok."""
    assert trial.dry_run(installed(**parameters), "team-a").state == "ok"


def test_dry_run_of_a_role() -> None:
    """The role that is given is tried, and nothing is added to it; it needs no region for its app."""
    role = "arn:aws-cn:iam::123456789012:role/app-role"
    elsewhere = trial.dry_run(installed(region="eu-west-1"), "team-a", role)

    assert trial.dry_run(installed(region="cn-north-1"), "team-a", role).state == "ok"
    assert trial.dry_run(installed(region="", appRegion="true"), "team-a", role).state == "ok"
    assert (elsewhere.state, "is not in the role's partition" in elsewhere.seen) == ("failed", True)


def test_dry_run_where_roles_are_listed() -> None:
    """That the list lacks the role that stands in is not a failure; that it lacks the role of the user is one."""
    cluster = installed(allowedRolesMode="enforce", allowedRoles=ARN)
    stood_in = trial.dry_run(cluster, "team-a")
    other = trial.dry_run(cluster, "team-a", ARN + "-2")

    assert (stood_in.state, trial.PLACEHOLDER.text in stood_in.seen) == ("warning", True)
    assert "--role-arn" in stood_in.remedy
    assert trial.dry_run(cluster, "team-a", ARN).state == "ok"
    assert other.state == "failed"


def test_check_of_a_role(capsys: pytest.CaptureFixture[str]) -> None:
    """`check` tries the pod with the role that it is given, and takes none that is not a role's ARN."""
    cluster = installed(allowedRolesMode="enforce", allowedRoles=ARN)
    cluster.answers["/version"] = {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
    check.main(["-n", "team-a", "--role-arn", ARN], cluster)

    assert "ok       labelled pod in team-a: admitted" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        check.main(["--role-arn", "app-role"], cluster)
    assert "--role-arn: 'app-role' is not the ARN of an IAM role" in capsys.readouterr().err


def test_dry_run_tells_an_uninjected_pod() -> None:
    """A labelled pod that would be admitted without emulator is a failure, not a success (rule 1)."""
    cluster = FakeCluster({"POST /api/v1/namespaces/team-a/pods": lambda pod: pod})
    found = trial.dry_run(cluster, "team-a")

    assert found.state == "failed"
    assert "it would take the node's role" in found.seen


def test_dry_run_repeats_the_refusal() -> None:
    """What the API server says is repeated."""
    cluster = FakeCluster({"POST /api/v1/namespaces/team-a/pods": Unreadable(403, "no room")})
    found = trial.dry_run(cluster, "team-a")

    assert (found.state, found.seen) == ("failed", "no room")


def issuer_cluster(*keys: str) -> FakeCluster:
    """Return a cluster whose issuer is https://issuer.example, and which has these keys, else k1."""
    return FakeCluster(
        {
            "/.well-known/openid-configuration": {"issuer": "https://issuer.example"},
            "/openid/v1/jwks": json.dumps({"keys": [{"kid": key} for key in keys or ("k1",)]}),
        }
    )


@pytest.mark.parametrize(
    ("own_keys", "public_keys", "state"),
    [
        (["k1"], ["k1"], "ok"),
        (["k1"], ["k0", "k1"], "ok"),
        (["k1", "k2"], ["k1", "k2"], "ok"),
        (["k1", "k2"], ["k1"], "failed"),
        (["k1"], ["k0"], "failed"),
        (["k1"], None, "failed"),
    ],
)
def test_issuer(own_keys: list[str], public_keys: list[str] | None, state: str) -> None:
    """The issuer is right when its public documents hold all of the cluster's own keys."""

    def fetch(url: str) -> bytes:
        if public_keys is None:
            raise OSError("no route")
        if url.endswith("/openid-configuration"):
            return json.dumps({"issuer": "https://issuer.example", "jwks_uri": "https://issuer.example/keys"}).encode()
        return json.dumps({"keys": [{"kid": key} for key in public_keys]}).encode()

    assert issuer(issuer_cluster(*own_keys), fetch, "team-a", "default").state == state


@pytest.mark.parametrize(("minor", "state"), [("23", "failed"), ("24", "ok"), ("28+", "ok"), ("37", "ok")])
def test_api_version(minor: str, state: str) -> None:
    """1.24 is the oldest; vendors write a plus sign."""
    cluster = FakeCluster({"/version": {"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.0"}})

    assert check_cluster.api_version(cluster).state == state


def test_nothing_installed() -> None:
    """A cluster without webhook and policy says so, also where the policy API is not served."""
    cluster = FakeCluster({f"{GROUP}/v1/mutatingwebhookconfigurations": {"items": []}})

    assert [found.state for found in check_cluster.admission(cluster)] == ["failed"]


class Keys(BaseHTTPRequestHandler):
    """An API server that has no API groups, and the cluster's keys for those who take what they are.

    Source: Kubernetes, "Service account issuer discovery"; RFC 7517 section 8.5.
    """

    def do_GET(self) -> None:
        """Answer in JSON, or 406."""
        keys = self.path.startswith("/openid/v1/jwks")
        taken = not keys or "*/*" in self.headers["Accept"] or "application/jwk-set+json" in self.headers["Accept"]
        self.send_response(200 if taken else 406)
        self.send_header("Content-Type", "application/jwk-set+json" if keys else "application/json")
        self.end_headers()
        self.wfile.write(b'{"keys": []}' if keys else b'{"kind": "APIGroupList", "groups": [], "versions": []}')

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_keys_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By a kubeconfig the cluster's keys are read, which are not of the media type of all other answers."""
    server = HTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    address = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    config = {
        "clusters": [address],
        "users": [{"name": "u", "user": {}}],
        "contexts": [context],
        "current-context": "c",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where the package keeps what it has discovered
    try:
        assert KubeconfigCluster(None).get("/openid/v1/jwks") == {"keys": []}
    finally:
        server.shutdown()
        server.server_close()


def test_text_has_colour_only_when_asked() -> None:
    """Escapes appear on a terminal alone; the remedy stands under its line."""
    found = [ok("a", "b"), Finding("c", "failed", "d", "e")]

    assert as_text(found, coloured=False) == "ok       a: b\nFAILED   c: d\n         -> e"
    assert "\033[" in as_text(found, coloured=True)


def test_pod_without_name(capsys: pytest.CaptureFixture[str]) -> None:
    """`check pod` without a name is a usage error."""
    with pytest.raises(SystemExit, match="2"):
        check.main(["pod"], FakeCluster({}))
    assert "required: NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "pod -n team-a app -o json",
        "pod app -n team-a -o json",
        "-n team-a pod app -o json",
        "-o json --namespace=team-a pod/app",
        "pod/app -nteam-a --output json",
    ],
)
def test_options_in_any_place(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """As with kubectl, options may stand before, between and after the words."""
    status = check.main(line.split(), FakeCluster({POD_PATH: injected_pod(ready=True)}))

    assert (status, json.loads(capsys.readouterr().out)[0]["subject"]) == (0, "label")


@pytest.mark.parametrize(
    ("version", "part", "expected"),
    [
        ("v1.30.1", "containers", ["warning"]),
        ("v1.30.1", "initContainers", []),
        ("v1.30.1", "", []),
        ("v1.28.9", "", ["warning"]),
        ("v1.36.0", "containers", ["warning"]),
        ("", "", []),
    ],
)
def test_form(version: str, part: str, expected: list[str]) -> None:
    """Where the pod of the dry run has the classic form, or can have no other, what that means is said."""
    cluster = FakeCluster({"/version": {"gitVersion": version} if version else MAY_NOT})
    if part:
        pod = {"spec": {part: [{"name": names.EMULATOR_CONTAINER}]}}
        cluster.answers["POST /api/v1/namespaces/team-a/pods"] = lambda _: pod
    found = check_cluster.findings(cluster, "team-a", fetch=lambda _: b"")

    assert expected == [line.state for line in found if line.subject == "sidecar"]


MAY_NOT = Unreadable(403, 'x is forbidden: User "u" cannot get resource "x"')
MAY_NOT_CREATE = 'pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "team-a"'


def test_with_few_rights(capsys: pytest.CaptureFixture[str]) -> None:
    """What the user may not ask is unknown, with the right that is needed, and no failure."""
    forbidden = [
        f"{GROUP}/v1/mutatingwebhookconfigurations",
        "/api/v1/nodes",
        "/.well-known/openid-configuration",
        "/openid/v1/jwks",
    ]
    answers: dict[str, Any] = dict.fromkeys(forbidden, MAY_NOT)
    answers["/version"] = {"gitVersion": "v1.36.0"}
    answers["POST /api/v1/namespaces/team-a/pods"] = Unreadable(403, MAY_NOT_CREATE)
    status = check.main(["-n", "team-a", "-o", "json"], FakeCluster(answers))
    found = {line["subject"]: line for line in json.loads(capsys.readouterr().out)}

    assert (status, {line["state"] for line in found.values()}) == (0, {"ok", "unknown"})
    assert found["kubelets"]["remedy"] == "ask someone with the RBAC permission to list nodes"
    assert found["labelled pod in team-a"]["remedy"].endswith("to create pods in namespace team-a")


def test_pod_with_few_rights() -> None:
    """Of a pod, or of its log, that may not be read nothing is said but who can."""
    running = {"ready": False, "state": {"running": {}}}
    cluster = FakeCluster({POD_PATH: injected_pod(**running), f"{POD_PATH}/log": MAY_NOT})

    assert [line.state for line in check_pod.findings(FakeCluster({POD_PATH: MAY_NOT}), "team-a", "app")] == ["unknown"]
    assert credentials(cluster).state == "unknown"
    assert credentials(cluster).remedy.endswith("to get pods/log in namespace team-a")


def kubelets(*versions: str) -> FakeCluster:
    """Return a cluster with a node of each version."""
    nodes = [{"status": {"nodeInfo": {"kubeletVersion": version}}} for version in versions]
    return FakeCluster({"/api/v1/nodes": {"items": nodes}})


@pytest.mark.parametrize(
    ("versions", "native", "states"),
    [
        (["v1.29.0"], True, ["ok"]),
        (["v1.28.15-gke.1"], True, ["failed"]),
        (["v1.28.15", "v1.31.0"], None, ["warning"]),
        (["v1.26.1"], False, ["ok"]),
        (["v1.35.1"], True, ["ok", "warning"]),
        (["v1.36.0"], True, ["ok"]),
    ],
)
def test_kubelets(versions: list[str], native: bool | None, states: list[str]) -> None:  # noqa: FBT001 - a case
    """Native sidecars need kubelets of 1.29; those of 1.35 have kubernetes#137146."""
    assert [line.state for line in nodes(kubelets(*versions), native=native)] == states


def test_kubelets_page_by_page() -> None:
    """All nodes are counted, though the API server gives them in pages."""

    class Paged(FakeCluster):
        def get(self, path: str, **query: str) -> Any:  # noqa: ANN401, ARG002 - decoded JSON
            node = {"status": {"nodeInfo": {"kubeletVersion": "v1.36.0"}}}
            return {"items": [node], "metadata": {} if query.get("continue") else {"continue": "t"}}

    assert nodes(Paged({}), native=True)[0].seen == "2 of v1.36.0"


def token(**said: str) -> str:
    """Return a token that says this."""
    parts = [{"alg": "RS256", "kid": "k1"}, {"iss": "https://issuer.example", **said}]
    return ".".join(
        [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts] + ["s"]
    )


@pytest.mark.parametrize("published", ["https://issuer.example/", "https://issuer.example"])
def test_issuer_is_compared_as_it_is(published: str) -> None:
    """A slash at the end is part of the issuer, which the token decides, whatever the API server says."""
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        if url.endswith("/openid-configuration"):
            return json.dumps({"issuer": published, "jwks_uri": "https://issuer.example/keys"}).encode()
        return json.dumps({"keys": [{"kid": "k1"}]}).encode()

    cluster = issuer_cluster()
    answer = {"status": {"token": token(iss="https://issuer.example/")}}
    cluster.answers["POST /api/v1/namespaces/team-a/serviceaccounts/app/token"] = lambda _: answer
    found = issuer(cluster, fetch, "team-a", "app")

    assert found.state == ("ok" if published.endswith("/") else "failed")
    assert asked[0] == "https://issuer.example/.well-known/openid-configuration"


def test_token_of_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`check --token-file` takes the issuer from there; an --issuer that differs, or no token, is an error."""
    (tmp_path / "token").write_text(token() + "\n")
    (tmp_path / "none").write_text("secret")
    given = ["--token-file", str(tmp_path / "token")]

    assert check.main([*given, "--issuer", "https://issuer.example/"], FakeCluster({})) == 2
    assert "--issuer: Invalid value: 'https://issuer.example/': the token's issuer is" in capsys.readouterr().err
    assert check.main(["--token-file", str(tmp_path / "none")], FakeCluster({})) == 2
    error = capsys.readouterr().err
    assert f"--token-file: Invalid value: '{tmp_path}/none': must be a JSON Web Token" in error
    assert "secret" not in error
    assert check.main(["--token-file", str(tmp_path / "absent")], FakeCluster({})) == 2
    assert f"--token-file: Invalid value: '{tmp_path}/absent': No such file" in capsys.readouterr().err
    assert check_token(given) == Claims("https://issuer.example", "k1", "", "")


def fixed_pod(**values: str) -> dict[str, Any]:
    """Return a ready pod whose emulator holds these values, as 0.2.0 writes them."""
    pod = injected_pod(ready=True)
    given = {names.ENV_OWN_ROLE_ARN: ARN, names.ENV_OWN_REGION: "eu-west-1", names.ENV_IMDS_VERSION: "v1", **values}
    pod["spec"]["initContainers"][1]["env"] = [{"name": name, "value": value} for name, value in given.items()]
    return pod


def test_what_is_served() -> None:
    """The role is the one in the container, whatever the annotation says since; both are shown where they differ."""
    pod = fixed_pod(**{names.ENV_OWN_ROLE_ARN: ARN + "-then"})
    found = check_pod.serves(pod, serving(pod))

    assert found[0] == ok("serves", f"{ARN}-then, STS region eu-west-1, IMDS v1")
    assert [(line.state, line.seen) for line in found[1:]] == [
        ("warning", f"says {ARN}, but {ARN}-then was admitted and is served")
    ]
    assert [line.state for line in check_pod.serves(fixed_pod(), serving(fixed_pod()))] == ["ok"]


def test_copy_of_a_pod() -> None:
    """A copy that lost label and annotations serves what admission saw, and none of that is a failure."""
    pod = fixed_pod()
    pod["metadata"] = {"name": "app", "namespace": "team-a"}
    found = check_pod.findings(FakeCluster({POD_PATH: pod}), "team-a", "app")

    assert "failed" not in {line.state for line in found}
    assert any(line.seen.startswith("says nothing, but arn:") for line in found)


def test_dollars_are_kept() -> None:
    """A `$` of a value, which Kubernetes has doubled, is shown once."""
    pod = fixed_pod(**{names.ENV_OWN_ROLE_ARN: ARN.replace("role/", "role/a$$b/")})

    assert "role/a$b/" in check_pod.serves(pod, serving(pod))[0].seen


def test_pod_of_the_version_before() -> None:
    """A pod injected by 0.1.0 follows its annotation: a warning says so, and of 1.35 on its node."""
    pod = injected_pod(ready=True)
    pod["spec"]["nodeName"] = "n1"
    pod["spec"]["initContainers"][1]["startupProbe"] = {}
    node = {"status": {"nodeInfo": {"kubeletVersion": "v1.35.2"}}}
    found = check_pod.findings(FakeCluster({POD_PATH: pod, "/api/v1/nodes/n1": node}), "team-a", "app")
    warned = {line.subject: line.seen for line in found if line.state == "warning"}

    assert "injected by 0.1.0" in warned["serves"]
    assert "kubernetes#137146" in warned["kubelet of n1"]


def test_insecure_endpoint() -> None:
    """That the token goes to STS in the clear is repeated."""
    pod = fixed_pod(**{names.ENV_OWN_STS_ENDPOINT: "http://moto:5000"})
    found = check_pod.findings(FakeCluster({POD_PATH: pod}), "team-a", "app")

    assert ["http://moto:5000 without TLS"] == [
        line.seen.partition(" (")[0] for line in found if line.subject == "STS endpoint"
    ]


@pytest.mark.parametrize("container", yaml.safe_load(VALUES.read_text())["mesh"]["containers"])
def test_mesh_that_keeps_sts_away(container: str) -> None:
    """Where STS is not reached and a mesh is in the pod, of any that may stand there, its remedy is named."""
    pod = injected_pod(ready=False, state={"running": {}})
    pod["spec"]["containers"].append({"name": container})
    log = f"time=t level=warning event=exchange-failed {ROLE} sts_code=ConnectFailed credentials=none\n"
    found = credentials(FakeCluster({POD_PATH: pod, f"{POD_PATH}/log": log}))
    annotation = {
        "istio": "traffic.sidecar.istio.io/excludeOutboundPorts",
        "kuma": "traffic.kuma.io/exclude-outbound-ports",
        "linkerd": "config.linkerd.io/skip-outbound-ports",
    }[container.partition("-")[0]]

    assert f'set the annotation {annotation}: "443"' in found.remedy


def test_v1_disabled() -> None:
    """A container that has IMDSv1 switched off is warned of where only v1 is served."""
    for version, warned in (("v1", True), ("v1-and-v2", False)):
        pod = fixed_pod(**{names.ENV_IMDS_VERSION: version})
        pod["metadata"]["annotations"][names.ANNOTATION_IMDS_VERSION] = "v2"
        pod["spec"]["containers"][0]["env"] = [{"name": names.ENV_V1_DISABLED, "value": "true"}]
        found = check_pod.findings(FakeCluster({POD_PATH: pod}), "team-a", "app")

        assert warned == any(names.ENV_V1_DISABLED in line.seen for line in found)


@pytest.mark.claim("S16")
@pytest.mark.parametrize("output", ["text", "json"])
def test_nothing_of_a_pod_is_printed_raw(capsys: pytest.CaptureFixture[str], output: str) -> None:
    """Escape sequences, and characters that can't be seen, are shown as escapes."""
    evil = "\x1b[2J\x1b]0;x\x07\u202e\u2066\u00ad\u2800\r\n"
    pod = injected_pod(state={"waiting": {"reason": "ErrImagePull", "message": f"image {evil}"}})
    pod["metadata"]["annotations"][names.ANNOTATION_ROLE_ARN] = evil
    pod["metadata"]["labels"][names.LABEL_ENABLED] = evil
    check.main(["pod", "app", "-n", "team-a", "-o", output], FakeCluster({POD_PATH: pod}))
    shown = capsys.readouterr().out

    assert shown.replace("\n", "").isprintable()
    assert not {"\u2800", "\u00ad"} & set(shown)
    assert "\\x1b[2J" in shown or "\\u001b[2J" in shown
