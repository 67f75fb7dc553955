"""Every route by kustomize gives a Deployment its credentials: label and role, or the sidecar built in beforehand."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator import names
from tests.cluster.e2e.answers import expected_lines, first_pod, lines
from tests.support.kubernetes.kube import Object, path
from tests.support.kubernetes.pods import APP_ROLE, CLIENT_CONFIG, CLIENTS, WAIT, Team, runs
from tests.support.kubernetes.release import containers
from tests.support.kustomize.building import build_from
from tests.support.kustomize.workloads import consumer

pytestmark = pytest.mark.usefixtures("running")

# Where each component puts the emulator.
EMULATOR = {"sidecar": "initContainers/0", "sidecar-env": "initContainers/0"}
OURS = {"sidecar-env": [names.EMULATOR_CONTAINER]}
SDKS_ALONE = "\n".join(line for line in CLIENTS.splitlines() if "curl" not in line and "key=" not in line)


def trusting(component: str) -> str:
    """Return the patch by which a built-in emulator trusts the test's authority; the chart does it by a value."""
    if component not in EMULATOR:
        return ""
    source = {"configMap": {"name": CLIENT_CONFIG, "items": [{"key": "ca.crt", "path": names.CA_BUNDLE_FILE}]}}
    variable = {"name": names.ENV_OWN_CA_BUNDLE, "value": f"{names.TOKEN_DIRECTORY}/{names.CA_BUNDLE_FILE}"}
    spec = "/spec/template/spec"
    operations = [
        {"op": "add", "path": f"{spec}/volumes/0/projected/sources/-", "value": source},
        {"op": "add", "path": f"{spec}/{EMULATOR[component]}/env/-", "value": variable},
    ]
    return json.dumps([{"target": {"kind": "Deployment"}, "patch": json.dumps(operations)}])


def built(component: str) -> Callable[[Team], list[Object]]:
    """Return a maker of the Deployment that a component makes of one without label and role."""

    def make(team: Team) -> list[Object]:
        script = (SDKS_ALONE if component == "sidecar-env" else CLIENTS) + WAIT
        template = team.template(script, label=None, labels={"app": component})
        template["metadata"].pop("annotations")
        content = {"spec": {"selector": {"matchLabels": {"app": component}}, "template": template}}
        app = json.dumps(team.thing("apps/v1", "Deployment", component, content))
        patches = trusting(component)
        kustomization = consumer(component, APP_ROLE) + (f"patches: {patches}\n" if patches else "")
        with tempfile.TemporaryDirectory() as folder:
            return build_from(Path(folder), kustomization, app=app)

    return make


@pytest.mark.parametrize("component", [pytest.param(name, marks=runs(built(name))) for name in ("enable", *EMULATOR)])
def test_route(team: Team, component: str) -> None:
    """Clients of the pod prove whose credentials they have; the installed add-on lets a built pod be as it is."""
    pod = first_pod(team.kube, team.namespace, f"app={component}")
    found = team.kube.request("GET", path("v1", "Pod", team.namespace, pod))
    written = lines(team, pod, last="asked")

    by_curl, *by_sdks = expected_lines(team, pod)
    ours = OURS.get(component, [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER])
    assert [*([] if component == "sidecar-env" else [by_curl]), *by_sdks, "asked"] == written
    assert [*ours, "app"] == containers(found)
