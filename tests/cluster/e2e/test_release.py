"""The chart's life on the cluster: without its server, and after it is gone. These run last."""

import pytest

from tests.cluster.e2e.answers import lines
from tests.support.kubernetes.kube import Object, RefusedError, path, wait_for
from tests.support.kubernetes.pods import CURL, WAIT, Team, runs
from tests.support.kubernetes.release import Release, containers

pytestmark = [pytest.mark.usefixtures("running"), pytest.mark.last]

# The API server learns of the policy's end a moment after it is gone.
POLICY_IN_CACHE = "-guard' with binding"
REGISTRATION = "admissionregistration.k8s.io/v1"


def _scale(chart: Release, replicas: int) -> None:
    at = path("apps/v1", "Deployment", chart.namespace, chart.name)
    patch = {"spec": {"replicas": replicas}}
    chart.kube.request("PATCH", f"{at}/scale", patch, "application/merge-patch+json")


@pytest.mark.claim("S30")
def test_webhook_down(team: Team, chart: Release) -> None:
    """Without its server labelled pods are refused, others created at once, and the server can return."""
    _scale(chart, 0)
    try:
        wait_for("no pod of the webhook", lambda: not chart.pods(), 60)

        for label in (None, "true"):
            assert containers(team.kube.create(team.pod("plain", label=label), dry_run=True)) == ["app"]
        with pytest.raises(RefusedError, match="failed calling webhook"):
            team.kube.create(team.pod("labelled"), dry_run=True)
    finally:
        _scale(chart, 2)
    wait_for("a labelled pod is injected again", chart.works, 90)


@runs(lambda team: [team.pod("staying", CURL + WAIT)])
def test_uninstall(team: Team, chart: Release) -> None:
    """Uninstalling leaves nothing behind, blocks no pod, and injected pods work on."""
    lines(team, "staying", last="asked")

    chart.uninstall()

    kinds = {
        "MutatingWebhookConfiguration": REGISTRATION,
        "ValidatingAdmissionPolicy": REGISTRATION,
        "ValidatingAdmissionPolicyBinding": REGISTRATION,
        "ClusterRole": "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    }
    left = [
        f"{kind}/{thing['metadata']['name']}"
        for kind, version in kinds.items()
        for thing in team.kube.request("GET", path(version, kind))["items"]
        if (thing["metadata"].get("annotations") or {}).get("meta.helm.sh/release-namespace") == chart.namespace
    ]
    assert left == []

    def created() -> Object:
        try:
            return team.kube.create(team.pod("after", "exec sleep infinity"))
        except RefusedError as refusal:
            if POLICY_IN_CACHE not in refusal.message:
                raise
            return {}

    assert containers(wait_for("a labelled pod is created", created, 10)) == ["app"]
    assert '"Code" : "Success"' in team.kube.shell(team.namespace, "staying", CURL)
    wait_for("the namespace gone", lambda: team.kube.get(path("v1", "Namespace", name=chart.namespace)) is None, 60)
