"""`make demo`: from nothing to a pod with the credentials of its role, on a real cluster.

In: $KUBECONFIG, else the test cluster of this machine, made if need be. Out: what a person wants to see, each step
with its time; a step that fails says what to look at.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from emulator.build.progress import StepFailedError
from tests.support import prepare
from tests.support.clusters import foreign
from tests.support.clusters.provider import choose, having
from tests.support.demo import APP_NAMESPACE, NAMESPACE, RELEASE, STS_NAMESPACE, remove
from tests.support.kubernetes import images, pods, sts
from tests.support.kubernetes.kube import Kube, RefusedError, condition, path, program, wait_for
from tests.support.kubernetes.pods import Team
from tests.support.kubernetes.release import Release
from tests.support.tools import build as tools
from tests.support.tools import programs

_READY_SECONDS = 120


class StepError(Exception):
    """A step of the demo failed; the message is what a person should look at."""


@contextmanager
def step(name: str, look_at: str) -> Iterator[None]:
    """Say that a step begins, and how long it took; `look_at`: the command that shows why it failed."""
    print(f"==> {name}", flush=True)
    started = time.monotonic()
    try:
        yield
    except (
        StepFailedError,
        AssertionError,
        RefusedError,
        RuntimeError,
        OSError,
        subprocess.CalledProcessError,
    ) as error:
        detail = getattr(error, "stderr", "") or error
        raise StepError(
            f"{name}: failed after {time.monotonic() - started:.0f} s\n{detail}\nLook at: {look_at}"
        ) from error
    print(f"    {time.monotonic() - started:.1f} s", flush=True)


def main() -> int:
    """Run the demo; 1 if a step failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.demo", description=__doc__)
    parser.add_argument("--mode", choices=("webhook", "policy"), default="webhook", help="how pods are injected")
    parser.add_argument("--remove", action="store_true", help="remove what the demo made, in place of running it")
    options = parser.parse_args()
    try:
        if options.remove:
            with step("Remove the demo", "helm list --all-namespaces"):
                remove(connect())
        else:
            demo(options.mode)
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def demo(mode: str) -> None:
    """Take every step."""
    started = time.monotonic()
    with step("Programs and images, built where they are missing", "the log named above"):
        build()
    with step("A Kubernetes cluster", "python -m tests.support.clusters status"):
        kube = connect()
    kubectl = f"{program('kubectl')} --kubeconfig {kube.kubeconfig}"
    with step("The images, given to the node", "the log named above"):
        images.load(kube)
    with step("A test STS that stands in for AWS", f"{kubectl} --namespace {STS_NAMESPACE} get pods,events"):
        deployed = sts.deploy(kube, STS_NAMESPACE)
        deployed.set_roles({pods.APP_ROLE: {"subjects": [f"system:serviceaccount:{APP_NAMESPACE}:*"]}})
    with step(f"helm install {RELEASE} ({mode} mode)", f"{kubectl} --namespace {NAMESPACE} get pods,events"):
        values = {"mode": mode, "sts": {"region": pods.REGION, "caBundleConfigMap": pods.CLIENT_CONFIG}}
        Release(kube, RELEASE, NAMESPACE).install(values)
    team = Team(kube, deployed, APP_NAMESPACE).prepare()
    with step("A Deployment with the label and the annotation", f"{kubectl} --namespace {APP_NAMESPACE} describe pods"):
        pod = app(team)
    show(team, pod)
    given = os.environ.get("KUBECONFIG")
    removal = f"PYTHONPATH=src:. {sys.executable} -m tests.support.demo --remove"
    print(
        f"\nDone in {time.monotonic() - started:.0f} s. The pod is still there:\n"
        f"  {kubectl} --namespace {APP_NAMESPACE} exec -it {pod['metadata']['name']} --container app -- bash"
    )
    if given:
        print(f"To remove what the demo made:\n  KUBECONFIG={given} {removal}")
    else:
        print(f"To remove what the demo made, or to end the test cluster:\n  {removal}\n  make cluster-down")


def build() -> None:
    """Build what the demo starts: no more than this cluster needs."""
    given = os.environ.get("KUBECONFIG")
    cluster = having(Path(given)) if given else choose("main")
    rows = [*programs.rows(("helm", "kubectl")), *(cluster.rows() if cluster else ())]
    if cluster or foreign.of(Path(str(given))):
        prepare.everything({tool.name: tool for tool in rows}.values())
    else:
        tools.ensure(rows)


def connect() -> Kube:
    """Return the cluster of $KUBECONFIG, else the test cluster, up."""
    given = os.environ.get("KUBECONFIG")
    if given:
        return Kube(ExistingCluster(given))
    cluster = choose("main")
    cluster.up()
    return Kube(ExistingCluster(str(cluster.kubeconfig())))


def app(team: Team) -> dict[str, Any]:
    """Restart the sample Deployment; return its pod, once that is Ready."""
    at = path("apps/v1", "Deployment", team.namespace, "app")
    team.kube.delete(at)
    wait_for("no Deployment or pod of before", lambda: not team.kube.pods(team.namespace, "app=app"), _READY_SECONDS)
    template = team.template("exec sleep infinity", labels={"app": "app"})
    content = {"spec": {"replicas": 1, "selector": {"matchLabels": {"app": "app"}}, "template": template}}
    team.kube.create(team.thing("apps/v1", "Deployment", "app", content))

    def available() -> bool:
        deployment = team.kube.get(at)
        return bool(deployment and condition(deployment, "Available"))

    wait_for(f"Deployment {team.namespace}/app Available", available, _READY_SECONDS)
    return team.kube.pods(team.namespace, "app=app")[0]


def show(team: Team, pod: dict[str, Any]) -> None:
    """Print the pod's containers, and what clients inside of it are told."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    print(f"\nPod {name}, for {pod['metadata']['annotations'][names.ANNOTATION_ROLE_ARN]}")
    for field in ("initContainers", "containers"):
        for each in spec[field]:
            always = "  restartPolicy: Always" if each.get("restartPolicy") == "Always" else ""
            print(f"  {field:15} {each['name']:14} {each['image']}{always}")
    for command in (f"curl -s {pods.BASE}/", "aws sts get-caller-identity"):
        with step(f"in the pod: {command}", f"kubectl --namespace {team.namespace} logs {name} --all-containers"):
            print(f"    {team.kube.shell(team.namespace, name, command).strip()}".replace("\n", "\n    "))


if __name__ == "__main__":
    sys.exit(main())
