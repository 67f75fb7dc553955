"""`imds-emulator trust-policy`: what IAM must know before a service account may take a role.

Goes in: namespace, service account, and the cluster's issuer (given, or asked of the cluster).
Comes out: the role's trust policy, and the commands that make the OIDC provider and the role.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emulator import names
from emulator.arn import parse_role_arn
from emulator.check.cluster_client import KubeconfigCluster, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.arn import RoleArn

ACCOUNT, ACCOUNT_PLACEHOLDER = "000000000000", "ACCOUNT_ID"  # no account of AWS has the first


def main(arguments: list[str], discover: Callable[[str | None], str] | None = None) -> int:
    """Print the trust policy for `arguments`; 0, or 2 when one of them is wrong or the issuer is not to be had.

    `discover`: takes a kubeconfig context (or None) and returns the cluster's issuer URL.
    """
    options = _parser().parse_args(arguments)
    try:
        issuer = issuer_host(options.issuer or (discover or _discover)(options.context))
        role = parse_role_arn(options.role_arn or f"arn:aws:iam::{ACCOUNT}:role/{options.service_account}")
    except (ValueError, OSError) as error:
        print(f"imds-emulator trust-policy: {error}", file=sys.stderr)  # noqa: T201
        return 2
    subject = f"system:serviceaccount:{options.namespace}:{options.service_account}"
    policy = trust_policy(
        issuer=issuer, partition=role.partition, account=role.account_id, subject=subject, audience=options.audience
    )
    document = json.dumps(policy, indent=2)
    text = document if options.output == "json" else commands(document, issuer, role, options.audience)
    print(text if options.role_arn else text.replace(ACCOUNT, ACCOUNT_PLACEHOLDER))  # noqa: T201
    return 0


def trust_policy(*, issuer: str, partition: str, account: str, subject: str, audience: str) -> dict[str, Any]:
    """Return the policy that lets one service account, and no other, assume the role.

    `issuer`: host and path, without the scheme, as IAM names its OIDC providers.
    `subject`: `system:serviceaccount:NAMESPACE:NAME`, as Kubernetes writes it into the token.
    Source: IAM User Guide, "Create a role for OpenID Connect federation", condition keys `aud` and `sub`.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:{partition}:iam::{account}:oidc-provider/{issuer}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{issuer}:aud": audience,
                        f"{issuer}:sub": subject,
                    }
                },
            }
        ],
    }


def commands(document: str, issuer: str, role: RoleArn, audience: str) -> str:
    """Return a shell script, with comments, that registers the issuer and makes the role with `document`."""
    path = "" if role.path == "/" else f" --path {role.path}"
    lines = [
        "# 1. Once per cluster: tell IAM about the cluster's issuer. AWS must reach its keys over HTTPS.",
        f"aws iam create-open-id-connect-provider --url https://{issuer} --client-id-list {audience}",
        "",
        "# 2. Make the role, with the trust policy that names this service account alone.",
        f"aws iam create-role --role-name {role.name}{path} --assume-role-policy-document '{document}'",
        "",
        "# 3. Label and annotate the pods.",
        f'#   labels:      {{{names.LABEL_ENABLED}: "{names.LABEL_ENABLED_VALUE}"}}',
        f"#   annotations: {{{names.ANNOTATION_ROLE_ARN}: {role.text}}}",
    ]
    if role.account_id == ACCOUNT:
        lines.insert(0, f"# Replace {ACCOUNT_PLACEHOLDER} by your account's number (or give --role-arn).")
    return "\n".join(lines)


def issuer_host(url: str) -> str:
    """Return host and path of an issuer URL.

    Raises ValueError for what IAM would refuse: another scheme than https, a query, no host.
    Source: IAM API Reference, CreateOpenIDConnectProvider, parameter Url.
    """
    parts = urlsplit(url.strip())
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"issuer {url!r} is no URL that IAM accepts; expected https://HOST[/PATH] without a query")
    return (parts.netloc + parts.path).rstrip("/")


def _discover(context: str | None) -> str:
    """Ask the cluster of the user's kubeconfig for its issuer; raises OSError when it can't be asked."""
    try:
        answer = KubeconfigCluster(context).get("/.well-known/openid-configuration")
    except Unreadable as error:
        raise OSError(f"the cluster does not tell its issuer ({error.message}): give --issuer URL") from error
    return str(answer["issuer"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imds-emulator trust-policy", description=__doc__)
    parser.add_argument("-n", "--namespace", required=True)
    parser.add_argument("--service-account", default="default", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--issuer", metavar="URL", help="the cluster's OIDC issuer; asked of the cluster if not given")
    parser.add_argument("--role-arn", metavar="ARN", help="the role that is to be assumed")
    parser.add_argument("--audience", default=names.DEFAULT_AUDIENCE, help="default: %(default)s")
    parser.add_argument("--context", help="context of the kubeconfig")
    parser.add_argument("-o", "--output", choices=("shell", "json"), default="shell")
    return parser
