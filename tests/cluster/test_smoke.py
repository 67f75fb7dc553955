"""What the other tests take for granted of the cluster: pods with native sidecars, DNS, tokens, logs, a quick `up`."""

import base64
import contextlib
import json
import re
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest

from tests.support.clusters import health, images, plan
from tests.support.clusters.addresses import DOMAIN
from tests.support.clusters.provider import Provider, choose
from tests.support.tools.table import TOOLS

_POD = Path(__file__).with_name("smoke.yaml")
_QUICK_SECONDS = 15


@pytest.fixture(scope="module")
def cluster() -> Provider:
    """Return the cluster of this machine, made if it is not there."""
    provider = choose("main")
    provider.up()
    return provider


@pytest.fixture(scope="module")
def kubectl(cluster: Provider) -> Iterator[list[str]]:
    """Return kubectl in a namespace of its own, in which the smoke pod runs."""
    for row in plan.IMAGES:
        cluster.load(images.own(row))
    plain = health.kubectl(cluster.kubeconfig())
    namespace = f"smoke-{uuid.uuid4().hex[:8]}"
    health.call([*plain, "create", "namespace", namespace])
    command = [*plain, f"--namespace={namespace}"]
    manifest = Template(_POD.read_text()).substitute({f"{name}_image": image for name, image in plan.IMAGES.items()})
    try:
        subprocess.run([*command, "apply", "--filename=-"], input=manifest, text=True, check=True)
        health.call([*command, "wait", "--for=condition=Ready", "pod/sidecar", "--timeout=60s"])
        yield command
    finally:
        health.call([*plain, "delete", "namespace", namespace, "--wait=false"])


def test_a_running_cluster_is_up_at_once(cluster: Provider) -> None:
    """A second `up` changes nothing and takes seconds."""
    before = cluster.kubeconfig().read_bytes()
    started = time.monotonic()
    cluster.up()

    assert time.monotonic() - started < _QUICK_SECONDS
    assert before == cluster.kubeconfig().read_bytes()
    assert not cluster.status()


def test_a_pod_with_a_native_sidecar_runs(kubectl: list[str]) -> None:
    """The sidecar is started and still runs, the init container after it has ended well, and its log can be read."""
    pod = json.loads(health.call([*kubectl, "get", "pod", "sidecar", "--output=json"]))
    states = [
        (status["name"], next(iter(status["state"])), status["started"], status["restartCount"])
        for status in (*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"])
    ]

    expected = [
        ("sidecar", "running", True, 0),
        ("version", "terminated", False, 0),
        ("pause", "running", True, 0),
    ]
    assert expected == states
    log = health.call([*kubectl, "logs", "sidecar", "--container=version"])
    assert log.startswith(f"CoreDNS-{TOOLS['coredns'].version.removeprefix('v')}\n")


def test_a_pod_has_an_address_of_either_family(kubectl: list[str]) -> None:
    """The cluster is dual-stack, so that IPv6 is tested by real packets."""
    pod = json.loads(health.call([*kubectl, "get", "pod", "sidecar", "--output=json"]))

    assert [False, True] == [":" in address["ip"] for address in pod["status"]["podIPs"]]


def test_a_pod_gets_a_token_of_the_cluster(kubectl: list[str]) -> None:
    """A service account token names the cluster's issuer and is signed by a key that the cluster publishes."""
    token = health.call([*kubectl, "create", "token", "default", "--audience=smoke"]).strip()
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    configuration = json.loads(health.call([*kubectl, "get", "--raw=/.well-known/openid-configuration"]))
    keys = json.loads(health.call([*kubectl, "get", "--raw=/openid/v1/jwks"]))["keys"]

    assert (configuration["issuer"], ["smoke"]) == (claims["iss"], claims["aud"])
    assert header["kid"] in [key["kid"] for key in keys]


def test_dns_knows_the_services(kubectl: list[str]) -> None:
    """The API server's name resolves; one that no service has is unknown."""
    with _forwarded(kubectl[:-1]) as address:
        assert (0, 1) == _query(address, f"kubernetes.default.svc.{DOMAIN}")
        assert (3, 0) == _query(address, f"nothing.default.svc.{DOMAIN}")


@contextlib.contextmanager
def _forwarded(kubectl: list[str]) -> Iterator[tuple[str, int]]:
    """Forward a local port to the DNS service, for as long as the context lasts."""
    command = [*kubectl, "--namespace=kube-system", "port-forward", "service/kube-dns", ":53"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert match, "kubectl port-forward names no port"
            yield "127.0.0.1", int(match[1])
        finally:
            process.terminate()


def _query(address: tuple[str, int], name: str) -> tuple[int, int]:
    """Ask for an A record over TCP (RFC 1035 section 4); return the response code and the number of answers."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(struct.pack("!H", len(message)) + message)
        answer = connection.recv(512)
    _, flags, _, answers = struct.unpack("!4H", answer[2:10])
    return flags & 0xF, answers
