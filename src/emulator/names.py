"""The words of the contract: every label, annotation, name, port and address, each spelled once.

Import these words from here.
"""

# `app.kubernetes.io/name` of everything we install, and its name where nobody chose another.
APP = "imds-emulator"

# Keys that existing manifests carry. Never renamed.
LABEL_ENABLED = "gkemulticloud.googleapis.com/aws-imds-emulator-enabled"
LABEL_ENABLED_VALUE = "True"  # exactly this; "true" and the rest leave the pod alone
ANNOTATION_ROLE_ARN = "gkemulticloud.googleapis.com/aws-imds-emulator-role-arn"

# Keys of our own, for something that a user of one pod needs.
ANNOTATION_IMDS_VERSION = "imds-emulator/imds-version"
ANNOTATION_REGION = "imds-emulator/region"
ANNOTATION_REDIRECT = "imds-emulator/redirect"
ANNOTATION_APP_REGION = "imds-emulator/app-region"
ANNOTATION_END_WITH_APP = "imds-emulator/end-with-app"
# Quantities, for both injected containers.
ANNOTATION_CPU_REQUEST = "imds-emulator/cpu-request"
ANNOTATION_CPU_LIMIT = "imds-emulator/cpu-limit"
ANNOTATION_MEMORY_REQUEST = "imds-emulator/memory-request"
ANNOTATION_MEMORY_LIMIT = "imds-emulator/memory-limit"
ANNOTATION_SESSION_NAME = "imds-emulator/session-name"
ANNOTATION_SESSION_POLICIES = "imds-emulator/session-policies"  # ARNs of IAM policies, separated by commas

# All of them, for a look at what can't be seen in a value.
POD_ANNOTATIONS = (
    ANNOTATION_ROLE_ARN,
    ANNOTATION_IMDS_VERSION,
    ANNOTATION_REGION,
    ANNOTATION_REDIRECT,
    ANNOTATION_APP_REGION,
    ANNOTATION_END_WITH_APP,
    ANNOTATION_SESSION_NAME,
    ANNOTATION_SESSION_POLICIES,
    ANNOTATION_CPU_REQUEST,
    ANNOTATION_CPU_LIMIT,
    ANNOTATION_MEMORY_REQUEST,
    ANNOTATION_MEMORY_LIMIT,
)

# On a Namespace: hold its pods to Pod Security's baseline, the init container as we inject it excepted.
LABEL_POD_SECURITY = "imds-emulator/pod-security"
POD_SECURITY_BASELINE = "baseline"

# On a Namespace: globs on the role ARN that its pods may ask for.
ANNOTATION_ALLOWED_ROLES = "imds-emulator/allowed-roles"

IMDS_VERSIONS = ("v1", "v1-and-v2", "v2")
IMDS_VERSION_DEFAULT = "v1"
REDIRECT_MODES = ("iptables", "env")
REDIRECT_MODE_DEFAULT = "iptables"

# What the injection adds to a pod.
REDIRECT_CONTAINER = "imds-redirect"
EMULATOR_CONTAINER = "imds-emulator"
TOKEN_VOLUME = "imds-emulator-token"  # noqa: S105 - the name of a volume
EMPTY_VOLUME = "imds-emulator-empty"
TOKEN_DIRECTORY = "/var/run/secrets/imds-emulator"  # noqa: S105 - a path
TOKEN_FILE = "token"  # noqa: S105 - a file name inside TOKEN_DIRECTORY
CA_BUNDLE_FILE = "ca.crt"  # the file in TOKEN_DIRECTORY and the key in the ConfigMap

# The emulator's own user; no image of a workload is likely to use it.
EMULATOR_UID = 16925
EMULATOR_GID = 16925

# Listeners. The credential port is on loopback only, the health port never serves a credential.
PORT_DEFAULT = 16925
HEALTH_PORT_DEFAULT = 16926
STARTUP_PATH = "/startupz"
READY_PATH = "/readyz"
LIVE_PATH = "/livez"
METRICS_PATH = "/metrics"

# Where clients look for the metadata service.
# Source: EC2 User Guide, "Access instance metadata for an EC2 instance".
IMDS_IPV4 = "169.254.169.254"
IMDS_IPV6 = "fd00:ec2::254"
IMDS_PORT = 80

# The emulator's tables in nftables; without nf_tables, its chain in iptables' nat table.
REDIRECT_TABLE = APP
REDIRECT_CHAIN = "IMDS_EMULATOR"

