"""`check` says of each thing on a pod's way whether it is right, and if not, what to do."""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from emulator import names
from emulator.check import cluster as check_cluster
from emulator.check import command as check
from emulator.check import pod as check_pod
from emulator.check.cluster_client import KubeconfigCluster, Unreadable
from emulator.check.findings import Finding, as_text, failed, ok
from emulator.injection import judgement
from emulator.injection.advice import WARNINGS
from emulator.injection.facts import Facts
from tests.pods.cases import PARAMETERS

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:iam::123456789012:role/app-role"
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
        """Return the answer for a POST; only dry runs are expected."""
        assert query == {"dryRun": "All"}
        answer = self.answers["POST " + path]
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


def test_healthy_pod(capsys: pytest.CaptureFixture[str]) -> None:
    """All lines are ok and the status is 0."""
    cluster = FakeCluster({POD_PATH: injected_pod(ready=True)})
    status = check.main(["pod", "app", "-n", "team-a", "-o", "json"], cluster)

    expected = ["ok"] * 5
    assert (status, [line["state"] for line in json.loads(capsys.readouterr().out)]) == (0, expected)


@pytest.mark.parametrize("value", ["true", "yes", None])
def test_label_that_does_not_count(value: str | None) -> None:
    """Only "True" turns the emulator on; the value that is there is shown (C24)."""
    pod = injected_pod()
    pod["metadata"]["labels"] = {names.LABEL_ENABLED: value} if value else None
    found = check_pod.label(pod)

    seen = f'"{value}"' if value else "absent"
    assert (found.state, found.seen) == ("failed", f"{names.LABEL_ENABLED} is {seen}")


@pytest.mark.parametrize("code", list(check_pod.STS_REMEDIES))
def test_sts_refusal(code: str) -> None:
    """The STS code in the emulator's log is named, with the remedy for that code."""
    running = {"ready": False, "state": {"running": {}}}
    log = f"level=error event=exchange code={code}\n"
    cluster = FakeCluster({POD_PATH: injected_pod(**running), f"{POD_PATH}/log": log})
    found = check_pod.findings(cluster, "team-a", "app")[-1]

    remedy = check_pod.STS_REMEDIES[code].format(namespace="team-a", account="app")
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
    found = check_pod.findings(cluster, "team-a", "app")[-1]

    assert (found.state, found.seen) == (state, seen)


def test_emulator_that_failed() -> None:
    """A wrong setting, with which the emulator ends at once, is named by the emulator's own last word."""
    ended = {"exitCode": 2, "message": "imds-emulator serve: invalid AWS_REGION='mars'\n"}
    pod = injected_pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": ended})

    expected = failed("credentials", "imds-emulator serve: invalid AWS_REGION='mars'", "mend the setting it names")
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


def test_bypass() -> None:
    """A variable that makes an SDK pass the metadata service by is a warning that names container and variable."""
    pod = injected_pod(ready=True)
    pod["spec"]["containers"][0]["env"] = [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]
    found = check_pod.bypasses(pod)

    assert [(line.state, line.subject, line.seen) for line in found] == [
        ("warning", "container app", "sets AWS_EC2_METADATA_DISABLED")
    ]


@pytest.mark.parametrize("value", ["true", "True", "false", "FALSE", "", None])
def test_bypass_as_at_admission(value: str | None) -> None:
    """The same variables are told of as at admission, for which the value false turns nothing on."""
    variables = [{"name": name} | ({} if value is None else {"value": value}) for name in check_pod.BYPASSES]
    pod = injected_pod(ready=True)
    pod["spec"]["containers"][0]["env"] = variables
    told = [rule.name for rule in WARNINGS if rule.find(Facts(pod, PARAMETERS))]

    found = [line.seen.removeprefix("sets ") for line in check_pod.bypasses(pod)]
    assert told == [name.lower().replace("_", "-") for name in found]


