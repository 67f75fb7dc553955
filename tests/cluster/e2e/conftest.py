"""What stands once for all tests: cluster, images, the chart, the test STS, and the pods that the tests run.

The options are those of pytest-helm-charts: --kubeconfig (else $KUBECONFIG, else the test cluster of this machine).
A test says by the mark `runs` what it needs on the cluster; all of it is created while the first tests run.
"""

import os
import uuid
from collections.abc import Generator, Iterator
from http import HTTPStatus

import pytest
from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from tests.cluster.e2e import report
from tests.cluster.e2e.fleet import Fleet
from tests.support import demo
from tests.support.clusters.provider import choose
from tests.support.kubernetes import images, release, sts
from tests.support.kubernetes.kube import Kube, Object, RefusedError, path, wait_for
from tests.support.kubernetes.pods import DOWN_ROLE, SLOW_ROLE, WAIT, Team, container, roles
from tests.support.kubernetes.release import VALUES, Release
from tests.support.kubernetes.sts import ClusterSts

# STS is down, or slow, for the pods of one role alone, so that all others can run at the same time.
FAULTS = (
    {"role": DOWN_ROLE, "answer": "error", "code": "InternalFailure"},
    {"role": SLOW_ROLE, "delaySeconds": 2},
)

FORGET_SECONDS = 30

_RUN = f"e2e-{uuid.uuid4().hex[:5]}"
_MARKS = (
    "runs(make): objects (a function of the team) that are created ahead of the test",
    "last: run after all others, since it takes away what they need",
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    for mark in _MARKS:
        config.addinivalue_line("markers", mark)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests marked `last` at the end."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what the cluster says of the pods at that time."""
    outcome = yield
    kube = getattr(item, "funcargs", {}).get("kube")
    if outcome.failed and outcome.when != "teardown" and kube:
        outcome.sections.append(("pods", report.pods(kube, _RUN)))
    return outcome


@pytest.fixture(scope="session")
def kube_config(pytestconfig: pytest.Config) -> str:
    """Return the kubeconfig's path."""
    given = pytestconfig.getoption("kubeconfig") or os.environ.get("KUBECONFIG", "")
    if given:
        return str(given)
    cluster = choose("main")
    cluster.up()
    return str(cluster.kubeconfig())


@pytest.fixture(scope="session")
def kube_cluster(kube_config: str) -> Iterator[ExistingCluster]:
    """Provide the cluster, connected, for the whole session."""
    cluster = ExistingCluster(kube_config)
    cluster.create()
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="session")
def kube(kube_cluster: ExistingCluster) -> Kube:
    """Provide the cluster as the tests use it: with all images on it, and without another release of the chart."""
    kube = Kube(kube_cluster)
    if images.provider(kube):
        demo.remove(kube)  # two releases would inject the same pods
    if found := release.others(kube, _RUN):
        pytest.exit(f"the chart is on this cluster already: {', '.join(found)}; end it by `helm uninstall`", 2)
    images.load(kube)
    return kube


@pytest.fixture(scope="session")
def survivor(kube: Kube) -> Iterator[Object]:
    """Provide a labelled pod that was made before the chart was installed, so without the emulator."""
    namespace = f"{_RUN}-before"
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    labels = {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}
    spec = {"containers": [{**container("app", WAIT), "volumeMounts": []}], "terminationGracePeriodSeconds": 1}
    metadata = {"name": "before", "namespace": namespace, "labels": labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def created() -> Object:
        try:
            return kube.create(pod)
        except RefusedError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return {}

    # The API server goes on with the guard of a demo for a moment after its removal.
    yield wait_for("the guard of a demo has gone", created, FORGET_SECONDS)
    kube.delete(path("v1", "Namespace", name=namespace))


@pytest.fixture(scope="session")
def chart(kube: Kube, survivor: Object) -> Iterator[Release]:  # noqa: ARG001 - it comes first
    """Provide the installed chart."""
    release = Release(kube, "imds-emulator", f"{_RUN}-system")
    try:
        release.install(VALUES)
        yield release
    finally:
        release.uninstall()


@pytest.fixture(scope="session")
def cluster_sts(kube: Kube) -> Iterator[ClusterSts]:
    """Provide the test STS, with a trust policy for the roles of these tests."""
    namespace = f"{_RUN}-sts"
    try:
        deployed = sts.deploy(kube, namespace)
        deployed.set_roles(roles(_RUN))
        deployed.set_faults(*FAULTS)
        yield deployed
    finally:
        sts.remove(kube, namespace)


@pytest.fixture(scope="session")
def team(kube: Kube, chart: Release, cluster_sts: ClusterSts) -> Iterator[Team]:  # noqa: ARG001 - it comes first
    """Provide the namespace that most pods are in."""
    made = Team(kube, cluster_sts, f"{_RUN}-team").prepare()
    yield made
    kube.delete(path("v1", "Namespace", name=made.namespace))


@pytest.fixture(scope="session", autouse=True)
def fleet(request: pytest.FixtureRequest, kube: Kube, team: Team) -> Fleet:
    """Begin to create what the tests of this session run, in their order."""
    makes = [mark.args[0] for item in request.session.items for mark in item.iter_markers("runs")]
    return Fleet(Kube(ExistingCluster(str(kube.kubeconfig))), team, list(dict.fromkeys(makes)))


@pytest.fixture
def running(request: pytest.FixtureRequest, fleet: Fleet) -> None:
    """Have what the test runs created."""
    for mark in request.node.iter_markers("runs"):
        fleet.wait(mark.args[0])
