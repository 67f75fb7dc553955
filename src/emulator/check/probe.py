"""`imds-emulator probe`: proves an installation from inside the cluster; what `helm test` runs.

Goes in: `admission NAMESPACE`, with the pod's service account; or `credentials`, in a pod that carries the label.
Comes out: one line, ok or with its remedy; exit status 1 if it failed, 2 if it can't be tried.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from emulator import names
from emulator.check.cluster import dry_run
from emulator.check.cluster_client import Unreadable
from emulator.check.findings import Finding, as_text, failed, ok, status
from emulator.settings import PORTS, SettingsError, environment, integer, required
from emulator.webhook.kubeapi import ApiError, KubeApi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CREDENTIALS = f"http://{names.IMDS_IPV4}/latest/meta-data/iam/security-credentials/"
PATIENCE_SECONDS = 60
PAUSE_SECONDS = 2


def main(arguments: list[str]) -> int:
    """Print the finding and return the exit status; see the module."""
    parser = argparse.ArgumentParser(prog="imds-emulator probe", description="Prove an installation from inside.")
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("admission", help="would a labelled pod be injected? (dry run)").add_argument("namespace")
    what.add_parser("credentials", help="does this pod get credentials?")
    options = parser.parse_args(arguments)
    try:
        if options.what == "admission":
            finding = dry_run(ServiceAccountCluster(environment()), options.namespace)
        else:
            finding = credentials(get, time.sleep)
    except SettingsError as error:
        print(f"imds-emulator probe: {error}", file=sys.stderr)  # noqa: T201
        return 2
    print(as_text([finding], coloured=False))  # noqa: T201
    return status([finding])


class ServiceAccountCluster:
    """The cluster around this pod, for `check_cluster`; raises SettingsError outside of one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        host = required(environ, names.ENV_API_HOST, "run this in a pod")
        self._api = KubeApi(
            host, integer(environ, names.ENV_API_PORT, 443, PORTS), Path(names.SERVICE_ACCOUNT_DIRECTORY)
        )

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the decoded answer to a GET of `path`; raises Unreadable."""
        return self._request("GET", path, query)

    def create(self, path: str, body: dict[str, Any], **query: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the decoded answer to a POST of `body`; raises Unreadable."""
        return self._request("POST", path, query, body, "application/json")

    def _request(self, method: str, path: str, query: dict[str, str], *body: Any) -> Any:  # noqa: ANN401
        try:
            return self._api.request(method, f"{path}?{urlencode(query)}", *body)
        except ApiError as error:
            raise Unreadable(error.status, str(error)) from error


def credentials(fetch: Callable[[str], str], sleep: Callable[[float], None]) -> Finding:
    """Return whether the metadata service has credentials; asks for a minute, since the exchange may take its time."""
    seen = "nothing"
    for _ in range(PATIENCE_SECONDS // PAUSE_SECONDS):
        try:
            role = fetch(CREDENTIALS)
            answer = json.loads(fetch(CREDENTIALS + role))
            return ok("credentials", f"{role}, until {answer['Expiration']}")
        except (OSError, ValueError, KeyError) as error:
            seen = f"{type(error).__name__}: {error}"
        sleep(PAUSE_SECONDS)
    return failed("credentials", seen, "see the log of this pod's container imds-emulator, and the role's trust policy")


def get(url: str) -> str:
    """Return the body of a GET, whatever proxies are set; raises OSError for anything but 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode()
