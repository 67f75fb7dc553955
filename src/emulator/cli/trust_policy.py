"""`imds-emulator trust-policy`: what IAM must know before a service account may take a role.

Prints the role's trust policy, or the commands that create the OIDC provider and the role with it.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emulator import names
from emulator.arn import parse_role_arn
from emulator.cli.diagnosis.issuer import issuer_of
from emulator.cli.diagnosis.token_claims import read_claims
from emulator.cli.kubeconfig import KubeconfigCluster
from emulator.probe.api import Unreadable
from emulator.probe.trial import role_arn_argument
from emulator.terminal import show

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.arn import RoleArn

ACCOUNT, ACCOUNT_PLACEHOLDER = "000000000000", "ACCOUNT_ID"  # no account of AWS has the first
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # DNS subdomain, as the API server takes them
# What STS takes in a session's name, with IAM's wildcards (IAM User Guide, condition operators, StringLike).
SESSION_NAME = re.compile(r"[\w+=,.@*?-]{1,64}", re.ASCII)


def main(arguments: list[str], discover: Callable[[argparse.Namespace], str] | None = None) -> int:
    """Print the trust policy for `arguments`; 0, or 2 if one of them is wrong or the issuer can't be found out.

    `discover`: takes the options and returns the cluster's issuer URL.
    """
    options = parser().parse_args(arguments)
    try:
        url = _issuer(options, discover or _discover)
        _check_names(options)
        issuer = issuer_host(url)
        role = parse_role_arn(options.role_arn or f"arn:aws:iam::{ACCOUNT}:role/{options.service_account}")
    except (ValueError, OSError) as error:
        show([f"imds-emulator trust-policy: {error}"], sys.stderr)
        return 2
    policy = trust_policy(
        issuer=issuer,
        partition=role.partition,
        account=role.account_id,
        subject=f"system:serviceaccount:{options.namespace}:{options.service_account}",
        audience=options.audience,
        session_name=options.session_name,
    )
    document = json.dumps(policy, indent=2)
    text = document if options.output == "json" else commands(document, issuer, role, options.audience)
    show((text if options.role_arn else text.replace(ACCOUNT, ACCOUNT_PLACEHOLDER)).splitlines())
    return 0


def trust_policy(  # noqa: PLR0913 - each is a line of the policy
    *, issuer: str, partition: str, account: str, subject: str, audience: str, session_name: str | None = None
) -> dict[str, Any]:
    """Return the policy that lets one service account, and no other, assume the role.

    `issuer`: the token's `iss` without the scheme, as IAM names its OIDC providers; a slash at its end belongs to it.
    `subject`: `system:serviceaccount:NAMESPACE:NAME`, as Kubernetes writes it into the token.
    `session_name`: what the session's name must be like, if that is to be held.
    Source: IAM User Guide, "Create a role for OpenID Connect federation", condition keys `aud` and `sub`; "IAM and AWS
    STS condition context keys", sts:RoleSessionName.
    """
    conditions: dict[str, dict[str, str]] = {
        "StringEquals": {f"{issuer}:aud": audience, f"{issuer}:sub": subject},
    }
    if session_name:
        conditions["StringLike"] = {"sts:RoleSessionName": session_name}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:{partition}:iam::{account}:oidc-provider/{issuer}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": conditions,
            }
        ],
    }


def commands(document: str, issuer: str, role: RoleArn, audience: str) -> str:
    """Return a shell script, with comments, that registers the issuer and creates the role with `document`."""
    path = "" if role.path == "/" else f" --path {shlex.quote(role.path)}"
    name, client = shlex.quote(role.name), shlex.quote(audience)
    provider = shlex.quote(f"arn:{role.partition}:iam::{role.account_id}:oidc-provider/{issuer}")
    lines = [
        "# 1. Once per cluster and account: tell IAM about the cluster's issuer. AWS must reach its keys over HTTPS.",
        "#    If it answers EntityAlreadyExists (eksctl creates the provider, for example), run this in its place:",
        "#    aws iam add-client-id-to-open-id-connect-provider \\",
        f"#      --client-id {client} --open-id-connect-provider-arn {provider}",
        f"aws iam create-open-id-connect-provider --url {shlex.quote(f'https://{issuer}')} --client-id-list {client}",
        "",
        "# 2. Create the role, with the trust policy that names this service account alone.",
        "#    If it answers EntityAlreadyExists, add the statement below to the role's policy, beside its own:",
        f"#    aws iam get-role --role-name {name} --query Role.AssumeRolePolicyDocument > trust.json  # edit",
        f"#    aws iam update-assume-role-policy --role-name {name} --policy-document file://trust.json",
        f"aws iam create-role --role-name {name}{path} --assume-role-policy-document {shlex.quote(document)}",
        "",
        "# 3. Label and annotate the pods.",
        f'#   labels:      {{{names.LABEL_ENABLED}: "{names.LABEL_ENABLED_VALUE}"}}',
        f"#   annotations: {{{names.ANNOTATION_ROLE_ARN}: {role.text}}}",
    ]
    if role.account_id == ACCOUNT:
        lines.insert(0, f"# Replace {ACCOUNT_PLACEHOLDER} by your account's number (or give --role-arn).")
    return "\n".join(lines)


def issuer_host(url: str) -> str:
    """Return an issuer URL without its scheme, else as it is: IAM compares the rest with the token letter by letter.

    Raises ValueError for what IAM would refuse: another scheme than https, a query, no host.
    Source: IAM API Reference, CreateOpenIDConnectProvider, parameter Url.
    """
    parts = urlsplit(url)
    is_plain = all("!" <= character <= "~" for character in url)
    if not url.startswith("https://") or not parts.hostname or parts.query or parts.fragment or not is_plain:
        raise ValueError(f"issuer: Invalid value: {url!r}: must be https://HOST[/PATH] without a query")
    return url.removeprefix("https://")


def _issuer(options: argparse.Namespace, discover: Callable[[argparse.Namespace], str]) -> str:
    """Return the issuer, by the token where there is one, which names the service account too."""
    if options.token_file is None:
        return str(options.issuer).strip() if options.issuer else discover(options)
    found = read_claims(options.token_file)
    said = {"issuer": found.issuer, "namespace": found.namespace, "service_account": found.account}
    for field, value in said.items():
        given = getattr(options, field)
        if given not in (None, value) and value:
            option = "--" + field.replace("_", "-")
            raise ValueError(f"{option}: Invalid value: {given!r}: the token says {value!r}")
        setattr(options, field, given or value)
    return found.issuer


def _check_names(options: argparse.Namespace) -> None:
    """Fill in the default service account; ValueError for what is not a name."""
    options.service_account = options.service_account or "default"
    if not options.namespace:
        raise ValueError("--namespace: Required value: give -n NAMESPACE, or --token-file")
    for option, value in (("--namespace", options.namespace), ("--service-account", options.service_account)):
        if not NAME.fullmatch(value):
            raise ValueError(f"{option}: Invalid value: {value!r}: must be a DNS name in lower case")
    if options.session_name and not SESSION_NAME.fullmatch(options.session_name):
        raise ValueError(
            f"--session-name: Invalid value: {options.session_name!r}: must be up to 64 of A-Z a-z 0-9 _+=,.@- and the"
            " wildcards * and ?"
        )


def _discover(options: argparse.Namespace) -> str:
    """Ask the cluster of the user's kubeconfig for its issuer; raises OSError when it can't be asked."""
    try:
        cluster = KubeconfigCluster(options.context, options.kubeconfig)
        return issuer_of(cluster, options.namespace or cluster.namespace, options.service_account or "default").issuer
    except Unreadable as error:
        raise OSError(
            f"the cluster does not tell its issuer ({error.message}): give --issuer URL or --token-file FILE"
        ) from error


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="imds-emulator trust-policy",
        description="Print the AWS CLI commands that create the cluster's OIDC provider in IAM, and a role that one"
        " service account may assume; or, with -o json, the role's trust policy alone. Nothing is changed.",
    )
    made.add_argument("-n", "--namespace", help="of the service account; default: the token's")
    made.add_argument("--service-account", metavar="NAME", help="default: the token's, else `default`")
    made.add_argument(
        "--role-arn", metavar="ARN", type=role_arn_argument, help="the role to be assumed; may exist already"
    )
    made.add_argument(
        "--token-file", metavar="FILE", help="a token of the service account: its issuer decides, as it does in IAM"
    )
    made.add_argument(
        "--issuer", metavar="URL", help="the cluster's OIDC issuer, as tokens write it; default: the cluster is asked"
    )
    made.add_argument("--audience", default=names.DEFAULT_AUDIENCE, help="default: %(default)s")
    made.add_argument(
        "--session-name",
        metavar="PATTERN",
        help=f"also require the session's name to be like this (wildcards * and ?), such as the annotation"
        f" {names.ANNOTATION_SESSION_NAME} or NAMESPACE.*",
    )
    made.add_argument("--context", help="context of the kubeconfig; default: the current one")
    made.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, or ~/.kube/config")
    made.add_argument("-o", "--output", choices=("shell", "json"), default="shell", help="default: %(default)s")
    return made
