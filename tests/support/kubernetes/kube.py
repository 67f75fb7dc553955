"""A cluster, as the tests use it: plain objects in and out, conditions awaited with a deadline.

In: a kubeconfig. Out: decoded JSON; `RefusedError` for what the API server does not do.
Requests go over one kept connection; kubectl is run only for what is more than a request.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pytest_helm_charts.clusters import ExistingCluster

from tests.support.tools import programs

Object = dict[str, Any]
T = TypeVar("T")

_MANAGER = "imds-emulator-test"
_TIMEOUT_SECONDS = 30
_POLL_SECONDS = 0.25
_WARNING = re.compile(r'299 - "((?:[^"\\]|\\.)*)"')


class RefusedError(Exception):
    """The API server answered other than 2xx: `status`, and the `message` of its Status object."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


def program(name: str) -> str:
    """Return the path of a program of the table, as text."""
    return str(programs.path(name))


def path(api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
    """Return the path of an object, or of the collection if it has no name."""
    plural = f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}s"
    parts = ["", "apis" if "/" in api_version else "api", api_version]
    parts += ["namespaces", namespace, plural] if namespace else [plural]
    return "/".join([*parts, name] if name else parts)


def wait_for(what: str, check: Callable[[], T], seconds: float) -> T:
    """Return the first true result of `check`; an AssertionError names `what` and the last result after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {result!r}")
        time.sleep(_POLL_SECONDS)
    return result


class Kube:
    """One cluster, as the user of its kubeconfig."""

    def __init__(self, cluster: ExistingCluster) -> None:
        self.kubeconfig = Path(cluster.kube_config_path)
        self._client = cluster.kube_client or cluster.create()

    def request(
        self, method: str, url: str, body: object = None, content_type: str = "application/json", **query: str
    ) -> Any:  # noqa: ANN401 - decoded JSON, or text
        """Return the decoded answer; raises RefusedError, with the warnings that came before it left out."""
        answer = self._send(method, url, body, content_type, query)
        try:
            return answer.json()
        except ValueError:
            return answer.text

    def _send(self, method: str, url: str, body: object, content_type: str, query: Mapping[str, str]) -> Any:  # noqa: ANN401 - requests is untyped
        answer = self._client.session.request(
            method,
            f"{self._client.url}{url}",
            data=None if body is None else json.dumps(body),
            params=query,
            headers={"Content-Type": content_type, "Accept": "application/json, */*"},
            timeout=_TIMEOUT_SECONDS,
        )
        if not answer.ok:
            try:
                message = str(answer.json()["message"])
            except (ValueError, KeyError, TypeError):
                message = answer.text
            raise RefusedError(answer.status_code, message)
        return answer

    def create(self, thing: Object, *, dry_run: bool = False) -> Object:
        """Create an object, or see what the API server would make of it."""
        created: Object = self.request("POST", _path(thing), thing, **({"dryRun": "All"} if dry_run else {}))
        return created

    def warnings(self, thing: Object) -> list[str]:
        """Return the admission warnings that a dry run of the creation brings (RFC 9111 section 5.5, code 299)."""
        answer = self._send("POST", _path(thing), thing, "application/json", {"dryRun": "All"})
        quoted = _WARNING.findall(answer.headers.get("Warning", ""))
        return [re.sub(r"\\(.)", r"\1", text) for text in quoted]

    def apply(self, *things: Object) -> None:
        """Make the objects be as they are here (server-side apply)."""
        for thing in things:
            self.request(
                "PATCH",
                f"{_path(thing)}/{thing['metadata']['name']}",
                thing,
                "application/apply-patch+yaml",
                fieldManager=_MANAGER,
                force="true",
            )

    def get(self, url: str) -> Object | None:
        """Return an object or a list, or None."""
        try:
            found: Object = self.request("GET", url)
        except RefusedError as refusal:
            if refusal.status == 404:
                return None
            raise
        return found

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        """Return the pods of a namespace, the oldest first."""
        answer = self.request("GET", path("v1", "Pod", namespace), labelSelector=selector)
        return sorted(answer["items"], key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def delete(self, url: str, grace_seconds: int | None = None) -> None:
        """Delete an object, if it is there; what it owns goes later."""
        query = {} if grace_seconds is None else {"gracePeriodSeconds": str(grace_seconds)}
        try:
            self.request("DELETE", url, propagationPolicy="Background", **query)
        except RefusedError as refusal:
            if refusal.status != 404:
                raise

    def log(self, namespace: str, pod: str, container: str = "app") -> str:
        """Return what a container has written so far; nothing if it has not started."""
        try:
            return str(
                self._send("GET", f"{path('v1', 'Pod', namespace, pod)}/log", None, "", {"container": container}).text
            )
        except RefusedError as refusal:
            if refusal.status in {400, 404}:  # by the API server; by the kubelet, while there is no file yet
                return ""
            raise

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl; return its output. Raises CalledProcessError with its complaint in `stderr`."""
        argv = [program("kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(argv, input=stdin, check=True, capture_output=True, text=True).stdout

    def shell(self, namespace: str, pod: str, script: str, container: str = "app") -> str:
        """Run a shell script in a container; return its output."""
        return self.kubectl("exec", "--namespace", namespace, pod, "--container", container, "--", "sh", "-c", script)

    def wait_ready(self, namespace: str, pod: str, seconds: float = 90) -> Object:
        """Return the pod once it is Ready."""

        def ready() -> Object | None:
            found = self.get(path("v1", "Pod", namespace, pod))
            return found if found and condition(found, "Ready") else None

        found = wait_for(f"pod {namespace}/{pod} Ready", ready, seconds)
        assert found
        return found


def condition(thing: Mapping[str, Any], name: str) -> bool:
    """Tell whether a condition of the object's status is True."""
    conditions = thing.get("status", {}).get("conditions", [])
    return any(entry["type"] == name and entry["status"] == "True" for entry in conditions)


def _path(thing: Object) -> str:
    return path(thing["apiVersion"], thing["kind"], thing["metadata"].get("namespace", ""))
