"""`imds-emulator probe`: proves an installation from inside the cluster; what `helm test` runs.

Goes in: `admission NAMESPACE`, with the pod's service account; or `credentials`, in a pod that carries the label; the
role's ARN, if there is one to try with.
Comes out: one line, ok or with its remedy; exit status 1 if it failed, 2 if it can't be tried.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from emulator import names
from emulator.arn import parse_role_arn
from emulator.probe.api import Unreadable
from emulator.probe.findings import Finding, as_text, failed, ok, status
from emulator.probe.trial import dry_run, role_arn_argument
from emulator.settings import PORTS, SettingsError, environment, integer, required, text
from emulator.webhook.kubeapi import ApiError, KubeApi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Method, URL and headers in, the answer's body out; OSError for anything but 200.
    Ask = Callable[[str, str, Mapping[str, str]], str]

# Source: EC2 User Guide, "Retrieve security credentials from instance metadata" and "Use IMDSv2".
CREDENTIALS_PATH = "/latest/meta-data/iam/security-credentials/"
TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
TOKEN_TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
PATIENCE_SECONDS = 60
PAUSE_SECONDS = 2


def main(arguments: list[str]) -> int:
    """Print the finding and return the exit status; see the module."""
    options = parser().parse_args(arguments)
    try:
        if options.what == "admission":
            finding = dry_run(ServiceAccountCluster(environment()), options.namespace, options.role_arn)
        else:
            finding = credentials(ask_http, time.sleep, endpoint(environment()), options.role_arn)
    except SettingsError as error:
        print(f"imds-emulator probe: {error}", file=sys.stderr)  # noqa: T201
        return 2
    print(as_text([finding], coloured=False))  # noqa: T201
    return 2 if finding.state == "unknown" else status([finding])


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


def endpoint(environ: Mapping[str, str]) -> str:
    """Return where SDKs ask, without a slash at its end: as redirect mode `env` tells them, else 169.254.169.254."""
    return text(environ, names.ENV_SERVICE_ENDPOINT).rstrip("/") or f"http://{names.IMDS_IPV4}"


def credentials(ask: Ask, sleep: Callable[[float], None], service: str, role_arn: str | None = None) -> Finding:
    """Return whether the metadata service at `service` has credentials, and for this role where one is given.

    Asks for a minute, since the exchange may take its time.
    """
    wanted = parse_role_arn(role_arn).name if role_arn else ""
    seen = "nothing"
    for _ in range(PATIENCE_SECONDS // PAUSE_SECONDS):
        try:
            headers = session(ask, service)
            role = ask("GET", service + CREDENTIALS_PATH, headers)
            if wanted and role != wanted:
                return failed(
                    "credentials",
                    f"{service} has those of role {role!r}, not of {wanted!r}",
                    "another than the emulator answers, such as the node: see this pod's containers imds-redirect and "
                    f"imds-emulator, and its annotation {names.ANNOTATION_ROLE_ARN}",
                )
            answer = json.loads(ask("GET", service + CREDENTIALS_PATH + role, headers))
            return ok("credentials", f"{role}, until {answer['Expiration']}")
        except (OSError, ValueError, KeyError) as error:
            seen = f"{type(error).__name__}: {error}"
        sleep(PAUSE_SECONDS)
    return failed("credentials", seen, "see the log of this pod's container imds-emulator, and the role's trust policy")


def session(ask: Ask, service: str) -> dict[str, str]:
    """Return the header with a session token of IMDSv2; none where there is IMDSv1 alone, which answers 404."""
    try:
        return {TOKEN_HEADER: ask("PUT", service + TOKEN_PATH, TOKEN_TTL)}
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
    return {}


def ask_http(method: str, url: str, headers: Mapping[str, str]) -> str:
    """Return the body of the answer, whatever proxies are set; raises OSError for anything but 200."""
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 - see `endpoint`
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode()


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="imds-emulator probe", description="Prove an installation from inside.")
    what = made.add_subparsers(dest="what", required=True, metavar="WHAT")
    admission = what.add_parser("admission", help="would a labelled pod be injected? (dry run)")
    admission.add_argument("namespace", metavar="NAMESPACE", help="of the pod")
    here = what.add_parser("credentials", help="does this pod get credentials?")
    for command, use in ((admission, "of the pod; default: one that stands in"), (here, "that it must get them for")):
        command.add_argument("--role-arn", metavar="ARN", type=role_arn_argument, help=use)
    return made
