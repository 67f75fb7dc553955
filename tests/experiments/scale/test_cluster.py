"""What the API server, the webhook and the nodes bear; and which bound is met first."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from emulator.webhook.namespaces import FRESH_SECONDS
from emulator.webhook.settings import POLL_DEFAULT_SECONDS
from emulator.webhook.webhook import VERSION_SECONDS
from tests.experiments.scale import model
from tests.experiments.scale.assumptions import ASSUMED, PUBLISHED, measured, values
from tests.support.webhook.fake_api import CONFIGURATION, SECRET, FakeApi
from tests.support.webhook.running import admit, connect, environment, parameters, pod, running
from tests.support.wire.process import CREDENTIALS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.reliability.figures import Figures
    from tests.support.webhook.running import Webhook
    from tests.support.wire.fixtures import World

PODS = ASSUMED.injected_pods.value
PER_NODE = PODS / ASSUMED.nodes.value
CREATIONS = (ASSUMED.creations_per_second.value, ASSUMED.creations_per_second_raised.value)
MIB = 1024 * 1024

REVIEWS = (10, 100, 1000)
SHORT_REVIEWS = (10, 100)
NAMESPACES = ("team-a", "team-b", "team-c")
NODE_MEMORY_MIB = 100
CPU_LIMIT_SHARE = 0.5
TOKEN_REQUESTS_SHARE = 0.1
"""Of those for API tokens, which the kubelets ask for without us."""


def test_memory_of_a_node(figures: Figures) -> None:
    """20 injected pods on a node: what their emulators really take, and what the scheduler sets aside for them."""
    real = PER_NODE * measured().emulator_pss_kb / 1024
    private = PER_NODE * measured().emulator_private_kb / 1024
    request = model.quantity(values()["sidecar"]["resources"]["requests"]["memory"])
    figures.add("injected pods on a node", int(PER_NODE))
    figures.add("memory of their emulators, private", private, "MiB")
    figures.add("with their share of what they have in common (PSS)", real, "MiB", f"{NODE_MEMORY_MIB} MiB")
    figures.add("set aside by sidecar.resources.requests.memory", PER_NODE * request / MIB, "MiB")
    figures.add("in the cluster: taken", PODS * measured().emulator_pss_kb / 1024**2, "GiB")
    figures.add("in the cluster: set aside", PODS * request / 1024**3, "GiB")

    assert real <= NODE_MEMORY_MIB
    assert measured().emulator_pss_kb * 1024 <= request


def test_admission(figures: Figures) -> None:
    """Pods are created as fast as Kubernetes creates any; the webhook is asked about labelled ones alone."""
    replicas = values()["replicas"]
    limit = float(values()["resources"]["limits"]["cpu"]) * replicas
    cost = measured().cpu_us_per_review
    for rate in CREATIONS:
        figures.add(f"CPU of the webhook at {rate:g} labelled pods per second", model.cores(rate, cost), "cores")
    figures.add(f"limit of its {replicas} replicas", limit, "cores")
    figures.add("reviews per second at that limit", limit / cost * 1e6, "/s", f"> {2 * CREATIONS[-1]:g}/s")

    assert model.cores(CREATIONS[-1], cost) <= CPU_LIMIT_SHARE * limit
    assert limit / cost * 1e6 > 2 * CREATIONS[-1]


def test_token_requests(figures: Figures) -> None:
    """The hidden cost: the kubelets ask the API server for the projected tokens, one for each pod and rotation."""
    share, most = ASSUMED.token_refresh_share.value, ASSUMED.token_refresh_most_seconds.value
    own = {
        seconds: model.token_requests_per_second(PODS, seconds, share, most)
        for seconds in (600, 3600, values()["token"]["expirationSeconds"])
    }
    theirs = model.token_requests_per_second(PODS, ASSUMED.api_token_seconds.value, share, most)
    default = own[values()["token"]["expirationSeconds"]]
    figures.add("token requests for the API tokens that pods have without us", theirs, "/s")
    for seconds, rate in own.items():
        figures.add(f"for ours, with token.expirationSeconds {seconds}", rate, "/s")
    figures.add(
        "the default's share of those without us", f"{default / theirs:.1%}", bound=f"{TOKEN_REQUESTS_SHARE:.0%}"
    )
    figures.add("besides, while pods are created", "one for each")

    assert default <= TOKEN_REQUESTS_SHARE * theirs


def test_what_the_webhook_asks(tmp_path: Path, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """While the webhook reviews 10, 100, 1,000 pods it asks the API server for nothing more than without any.

    It has no watch; its reads of Secret, configuration and version go by the clock. Where an allow-list is in force it
    reads a namespace at most once in ten seconds.
    """
    with FakeApi() as api:
        for namespace in NAMESPACES:
            api.put(f"/api/v1/namespaces/{namespace}", {"metadata": {"name": namespace}})
        changed = {"IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS": "3600"}
        environ = environment(tmp_path, ("127.0.0.1", api.port), api.service_account(tmp_path / "account"), **changed)
        counts = REVIEWS if full else SHORT_REVIEWS
        with running(environ, tmp_path / "log") as webhook:
            asked = {count: asked_while(api, webhook, count)[0] for count in counts}
        parameters(tmp_path / "parameters", allowedRolesMode="enforce", allowedRoles="*")
        with running(environ, tmp_path / "log") as webhook:
            with_list, seconds = asked_while(api, webhook, counts[-1])
    reads = {path for method, path, _ in api.asked if method == "GET"}
    rate = model.webhook_reads_per_second(values()["replicas"], POLL_DEFAULT_SECONDS, VERSION_SECONDS)
    most = len(NAMESPACES) * (1 + int(seconds / FRESH_SECONDS))
    for count, requests in asked.items():
        figures.add(f"requests of the API server while it reviews {count:,} pods", requests, bound="0")
    figures.add(
        f"with an allow-list, for {counts[-1]:,} pods of {len(NAMESPACES)} namespaces", with_list, bound=f"{most}"
    )
    figures.add("watches", sum("watch" in path for _, path, _ in api.asked), bound="0")
    figures.add("at rest, all replicas, reads of Secret, configuration and version", rate, "/s", "1/s")

    assert set(asked.values()) == {0}
    assert 0 < with_list <= most
    assert reads == {SECRET, CONFIGURATION, "/version", *(f"/api/v1/namespaces/{each}" for each in NAMESPACES)}
    assert rate <= 1


def asked_while(api: FakeApi, webhook: Webhook, reviews: int) -> tuple[int, float]:
    """Return how many requests the API server got while the webhook reviewed pods, and how long that took."""
    before, started = len(api.asked), time.monotonic()
    with connect(webhook.port, api.trusted()[0], "injector.ns.svc") as connection:
        for number in range(reviews):
            made = pod(f"pod-{number}")
            made["metadata"]["namespace"] = NAMESPACES[number % len(NAMESPACES)]
            assert admit(connection, made)["allowed"]
    return len(api.asked) - before, time.monotonic() - started


def test_what_a_sidecar_asks(world: World, tmp_path: Path, figures: Figures) -> None:
    """An emulator that is told where the API server is, as each container is, asks it for nothing."""
    with FakeApi() as api:
        account = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)}
        api.service_account(tmp_path / "account")
        emulator = world.start_ready(**account)
        assert json.loads(emulator.get(CREDENTIALS).body)["Code"] == "Success"
        emulator.end()
    figures.add("requests of the API server by a sidecar", len(api.asked), bound="0")
    figures.add("calls of STS by it until it served", len(world.sts.requests), bound="1")

    assert api.asked == []
    assert len(world.sts.requests) == 1


def test_what_breaks_first(figures: Figures) -> None:
    """Each load as a share of its bound, the fullest first, with the setting that eases it."""
    share, most = ASSUMED.token_refresh_share.value, ASSUMED.token_refresh_most_seconds.value
    steady = model.exchanges_per_second(PODS, values()["sts"]["durationSeconds"])
    limit = float(values()["resources"]["limits"]["cpu"]) * values()["replicas"]
    tokens = {
        seconds: model.token_requests_per_second(PODS, seconds, share, most)
        for seconds in (values()["token"]["expirationSeconds"], ASSUMED.api_token_seconds.value)
    }
    ours, theirs = tokens.values()
    quota = PUBLISHED.sts_calls_per_second.value
    tested = "that Kubernetes is tested with (several clusters)"
    loads = {
        f"pods, of the {PUBLISHED.pods.value:,.0f} {tested}": PODS / PUBLISHED.pods.value,
        f"nodes, of the {PUBLISHED.nodes.value:,.0f} {tested}": ASSUMED.nodes.value / PUBLISHED.nodes.value,
        f"STS while {CREATIONS[1]:g} pods per second are created (roles of several accounts or Regions)": (
            CREATIONS[1] + steady
        )
        / quota,
        f"STS while {CREATIONS[0]:g} pods per second are created": (CREATIONS[0] + steady) / quota,
        "STS, settled (sts.durationSeconds)": steady / quota,
        f"CPU of the webhook at {CREATIONS[1]:g} pods per second (replicas, resources.limits.cpu)": model.cores(
            CREATIONS[1], measured().cpu_us_per_review
        )
        / limit,
        "token requests, of those without us (token.expirationSeconds)": ours / theirs,
        "memory of a sidecar, of its request (sidecar.resources)": measured().emulator_pss_kb
        * 1024
        / model.quantity(values()["sidecar"]["resources"]["requests"]["memory"]),
    }
    ordered = sorted(loads.items(), key=lambda load: -load[1])
    for what, part in ordered:
        figures.add(what, f"{part:.0%}")

    assert [part > 1 for _, part in ordered] == [True] * 3 + [False] * (len(ordered) - 3)
    assert ordered[2][0].startswith("STS while")
