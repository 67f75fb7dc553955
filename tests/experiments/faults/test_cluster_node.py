"""Injected pods on a node of which parts are killed: the sidecar, the sandbox, the kubelet, the API server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from emulator import names
from tests.experiments.faults.site import installed
from tests.experiments.faults.watching import SCRIPT, account, await_whole
from tests.support.kubernetes.creation import Creation
from tests.support.kubernetes.kube import condition, path, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.experiments.faults.site import Site
    from tests.experiments.faults.watching import Account
    from tests.support.kubernetes.creation import Attempt
    from tests.support.kubernetes.kube import Object
    from tests.support.reliability.figures import Figures

pytestmark = pytest.mark.full_only(
    reason="kills parts of the node that other tests of the session need; "
    "tests/cluster/e2e/test_network.py::test_new_sandbox is always run"
)

HEALED_SECONDS = 60.0
FROZEN_SECONDS = 20.0


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Provide the product on the cluster."""
    with installed("faults-node") as found:
        yield found


@pytest.fixture
def watcher(site: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    """Provide a pod that asks for credentials all the time, and has got some."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    site.kube.create(site.team.pod(name, SCRIPT))
    await_whole(site.team, name, 0.0)
    yield name
    assert site.bare() == []
    site.kube.delete(path("v1", "Pod", site.team.namespace, name))


def _pod(site: Site, name: str) -> Object:
    found: Object = site.kube.request("GET", path("v1", "Pod", site.team.namespace, name))
    return found


def _emulator(pod: Object) -> Object:
    """Return the status of the sidecar."""
    (found,) = (each for each in pod["status"]["initContainerStatuses"] if each["name"] == names.EMULATOR_CONTAINER)
    status: Object = found
    return status


def _report(figures: Figures, seen: Account) -> None:
    figures.add("requests with whole credentials", seen.whole)
    figures.add("requests with an error", seen.errors)
    figures.add("requests with partial or expired credentials", seen.partial, bound="0")
    figures.add("until the last error was over", seen.healed_seconds, "s", f"{HEALED_SECONDS:g} s")


def test_sidecar_killed(site: Site, watcher: str, figures: Figures) -> None:
    """SIGKILL of the sidecar's process: the kubelet starts it again, and the application has credentials again.

    Meanwhile it gets an error, never a part of an answer and never the node's role.
    """
    before = _pod(site, watcher)
    started = time.time()
    site.kill_container(before, names.EMULATOR_CONTAINER)
    wait_for("the sidecar started again", lambda: _emulator(_pod(site, watcher))["restartCount"] == 1, HEALED_SECONDS)

    seen = account(site.team, watcher, started)

    _report(figures, seen)
    assert seen.partial == 0
    assert seen.errors > 0
    assert seen.healed_seconds < HEALED_SECONDS
    after = _pod(site, watcher)
    assert before["status"]["podIP"] == after["status"]["podIP"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_sandbox_killed(site: Site, watcher: str, figures: Figures) -> None:
    """SIGKILL of the sandbox: the pod gets a new network, in which the init container makes the redirect again.

    The application starts only after that, so it never meets another metadata service.
    """
    before = _pod(site, watcher)
    started = time.time()
    site.kill_sandbox(before)

    def again() -> bool:
        now = _pod(site, watcher)
        return condition(now, "Ready") and now["status"]["podIP"] != before["status"]["podIP"]

    wait_for("the pod Ready in a new sandbox", again, HEALED_SECONDS)
    healed = await_whole(site.team, watcher, started + 0.5) - started
    seen = account(site.team, watcher, started)

    figures.add("until the application had credentials again", healed, "s", f"{HEALED_SECONDS:g} s")
    figures.add("requests with an error", seen.errors, bound="0")
    figures.add("requests with partial or expired credentials", seen.partial, bound="0")
    assert healed < HEALED_SECONDS
    assert (0, 0) == (seen.partial, seen.errors)
    inits = {each["name"]: each["restartCount"] for each in _pod(site, watcher)["status"]["initContainerStatuses"]}
    assert inits[names.REDIRECT_CONTAINER] >= 1


def test_kubelet_killed(site: Site, watcher: str, figures: Figures) -> None:
    """The kubelet hangs for 20 s and is killed: running pods keep their credentials.

    A pod created meanwhile gets its own when the kubelet is back.
    """
    started = time.time()
    site.signal_component("kubelet", "STOP")
    site.kube.create(site.team.pod("meanwhile", SCRIPT))
    time.sleep(FROZEN_SECONDS)
    site.signal_component("kubelet", "KILL")
    killed = time.time()

    healed = await_whole(site.team, "meanwhile", 0.0) - killed
    seen = account(site.team, watcher, started)

    _report(figures, seen)
    figures.add("until a pod of that time had credentials", healed, "s", f"{HEALED_SECONDS:g} s")
    site.kube.delete(path("v1", "Pod", site.team.namespace, "meanwhile"))
    assert (0, 0) == (seen.partial, seen.errors)
    assert seen.whole > FROZEN_SECONDS
    assert healed < HEALED_SECONDS
    assert site.node.status() == ""


def test_api_server_killed(site: Site, watcher: str, figures: Figures) -> None:
    """SIGKILL of the API server while pods run and are created: running ones notice nothing.

    From its first answer on it refuses a labelled pod or injects it.
    """
    with Creation(site.kube, f"{site.team.namespace}-created") as creation:
        time.sleep(3)
        started, at = time.time(), time.monotonic()
        site.signal_component("kube-apiserver", "KILL")
        wait_for("the API server away", lambda: bool(creation.lost(labelled=False, since=at)), 30)
        wait_for("the API server back", lambda: site.node.status() == "", HEALED_SECONDS)
        wait_for("a labelled pod is created", site.release.works, HEALED_SECONDS)
        time.sleep(5)
    attempts = [each for each in creation.attempts if each.at >= at]
    back = {each: _created_again(attempts, labelled=each) - at for each in (True, False)}
    admission = [each.refusal for each in attempts if "webhook" in each.refusal or "not injected" in each.refusal]
    seen = account(site.team, watcher, started)

    _report(figures, seen)
    figures.add("until a pod without the label was created again", back[False], "s")
    figures.add("until a labelled pod was created again", back[True], "s", f"{HEALED_SECONDS:g} s")
    figures.add("labelled pods refused by admission at the return", len(admission))
    figures.add("labelled pods created", creation.created(labelled=True))
    figures.add("labelled pods created without the emulator", creation.bare(), bound="0")
    assert (0, 0) == (seen.partial, seen.errors)
    assert creation.bare() == 0
    assert back[True] < HEALED_SECONDS


def _created_again(attempts: list[Attempt], *, labelled: bool) -> float:
    """Return when the first pod was created after the last that was not."""
    mine = [each for each in attempts if each.labelled == labelled]
    last = max(each.at for each in mine if each.lost)
    return min(each.at + each.seconds for each in mine if each.at > last)
