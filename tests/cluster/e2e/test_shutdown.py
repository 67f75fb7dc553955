"""The end of a pod: credentials as long as the application works."""

import subprocess

import pytest

from tests.cluster.e2e.answers import lines
from tests.support.kubernetes.kube import path, program, wait_for
from tests.support.kubernetes.pods import BASE, Team, runs

pytestmark = pytest.mark.usefixtures("running")

SECONDS = 15
SCRIPT = f"""
end() {{
  for second in $(seq {SECONDS}); do
    curl -s -m 1 -o /dev/null -w "$second %{{http_code}}\\n" {BASE}/app-role
    sleep 1
  done
  echo ended
  exit 0
}}
trap end TERM
echo asked
while :; do sleep 1; done
"""


@runs(lambda team: [team.pod("ending", SCRIPT, terminationGracePeriodSeconds=30)])
def test_shutdown_order(team: Team) -> None:
    """An application that works on after SIGTERM is given credentials until it ends, and the pod ends with it."""
    lines(team, "ending", last="asked")
    at = path("v1", "Pod", team.namespace, "ending")
    follow = [program("kubectl"), "--kubeconfig", str(team.kube.kubeconfig), "--namespace", team.namespace]
    with subprocess.Popen(
        [*follow, "logs", "--follow", "ending", "--container", "app"], stdout=subprocess.PIPE, text=True
    ) as log:
        team.kube.delete(at)
        written, _ = log.communicate(timeout=SECONDS + 30)

    assert written.splitlines() == ["asked", *(f"{second} 200" for second in range(1, SECONDS + 1)), "ended"]
    wait_for("the pod gone", lambda: team.kube.get(at) is None, 10)
