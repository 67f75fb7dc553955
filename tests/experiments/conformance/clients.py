"""The clients and what is expected of each: the one table of the suite.

In: nothing. Out: `CLIENTS`. What the table says is exact: a client that works where it should not fails the suite too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.experiments.conformance.languages import (
    DEBIAN,
    GO,
    JAVA,
    JS,
    PHP,
    PYTHON,
    PYTHON_3_11,
    PYTHON_3_14,
    REPLAY,
    RUBY,
    RUST,
    SHELL,
    Language,
    Recipe,
)

OLD = {"v2": "knows IMDSv1 only"}
NEW = {"v1": "has no fallback to IMDSv1"}
V1_DISABLED = {"AWS_EC2_METADATA_V1_DISABLED": "true"}


@dataclass(frozen=True)
class Client:
    """`cannot`: mode to the reason why it gets no credentials there; it works in the other modes.

    `signs`: its credentials are seen in a request to S3 that they sign, because it does not show them.
    `short`: quick to install, so part of `make test`. `environment`: what its container sets.
    """

    name: str
    recipe: Recipe
    language: Language
    cannot: Mapping[str, str] = field(default_factory=dict, hash=False)
    signs: bool = False
    short: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """What the command line calls it, and the name of its folder in the cache."""
        return "-".join(filter(None, (self.recipe.package, self.recipe.version, self.recipe.variant)))

    @property
    def title(self) -> str:
        """Its name and version, for people."""
        name, comma, manner = self.name.partition(",")
        replayed = " (replayed)" if self.language is REPLAY else ""
        return f"{name} {self.recipe.version}".strip() + comma + manner + replayed


CLIENTS = (
    Client("botocore", Recipe("botocore", "1.12.253", "use_botocore.py"), PYTHON_3_11, OLD, short=True),
    Client("botocore", Recipe("botocore", "1.44.8", "use_botocore.py"), PYTHON, short=True),
    Client("boto3", Recipe("boto3", "1.44.8", "use_boto3.py"), PYTHON, short=True),
    Client(
        "boto3, AWS_EC2_METADATA_V1_DISABLED=true",
        Recipe("boto3", "1.44.8", "use_boto3.py", "v1-disabled"),
        PYTHON,
        {"v1": "is told not to use IMDSv1"},
        short=True,
        environment=V1_DISABLED,
    ),
    Client(
        "AWS SDK for Python v4 (aws-credentials-imds)",
        Recipe("aws-credentials-imds", "0.4.0", "use_aws_credentials_imds.py"),
        PYTHON_3_14,
        NEW,
    ),
    Client("AWS CLI", Recipe("awscli", "1.46.3", "use_awscli.py"), PYTHON, signs=True, short=True),
    Client("AWS CLI", Recipe("awscli", "2.9.19", "aws_cli.sh"), DEBIAN, signs=True),
    Client("AWS CLI", Recipe("aws-cli", "2.36.7", "aws-cli-2.36.7.http"), REPLAY, short=True),
    Client("aws-sdk-go", Recipe("aws-sdk-go", "1.15.0", "aws_sdk_go_v1.go"), GO, OLD),
    Client("aws-sdk-go", Recipe("aws-sdk-go", "1.55.8", "aws_sdk_go_v1.go"), GO),
    Client("aws-sdk-go-v2", Recipe("aws-sdk-go-v2", "1.2.0", "aws_sdk_go_v2.go"), GO),
    Client("aws-sdk-go-v2", Recipe("aws-sdk-go-v2", "1.48.0", "aws_sdk_go_v2.go"), GO, short=True),
    Client(
        "Terraform's AWS provider (aws-sdk-go-base)",
        Recipe("aws-sdk-go-base", "2.0.0-beta.74", "aws_sdk_go_base.go"),
        GO,
    ),
    Client("aws-sdk-java", Recipe("aws-java-sdk-core", "1.11.300", "AwsSdkV1.java"), JAVA, OLD),
    Client("aws-sdk-java", Recipe("aws-java-sdk-core", "1.12.797", "AwsSdkV1.java"), JAVA),
    Client("aws-sdk-java-v2", Recipe("auth", "2.10.0", "AwsSdkV2.java"), JAVA, OLD),
    Client("aws-sdk-java-v2", Recipe("auth", "2.31.78", "AwsSdkV2.java"), JAVA),
    Client("aws-sdk-java-v2", Recipe("auth", "2.59.1", "AwsSdkV2.java"), JAVA),
    Client("aws-sdk-kotlin", Recipe("aws-config-jvm", "1.8.12", "AwsSdkKotlin.java"), JAVA, NEW),
    Client("aws-sdk-js", Recipe("aws-sdk", "2.500.0", "aws_sdk_v2.js"), JS, OLD),
    Client("aws-sdk-js", Recipe("aws-sdk", "2.1693.0", "aws_sdk_v2.js"), JS),
    Client(
        "aws-sdk-js v3 (credential-provider-node)",
        Recipe("credential-provider-node", "3.1.0", "credential_provider_node.js"),
        JS,
    ),
    Client(
        "aws-sdk-js v3 (credential-provider-node)",
        Recipe("credential-provider-node", "3.972.99", "credential_provider_node.js"),
        JS,
        short=True,
    ),
    Client("aws-sdk-rust (aws-config)", Recipe("aws-config", "1.0.0", "aws_config.rs"), RUST, NEW),
    Client("aws-sdk-rust (aws-config)", Recipe("aws-config", "1.13.0", "aws_config.rs"), RUST, NEW),
    Client("aws-sdk-cpp (pyarrow)", Recipe("pyarrow", "26.0.1", "use_pyarrow.py"), PYTHON, signs=True),
    Client("aws-c-auth (awscrt)", Recipe("awscrt", "0.38.1", "use_awscrt.py"), PYTHON),
    Client("aws-sdk-ruby", Recipe("ruby-aws-sdk-core", "3.168.1", "aws_sdk_core.rb"), RUBY),
    Client("AsyncAws for PHP", Recipe("php-async-aws-core", "1.18.1", "async_aws_core.php"), PHP, OLD),
    Client("aws-sdk-php", Recipe("aws-sdk-php", "3", "aws-sdk-php-3.http"), REPLAY, short=True),
    Client("aws-sdk-net", Recipe("aws-sdk-net", "3.7.0", "aws-sdk-net-3.7.0.http"), REPLAY, short=True),
    Client("aws-sdk-net", Recipe("aws-sdk-net", "4.1.0", "aws-sdk-net-4.1.0.http"), REPLAY, NEW, short=True),
    Client("aws-sdk-swift", Recipe("aws-sdk-swift", "1.7.85", "aws-sdk-swift-1.7.85.http"), REPLAY, NEW, short=True),
    Client("fluent-bit", Recipe("fluent-bit", "5.1.1", "fluent-bit-5.1.1.http"), REPLAY, short=True),
    Client("rclone", Recipe("rclone", "1.60.1", "rclone.sh"), DEBIAN, signs=True),
    Client(
        "s3fs, iam_role=auto",
        Recipe("s3fs", "1.90", "s3fs.sh", "auto"),
        DEBIAN,
        {"v2": "lists the roles without a token; name the role instead of `auto`"},
        signs=True,
    ),
    Client("s3fs, iam_role=NAME", Recipe("s3fs", "1.90", "s3fs_named.sh", "named"), DEBIAN, signs=True),
    Client("minio-go", Recipe("minio-go", "7.4.1", "minio_go.go"), GO, NEW),
    Client("minio-py", Recipe("minio", "7.2.20", "use_minio.py"), PYTHON, NEW),
    Client("object_store (obstore)", Recipe("obstore", "0.12.1", "use_obstore.py"), PYTHON, NEW, signs=True),
    Client("opendal", Recipe("opendal", "0.47.12", "use_opendal.py"), PYTHON, NEW, signs=True),
    Client("curl, IMDSv1", Recipe("curl", "", "curl_v1.sh", "v1"), SHELL, {"v2": "asks without a token"}, short=True),
    Client("curl, IMDSv2", Recipe("curl", "", "curl_v2.sh", "v2"), SHELL, short=True),
    Client(
        "curl -f, IMDSv2",
        Recipe("curl", "", "curl_v2_fail.sh", "v2-fail"),
        SHELL,
        {"v1": "stops when it gets no token"},
        short=True,
    ),
)


def select(wanted: list[str], *, short: bool) -> list[Client]:
    """Return the clients whose name or id is in `wanted`, all if it is empty; raises ValueError for an unknown one."""
    known = {name for client in CLIENTS for name in (client.id, client.name)}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(
            f"--client {unknown[0]}: not in the table; one of {', '.join(client.id for client in CLIENTS)}"
        )
    named = [client for client in CLIENTS if not wanted or client.id in wanted or client.name in wanted]
    return [client for client in named if client.short or not short]