def ca_bundle(ends: datetime) -> str:
    """Return a base64 PEM of a CA certificate that ends then."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(ends - timedelta(days=400))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return base64.b64encode(certificate.public_bytes(Encoding.PEM)).decode()


@pytest.mark.parametrize(("days", "state"), [(-1, "failed"), (3, "warning"), (300, "ok")])
def test_certificate(days: int, state: str) -> None:
    """An expired CA fails, one near its end is a warning."""
    bundle = ca_bundle(datetime.now(UTC) + timedelta(days=days, hours=1 if days > 0 else 0))
    found = check_cluster.certificate({"name": "w", "clientConfig": {"caBundle": bundle}})

    assert found.state == state


@pytest.mark.parametrize("bundle", ["Zm9v", "not base64", "é", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"])
def test_broken_certificate(bundle: str) -> None:
    """A caBundle that is no certificate is told with its value and what to do, not by a traceback."""
    found = check_cluster.certificate({"name": "w", "clientConfig": {"caBundle": bundle}})

    assert found.state == "failed"
    assert found.seen == f"clientConfig.caBundle is {bundle!r}, which is no certificate in PEM, in base64"
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
    assert check_cluster.dry_run(installed(**parameters), "team-a").state == "ok"


def test_dry_run_of_a_role() -> None:
    """The role that is given is tried, and nothing is added to it; it needs no region for its app."""
    role = "arn:aws-cn:iam::123456789012:role/app-role"
    elsewhere = check_cluster.dry_run(installed(region="eu-west-1"), "team-a", role)

    assert check_cluster.dry_run(installed(region="cn-north-1"), "team-a", role).state == "ok"
    assert check_cluster.dry_run(installed(region="", appRegion="true"), "team-a", role).state == "ok"
    assert (elsewhere.state, "is of partition" in elsewhere.seen) == ("failed", True)


def test_dry_run_where_roles_are_listed() -> None:
    """That the list lacks the role that stands in is no failure; that it lacks the role of the user is one."""
    cluster = installed(allowedRolesMode="enforce", allowedRoles=ARN)
    stood_in = check_cluster.dry_run(cluster, "team-a")
    other = check_cluster.dry_run(cluster, "team-a", ARN + "-2")

    assert (stood_in.state, check_cluster.PLACEHOLDER.text in stood_in.seen) == ("warning", True)
    assert "--role-arn" in stood_in.remedy
    assert check_cluster.dry_run(cluster, "team-a", ARN).state == "ok"
    assert (other.state, check_cluster.NOT_ALLOWED in other.seen) == ("failed", True)


def test_check_of_a_role(capsys: pytest.CaptureFixture[str]) -> None:
    """`check` tries the pod with the role that it is given, and takes none that is no role's ARN."""
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
    found = check_cluster.dry_run(cluster, "team-a")

    assert found.state == "failed"
    assert "it would take the node's role" in found.seen


def test_dry_run_repeats_the_refusal() -> None:
    """What the API server says is repeated."""
    cluster = FakeCluster({"POST /api/v1/namespaces/team-a/pods": Unreadable(403, "no room")})
    found = check_cluster.dry_run(cluster, "team-a")

    assert (found.state, found.seen) == ("failed", "no room")


def issuer_cluster() -> FakeCluster:
    """Return a cluster whose issuer is https://issuer.example and whose key is k1."""
    return FakeCluster(
        {
            "/.well-known/openid-configuration": {"issuer": "https://issuer.example"},
            "/openid/v1/jwks": json.dumps({"keys": [{"kid": "k1"}]}),
        }
    )


@pytest.mark.parametrize(
    ("public_keys", "state"), [(["k1"], "ok"), (["k0", "k1"], "ok"), (["k0"], "failed"), (None, "failed")]
)
def test_issuer(public_keys: list[str] | None, state: str) -> None:
    """The issuer is right when its public documents hold the cluster's own keys."""

    def fetch(url: str) -> bytes:
        if public_keys is None:
            raise OSError("no route")
        if url.endswith("/openid-configuration"):
            return json.dumps({"issuer": "https://issuer.example", "jwks_uri": "https://issuer.example/keys"}).encode()
        return json.dumps({"keys": [{"kid": key} for key in public_keys]}).encode()

    assert check_cluster.issuer(issuer_cluster(), fetch).state == state


@pytest.mark.parametrize(
    ("minor", "state"), [("23", "failed"), ("24", "warning"), ("28+", "warning"), ("29", "ok"), ("37", "ok")]
)
def test_api_version(minor: str, state: str) -> None:
    """1.24 is the oldest, 1.29 the first with native sidecars; vendors write a plus sign."""
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
    assert check.main(["pod"], FakeCluster({})) == 2
    assert "give its NAME" in capsys.readouterr().err
