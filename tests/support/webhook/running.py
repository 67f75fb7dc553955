"""Webhooks as processes, and the API server's side of a review.

Each is a running `python -m emulator webhook` with its ports and its log.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.tools import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Object = dict[str, Any]

ROOT = Path(__file__).parents[3]
PARAMETERS = ROOT / "tests" / "unit" / "pods" / "parameters.yaml"
OF_THE_CHECKOUT = (sys.executable, "-m", "emulator", "webhook")
START_SECONDS = 30.0
ROLE = "arn:aws:iam::123456789012:role/app-role"


@dataclass
class Webhook:
    """A process; `log_file` is its stderr."""

    process: subprocess.Popen[bytes]
    port: int
    health_port: int
    log_file: Path

    @property
    def log(self) -> str:
        """All it has said so far."""
        return self.log_file.read_text()

    def health(self, path: str) -> tuple[int, str]:
        """Return status and body of a path of the health port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            return self.health("/readyz")[0] == 200
        except OSError:
            return False

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)


def wait_for(what: str, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Return when the condition holds; fail with `what` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {seconds:g} s: {what}")
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has."""
    return ports.free(count)


def parameters(directory: Path, **changed: str) -> Path:
    """Write the parameters of the golden pods as a ConfigMap is mounted: files behind one symbolic link."""
    values = {**yaml.safe_load(PARAMETERS.read_text()), **changed}
    directory.mkdir(exist_ok=True)
    version = directory / f"..{time.monotonic_ns()}"
    version.mkdir()
    for key, value in values.items():
        (version / key).write_text(value)
        if not (directory / key).is_symlink():
            (directory / key).symlink_to(f"..data/{key}")
    link = directory / "..data.new"
    link.symlink_to(version.name)
    link.rename(directory / "..data")
    return directory


def environment(directory: Path, api: tuple[str, int], service_account: Path, **changed: str) -> dict[str, str]:
    """Return the environment of a webhook, quick in all that it waits for."""
    port, health_port = free_ports(2)
    return {
        "KUBERNETES_SERVICE_HOST": api[0],
        "KUBERNETES_SERVICE_PORT": str(api[1]),
        "IMDS_EMULATOR_SERVICE_ACCOUNT": str(service_account),
        "IMDS_EMULATOR_PARAMETERS": str(parameters(directory / "parameters")),
        "IMDS_EMULATOR_WEBHOOK_CONFIGURATION": "imds-emulator",
        "IMDS_EMULATOR_WEBHOOK_PORT": str(port),
        "IMDS_EMULATOR_HEALTH_PORT": str(health_port),
        "IMDS_EMULATOR_CERTIFICATE_SECRET": "imds-emulator-certificate",
        "IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS": "0.2",
        "IMDS_EMULATOR_DRAIN_SECONDS": "1",
        "POD_NAMESPACE": "ns",
        **changed,
    }


@contextlib.contextmanager
def running(
    environ: Mapping[str, str], log_file: Path, *, until_ready: bool = True, command: Sequence[str] = OF_THE_CHECKOUT
) -> Iterator[Webhook]:
    """Run a webhook; killed at the end if it has not ended by itself."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **environ},
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    port, health_port = (int(environ[f"IMDS_EMULATOR_{kind}_PORT"]) for kind in ("WEBHOOK", "HEALTH"))
    webhook = Webhook(process, port, health_port, log_file)
    try:
        if until_ready:
            wait_for("the webhook is ready", lambda: process.poll() is not None or webhook.is_ready())
            if process.poll() is not None:
                raise AssertionError(f"the webhook ended: {webhook.log}")
        yield webhook
    finally:
        process.kill()
        process.wait()


def pod(name: str = "app", **changed: Any) -> Object:  # noqa: ANN401 - any field of a pod
    """Return a labelled pod of one container."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "labels": {"gkemulticloud.googleapis.com/aws-imds-emulator-enabled": "True"},
            "annotations": {"gkemulticloud.googleapis.com/aws-imds-emulator-role-arn": ROLE},
        },
        "spec": {"containers": [{"name": "app", "image": "app"}]},
        **changed,
    }


def review(of: Object, uid: str = "uid-1") -> Object:
    """Return the AdmissionReview of a pod's creation."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": of["metadata"]["namespace"],
            "name": of["metadata"]["name"],
            "operation": "CREATE",
            "object": of,
            "dryRun": False,
        },
    }


def client_context(bundle: str) -> ssl.SSLContext:
    """Return a client that trusts just this bundle, and as strictly as RFC 5280 allows it to."""
    context = ssl.create_default_context(cadata=bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def connect(port: int, bundle: str, name: str) -> ssl.SSLSocket:
    """Return a connection to a webhook, as the API server makes it: to an address, verified by the Service's name."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client_context(bundle).wrap_socket(raw, server_hostname=name)


def exchange(connection: socket.socket, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and return status, headers and body of one response."""
    connection.sendall(request)
    return receive(connection)


def receive(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the next response."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    headers = {key.lower(): value for key, value in response.getheaders()}
    return response.status, headers, response.read()


def post(body: bytes, path: str = "/mutate?timeout=5s", extra: str = "") -> bytes:
    """Return the bytes of a POST as the API server sends it."""
    head = f"POST {path} HTTP/1.1\r\nHost: injector.ns.svc:443\r\nContent-Type: application/json\r\n"
    return f"{head}{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def admit(connection: socket.socket, of: Object, uid: str = "uid-1") -> Object:
    """Send the review of a pod and return the response in it."""
    status, _, body = exchange(connection, post(json.dumps(review(of, uid)).encode()))
    assert status == 200, body
    response: Object = json.loads(body)["response"]
    return response
