"""What the tests run: namespaces made ready for AWS clients, and pods of plain clients in them.

In: roles, labels, changes to the pod's spec. Out: manifests as plain objects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from emulator import names
from tests.support.kubernetes.kube import Kube, Object
from tests.support.kubernetes.sts import ClusterSts

IMAGE = "imds-emulator/test-clients:1"
REGION = "eu-west-1"
ACCOUNT = "123456789012"
APP_ROLE = f"arn:aws:iam::{ACCOUNT}:role/app-role"
OTHER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/other-role"
PATH_ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/app/path-role"
CHINA_ROLE = f"arn:aws-cn:iam::{ACCOUNT}:role/china-role"
DENIED_ROLE = f"arn:aws:iam::{ACCOUNT}:role/denied-role"  # which no trust policy allows
DOWN_ROLE = f"arn:aws:iam::{ACCOUNT}:role/down-role"  # for which STS fails
SLOW_ROLE = f"arn:aws:iam::{ACCOUNT}:role/slow-role"  # for which STS takes its time
BASE = f"http://{names.IMDS_IPV4}/latest/meta-data/iam/security-credentials"

# The ConfigMap that both the clients and, by the chart's value, the sidecar take the authority from.
CLIENT_CONFIG = "aws-clients"

# No endpoint and no AWS_ variable: the clients find their region and the authority in ~/.aws/config.
_AWS_CONFIG = f"[default]\nregion = {REGION}\nca_bundle = /client/.aws/ca.crt\n"

CLIENTS = f"""
set -eu
role=$(curl -sf -m 2 {BASE}/)
key=$(curl -sf -m 2 {BASE}/$role | python3 -c 'import json, sys; print(json.load(sys.stdin)["AccessKeyId"])')
echo "curl $role $key"
echo "aws $(aws sts get-caller-identity --query Arn --output text)"
echo "boto3 $(python3 -c 'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])')"
"""
"""Ask by curl, the AWS CLI and boto3; one line each."""

CURL = f"""
set -eu
role=$(curl -sf -m 2 {BASE}/)
curl -sf -m 2 {BASE}/$role
echo
"""
"""Ask by curl alone; the credentials. The metadata service ends no body by a newline."""

WAIT = "\necho asked\nexec sleep infinity\n"
"""For a container that shall stay."""


@dataclass(frozen=True)
class Team:
    """A namespace with what its pods need to reach the test STS."""

    kube: Kube
    sts: ClusterSts
    namespace: str

    def prepare(self, **labels: str) -> "Team":
        """Make the namespace and the clients' configuration."""
        self.kube.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}},
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": CLIENT_CONFIG, "namespace": self.namespace},
                "data": {"config": _AWS_CONFIG, "ca.crt": self.sts.ca},
            },
        )
        return self

    def template(  # noqa: PLR0913 - each is a part of the pod that tests vary
        self,
        script: str = CLIENTS + WAIT,
        *,
        role: str = APP_ROLE,
        label: str | None = names.LABEL_ENABLED_VALUE,
        annotations: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        app: dict[str, Any] | None = None,
        **spec: Any,  # noqa: ANN401 - fields of a PodSpec
    ) -> Object:
        """Return a pod template; `app` changes its container, `spec` the pod's spec."""
        enabled = {} if label is None else {names.LABEL_ENABLED: label}
        return {
            "metadata": {
                "labels": {**enabled, **(labels or {})},
                "annotations": {names.ANNOTATION_ROLE_ARN: role, **(annotations or {})},
            },
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "hostAliases": self.sts.host_aliases(),
                "containers": [{**container("app", script), **(app or {})}],
                "volumes": [{"name": "aws", "configMap": {"name": CLIENT_CONFIG}}],
                **spec,
            },
        }

    def pod(self, name: str, *arguments: Any, **changes: Any) -> Object:  # noqa: ANN401 - as `template`
        """Return a Pod made of `template`."""
        return self.thing("v1", "Pod", name, self.template(*arguments, **changes))

    def thing(self, api_version: str, kind: str, name: str, content: Object) -> Object:
        """Return an object of this namespace."""
        metadata = {"name": name, "namespace": self.namespace, **content.get("metadata", {})}
        return {**content, "apiVersion": api_version, "kind": kind, "metadata": metadata}


def container(name: str, script: str) -> Object:
    """Return a container of plain clients that runs a shell script."""
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "aws", "mountPath": "/client/.aws", "readOnly": True}],
    }


def roles(prefix: str) -> Object:
    """Return the trust policies: the roles of the tests, for the namespaces whose names begin with `prefix`."""
    subjects = {"subjects": [f"system:serviceaccount:{prefix}-*:*"]}
    return dict.fromkeys((APP_ROLE, OTHER_ROLE, PATH_ROLE, CHINA_ROLE, DOWN_ROLE, SLOW_ROLE), subjects)


def runs(make: Callable[[Team], list[Object]]) -> pytest.MarkDecorator:
    """Mark a test with what it needs on the cluster before it starts; its pods get all the time there is."""
    return pytest.mark.runs.with_args(make)
