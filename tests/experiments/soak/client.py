"""A plain client that asks the metadata service for credentials once a second and takes nothing on trust.

In: where the metadata service and STS are. Out: the counts so far, as lines of JSON: every ten seconds, after each
failure, at SIGTERM. It runs in a pod by itself: nothing of this checkout is there.
"""

import argparse
import datetime as dt
import http.client
import json
import signal
import ssl
import sys
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BASE = "/latest/meta-data/iam/security-credentials/"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TIMEOUT_SECONDS = 10
TOLD_SECONDS = 10
SLOW_SECONDS = 1  # what SDKs allow by default (botocore, `metadata_service_timeout`)
QUERY = "Action=GetCallerIdentity&Version=2011-06-15"


class WrongError(Exception):
    """An answer is not what a client can rely on; nothing secret is in the message."""


class Sts:
    """STS over one kept connection, opened again when it was closed."""

    def __init__(self, url: str, ca: str, region: str) -> None:
        self._url, self._region = url, region
        context = ssl.create_default_context(cafile=ca)
        self._connection = http.client.HTTPSConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS, context=context)

    def check(self, document: Mapping[str, str]) -> None:
        """Return if STS takes a request signed with these credentials: key, secret and token are of one session."""
        held = Credentials(document["AccessKeyId"], document["SecretAccessKey"], document["Token"])
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = AWSRequest(method="POST", url=self._url, headers=headers, data=QUERY)
        SigV4Auth(held, "sts", self._region).add_auth(request)
        status, body = self._send(dict(request.headers.items()))
        if status != 200:
            raise WrongError(f"STS refuses the credentials: {status} {body}")

    def _send(self, headers: Mapping[str, str]) -> tuple[int, str]:
        try:
            return self._ask(headers)
        except (http.client.HTTPException, OSError):
            self._connection.close()
            return self._ask(headers)

    def _ask(self, headers: Mapping[str, str]) -> tuple[int, str]:
        self._connection.request("POST", "/", QUERY, dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()


class Client:
    """Asks, judges and counts."""

    def __init__(self, imds: str, sts: Sts, *, session_tokens: bool) -> None:
        self._imds, self._sts, self._session_tokens = urlsplit(imds).netloc, sts, session_tokens
        self._held: dict[str, str] = {}
        self.counts: dict[str, Any] = {"calls": 0, "failed": 0, "slow": 0, "slowest": 0.0, "keys": 0}

    def turn(self) -> None:
        """Get the credentials once; raises WrongError or OSError for what a client can't go on with."""
        headers = {}
        if self._session_tokens:
            headers = {"X-aws-ec2-metadata-token": self._call("PUT", "/latest/api/token", {TTL: "60"})}
        role = self._call("GET", BASE, headers)
        asked_at = dt.datetime.now(dt.UTC)
        document = json.loads(self._call("GET", BASE + role, headers))
        expires_at = dt.datetime.fromisoformat(document["Expiration"])
        if document["Code"] != "Success" or expires_at <= asked_at:
            raise WrongError(f"asked at {asked_at.isoformat()}: {document['Code']} until {document['Expiration']}")
        if document["AccessKeyId"] != self._held.get("AccessKeyId"):
            self._prove(document, expires_at)
        elif document != self._held:
            raise WrongError("the same AccessKeyId with another secret, token or expiration")

    def _prove(self, document: dict[str, str], expires_at: dt.datetime) -> None:
        try:
            self._sts.check(document)
        except WrongError:
            if dt.datetime.now(dt.UTC) < expires_at:  # else it was this check that took too long
                raise
        self._held = document
        self.counts["keys"] += 1

    def _call(self, method: str, target: str, headers: Mapping[str, str]) -> str:
        began = time.monotonic()
        connection = http.client.HTTPConnection(self._imds, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, target, headers=dict(headers))
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
            seconds = time.monotonic() - began
            self.counts["calls"] += 1
            self.counts["slow"] += seconds > SLOW_SECONDS
            self.counts["slowest"] = max(self.counts["slowest"], round(seconds, 4))
        if answer.status != 200:
            raise WrongError(f"{method} {target}: {answer.status} {body}")
        return body


def main() -> None:
    """Ask until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--imds", required=True)
    parser.add_argument("--sts", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--session-tokens", action="store_true", help="IMDSv2")
    options = parser.parse_args()
    client = Client(options.imds, Sts(options.sts, options.ca, options.region), session_tokens=options.session_tokens)
    told_at = 0.0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(json.dumps(client.counts), flush=True)))
    while True:
        began = time.monotonic()
        try:
            client.turn()
        except (WrongError, ValueError, LookupError, OSError, http.client.HTTPException) as error:
            client.counts["failed"] += 1
            failure = f"{dt.datetime.now(dt.UTC).isoformat()} {type(error).__name__}: {error}"
            print(json.dumps({**client.counts, "failure": failure}), flush=True)
        if began - told_at >= TOLD_SECONDS:
            print(json.dumps(client.counts), flush=True)
            told_at = began
        time.sleep(max(0.0, began + 1 - time.monotonic()))


if __name__ == "__main__":
    main()
