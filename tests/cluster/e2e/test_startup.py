"""The start of many pods: each application's first request is answered."""

import pytest

from tests.support.kubernetes.kube import Object, path, wait_for
from tests.support.kubernetes.pods import ACCOUNT, SLOW_ROLE, Team, runs

pytestmark = pytest.mark.usefixtures("running")

PODS = 20
AT_ONCE = 4
SECONDS = 420

# A single attempt at the metadata service: one that fails ends the pod, and is counted.
ENVIRONMENT = [{"name": "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "value": "1"}]
SCRIPT = "exec aws sts get-caller-identity --query Arn --output text"


def _gate(team: Team) -> list[Object]:
    template = team.template(
        SCRIPT, role=SLOW_ROLE, labels={"app": "gate"}, app={"env": ENVIRONMENT}, restartPolicy="Never"
    )
    spec = {"completions": PODS, "parallelism": AT_ONCE, "backoffLimit": 0, "template": template}
    return [team.thing("batch/v1", "Job", "gate", {"spec": spec})]


@runs(_gate)
def test_startup_gate(team: Team) -> None:
    """With STS answering in 2 s, `aws` with a single attempt at the metadata service works in 20 of 20 pods."""

    def ended() -> dict[str, int]:
        found = team.kube.request("GET", path("batch/v1", "Job", team.namespace, "gate"))["status"]
        counts = {outcome: int(found.get(outcome, 0)) for outcome in ("succeeded", "failed")}
        return counts if sum(counts.values()) == PODS or counts["failed"] else {}

    assert wait_for("20 pods ended", ended, SECONDS) == {"succeeded": PODS, "failed": 0}

    pods = [str(pod["metadata"]["name"]) for pod in team.kube.pods(team.namespace, "app=gate")]
    told = {pod: team.kube.log(team.namespace, pod).strip() for pod in pods}
    assert told == {pod: f"arn:aws:sts::{ACCOUNT}:assumed-role/slow-role/{team.namespace}.{pod}" for pod in pods}