# Environment of `serve`. The AWS_ names are those of the AWS SDKs and Tools Reference Guide.
ENV_ROLE_ARN = "AWS_ROLE_ARN"
ENV_TOKEN_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 - a variable's name
ENV_SESSION_NAME = "AWS_ROLE_SESSION_NAME"
ENV_REGION = "AWS_REGION"
ENV_STS_ENDPOINT = "AWS_ENDPOINT_URL_STS"
ENV_USE_FIPS = "AWS_USE_FIPS_ENDPOINT"
ENV_USE_DUALSTACK = "AWS_USE_DUALSTACK_ENDPOINT"
ENV_CA_BUNDLE = "AWS_CA_BUNDLE"
ENV_HTTPS_PROXY = "HTTPS_PROXY"
ENV_NO_PROXY = "NO_PROXY"
ENV_POD_NAME = "POD_NAME"
ENV_POD_NAMESPACE = "POD_NAMESPACE"
ENV_PORT = "IMDS_EMULATOR_PORT"
ENV_HEALTH_PORT = "IMDS_EMULATOR_HEALTH_PORT"
ENV_IMDS_VERSION = "IMDS_EMULATOR_IMDS_VERSION"
ENV_DURATION_SECONDS = "IMDS_EMULATOR_DURATION_SECONDS"
ENV_STARTUP_SECONDS = "IMDS_EMULATOR_STARTUP_SECONDS"
# Whose certificates STS may show: aws (default where AWS signs its own) or system.
ENV_ROOT_CERTIFICATES = "IMDS_EMULATOR_ROOT_CERTIFICATES"
ROOT_CERTIFICATES = ("aws", "system")
AWS_ROOTS_FILE = "/etc/ssl/aws-roots.pem"  # in the image; Amazon Trust Services, Repository, "Root CAs"
# Seconds to go on serving after SIGTERM: 0 ends at once (a native sidecar is ended last), else the pod's grace period.
ENV_SERVE_AFTER_SIGTERM_SECONDS = "IMDS_EMULATOR_SERVE_AFTER_SIGTERM_SECONDS"
# Read by `hold`. Seconds without a process of the app after which a Job's sidecar ends: 0 for never.
ENV_END_WITH_APP_SECONDS = "IMDS_EMULATOR_END_WITH_APP_SECONDS"
# Seconds beyond IMDS_EMULATOR_STARTUP_SECONDS until a sidecar is taken for broken: Python's start on a busy node.
STARTUP_MARGIN_SECONDS = 30

# The same settings in an injected pod. Other webhooks add AWS_ROLE_ARN and its kind to every container, ours included:
# where the first of these is set, `serve` reads them and not the names that they stand for. Admission writes all of the
# first group, "" where there is nothing to say, so that a later change has a value to replace.
ENV_OWN_ROLE_ARN = "IMDS_EMULATOR_ROLE_ARN"
ENV_OWN_TOKEN_FILE = "IMDS_EMULATOR_TOKEN_FILE"  # noqa: S105 - a variable's name
ENV_OWN_REGION = "IMDS_EMULATOR_REGION"
ENV_OWN_SESSION_NAME = "IMDS_EMULATOR_SESSION_NAME"
ENV_SESSION_POLICIES = "IMDS_EMULATOR_SESSION_POLICIES"  # ARNs, separated by commas
# The second group: the installation's, left out where it sets no value.
ENV_OWN_STS_ENDPOINT = "IMDS_EMULATOR_STS_ENDPOINT"
ENV_OWN_USE_FIPS = "IMDS_EMULATOR_USE_FIPS_ENDPOINT"
ENV_OWN_USE_DUALSTACK = "IMDS_EMULATOR_USE_DUALSTACK_ENDPOINT"
ENV_OWN_CA_BUNDLE = "IMDS_EMULATOR_CA_BUNDLE"
ENV_OWN_HTTPS_PROXY = "IMDS_EMULATOR_HTTPS_PROXY"
ENV_OWN_NO_PROXY = "IMDS_EMULATOR_NO_PROXY"
ENV_ALLOW_INSECURE_ENDPOINT = "IMDS_EMULATOR_ALLOW_INSECURE_ENDPOINT"

# From the pod's annotations by the downward API, in pods injected by 0.1.0; where not empty, they win over the chart's.
ENV_POD_REGION = "IMDS_EMULATOR_POD_REGION"
ENV_POD_IMDS_VERSION = "IMDS_EMULATOR_POD_IMDS_VERSION"

# Environment of `webhook`, which reads POD_NAMESPACE and IMDS_EMULATOR_HEALTH_PORT too.
ENV_PARAMETERS = "IMDS_EMULATOR_PARAMETERS"
ENV_WEBHOOK_CONFIGURATION = "IMDS_EMULATOR_WEBHOOK_CONFIGURATION"
ENV_WEBHOOK_PORT = "IMDS_EMULATOR_WEBHOOK_PORT"
ENV_CERTIFICATE_MODE = "IMDS_EMULATOR_CERTIFICATE_MODE"
ENV_CERTIFICATE_SECRET = "IMDS_EMULATOR_CERTIFICATE_SECRET"  # noqa: S105 - a variable's name
ENV_CERTIFICATE_DIRECTORY = "IMDS_EMULATOR_CERTIFICATE_DIRECTORY"
ENV_CERTIFICATE_POLL_SECONDS = "IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS"
ENV_CERTIFICATE_VALIDITY_SECONDS = "IMDS_EMULATOR_CERTIFICATE_VALIDITY_SECONDS"
ENV_DRAIN_SECONDS = "IMDS_EMULATOR_DRAIN_SECONDS"
ENV_LOG_LEVEL = "IMDS_EMULATOR_LOG_LEVEL"
ENV_SERVICE_ACCOUNT = "IMDS_EMULATOR_SERVICE_ACCOUNT"
# Set by the kubelet in every container.
ENV_API_HOST = "KUBERNETES_SERVICE_HOST"
ENV_API_PORT = "KUBERNETES_SERVICE_PORT"

CERTIFICATE_MODES = ("self", "cert-manager", "secret")
WEBHOOK_PORT_DEFAULT = 8443
WEBHOOK_PATH = "/mutate"
PARAMETERS_DIRECTORY = "/etc/imds-emulator/parameters"
CERTIFICATE_DIRECTORY = "/etc/imds-emulator/certificate"
SERVICE_ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"

# What the SDKs read in place of 169.254.169.254 (the `env` redirect mode).
ENV_SERVICE_ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
# "true" has an SDK ask for nothing where IMDSv2 is not served.
ENV_V1_DISABLED = "AWS_EC2_METADATA_V1_DISABLED"
# Beside AWS_REGION, what some SDKs read for their region.
ENV_DEFAULT_REGION = "AWS_DEFAULT_REGION"

DEFAULT_AUDIENCE = "sts.amazonaws.com"
