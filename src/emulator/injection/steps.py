"""What is added to a pod, as data, in this one place. `patch` reads it for the webhook, `cel` prints it for a policy.

`PARAMETERS` are the settings of an installation; `STEPS` are the additions, in order. A step's `when` names facts that
must all hold; a value is a tree of dict, list and constants with nodes of `leaves` as leaves. The text of a pod's owner
is in it only as a value, never as part of a template.
"""

from __future__ import annotations

from typing import Any

from emulator import names
from emulator.injection.leaves import (
    Add,
    AddNames,
    AddVariables,
    Ensure,
    EnsureVariables,
    Fact,
    FactText,
    Joined,
    MoveFirst,
    Number,
    Param,
    Part,
    ReplaceVariables,
    When,
)
from emulator.injection.pod import DEFAULT_CONTAINER, MESH_ANNOTATIONS
from emulator.injection.recognition import EMULATOR_ARGS, REDIRECT_ARGS, REDIRECT_CAPABILITIES, TOKEN_PATH
from emulator.injection.resources import KINDS, RESOURCES, fact_name

# Keys of the ConfigMap that webhook and policy share, all texts; the defaults are in the chart's values.yaml.
PARAMETERS = {
    "emulatorImage": "image of the sidecar",
    "redirectImage": "image of the init container",
    "imagePullPolicy": "Always, IfNotPresent or Never; empty for the API server's default",
    "redirectImagePullPolicy": "the same, for the init container",
    "imagePullSecrets": "names of Secrets in the pod's namespace, separated by commas",
    "sidecarMode": "auto, native or classic; auto follows the version of the API server",
    "emulatorUser": "own, or cluster: in pods with redirect env, the cluster assigns uid and gid",
    "redirectMode": "iptables or env, for pods without the annotation imds-emulator/redirect",
    "redirectAllowed": "redirect modes that a pod may request, separated by commas",
    "mesh": "none, istio or linkerd: the mesh whose annotation excludes the health port",
    "meshContainers": "init containers that may come before the injected ones, separated by commas",
    "imdsVersion": "v1, v1-and-v2 or v2, for pods without the annotation imds-emulator/imds-version",
    "port": "credential port, on the pod's loopback",
    "healthPort": "port of probes and metrics",
    "region": "region of the STS endpoint, for pods without the annotation imds-emulator/region; may be empty",
    "stsEndpoint": "URL that replaces the regional STS endpoint; may be empty",
    "useFipsEndpoint": "true or false",
    "useDualStackEndpoint": "true or false",
    "allowInsecureEndpoint": "true or false: whether stsEndpoint may be http://",
    "caBundleConfigMap": "ConfigMap in the pod's namespace whose ca.crt is also trusted; may be empty",
    "httpsProxy": "proxy for calls to STS; may be empty",
    "noProxy": "hosts to reach without the proxy; may be empty",
    "tokenAudience": "audience of the projected token",
    "tokenExpirationSeconds": "lifetime of that token, at least 600",
    "durationSeconds": "lifetime of the credentials, 900 to 43200",
    "startupSeconds": "how long the app may be held back until there are credentials",
    "appRegion": "true or false: set AWS_REGION in the app's containers, for pods without imds-emulator/app-region",
    "allowedRolesMode": "off, audit or enforce",
    "allowedRoles": "globs of role ARNs, separated by commas, for namespaces without imds-emulator/allowed-roles",
    "emulatorCpuRequest": "a quantity; empty to omit it",
    "emulatorCpuLimit": "likewise",
    "emulatorMemoryRequest": "likewise",
    "emulatorMemoryLimit": "likewise",
    "redirectCpuRequest": "likewise",
    "redirectCpuLimit": "likewise",
    "redirectMemoryRequest": "likewise",
    "redirectMemoryLimit": "likewise",
}

LONGEST_GRACE_SECONDS = "86400"


def _given(key: str) -> When:
    return When(Param(key), Param(key))


def _variable(name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - a tree of nodes
    return {"name": name, "value": value}


def _optional_variable(name: str, key: str) -> When:
    return When(Param(key), _variable(name, Param(key)))


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _number(container: str, resource: str, kind: str) -> When:
    number = FactText(fact_name(container, resource, kind))
    return When(number, number)


def _resources(container: str) -> dict[str, Any]:
    return {f"{kind}s": {resource: _number(container, resource, kind) for resource in RESOURCES} for kind in KINDS}


def _security_context(user: dict[str, Any], capabilities: dict[str, list[str]]) -> dict[str, Any]:
    """All of it is stated, so that nothing of the pod's own securityContext applies, but for what is the cluster's."""
    return {
        **user,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": capabilities,
        "seccompProfile": {"type": "RuntimeDefault"},
        # Only against a profile for the app: on a node without AppArmor this would keep the pod from starting.
        "appArmorProfile": When(Fact("own_apparmor"), {"type": "RuntimeDefault"}),
    }


def _probe(path: str, period_seconds: int, timeout_seconds: int, failure_threshold: int | Number) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": Number("healthPort")},
        "periodSeconds": period_seconds,
        "timeoutSeconds": timeout_seconds,
        "failureThreshold": failure_threshold,
    }


# The ServiceAccount admission plugin mounts the API token into every container that mounts nothing there itself.
# No emptyDir: kubectl drain and the cluster autoscaler take a pod that has one for one with data to lose.
NO_API_TOKEN = {"name": names.EMPTY_VOLUME, "mountPath": names.SERVICE_ACCOUNT_DIRECTORY, "readOnly": True}
EMPTY_VOLUME: dict[str, Any] = {"name": names.EMPTY_VOLUME, "downwardAPI": {"items": []}}

# No defaultMode, so 0644. The kubelet makes that 0640 and the pod's fsGroup where it has one, 0600 and the user where
# all containers run as one user. The emulator can read the token in each case; with a stricter mode it could not.
TOKEN_VOLUME = {
    "name": names.TOKEN_VOLUME,
    "projected": {
        "sources": [
            {
                "serviceAccountToken": {
                    "audience": Param("tokenAudience"),
                    "expirationSeconds": Number("tokenExpirationSeconds"),
                    "path": names.TOKEN_FILE,
                }
            },
            When(
                Param("caBundleConfigMap"),
                {
                    "configMap": {
                        "name": Param("caBundleConfigMap"),
                        "items": [{"key": names.CA_BUNDLE_FILE, "path": names.CA_BUNDLE_FILE}],
                    }
                },
            ),
        ]
    },
}

REDIRECT = {
    "name": names.REDIRECT_CONTAINER,
    "image": Param("redirectImage"),
    "imagePullPolicy": _given("redirectImagePullPolicy"),
    # A native sidecar has started before it; it writes its rules, and holds the pod until there are credentials.
    "args": [*REDIRECT_ARGS, When(Fact("native"), "--wait")],
    "env": [
        _variable(names.ENV_PORT, Param("port")),
        _variable(names.ENV_HEALTH_PORT, Param("healthPort")),
        _variable(names.ENV_STARTUP_SECONDS, Param("startupSeconds")),
    ],
    "resources": _resources("redirect"),
    "securityContext": _security_context(
        {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}, {"drop": ["ALL"], "add": REDIRECT_CAPABILITIES}
    ),
    "terminationMessagePolicy": "FallbackToLogsOnError",
    "volumeMounts": [NO_API_TOKEN],
}

EMULATOR = {
    "name": names.EMULATOR_CONTAINER,
    "image": Param("emulatorImage"),
    "imagePullPolicy": _given("imagePullPolicy"),
    "restartPolicy": When(Fact("native"), "Always"),
    "args": EMULATOR_ARGS,
    "env": [
        _variable(names.ENV_OWN_ROLE_ARN, Fact("role_arn_value")),
        _variable(names.ENV_OWN_TOKEN_FILE, TOKEN_PATH),
        _field(names.ENV_POD_NAME, "metadata.name"),
        _field(names.ENV_POD_NAMESPACE, "metadata.namespace"),
        _variable(names.ENV_OWN_REGION, Fact("region_value")),
        _variable(names.ENV_IMDS_VERSION, Fact("imds_version")),
        _variable(names.ENV_OWN_SESSION_NAME, Fact("session_name")),
        _variable(names.ENV_SESSION_POLICIES, Fact("session_policies_value")),
        _optional_variable(names.ENV_OWN_STS_ENDPOINT, "stsEndpoint"),
        _variable(names.ENV_OWN_USE_FIPS, Param("useFipsEndpoint")),
        _variable(names.ENV_OWN_USE_DUALSTACK, Param("useDualStackEndpoint")),
        _variable(names.ENV_ALLOW_INSECURE_ENDPOINT, Param("allowInsecureEndpoint")),
        When(
            Param("caBundleConfigMap"),
            _variable(names.ENV_OWN_CA_BUNDLE, f"{names.TOKEN_DIRECTORY}/{names.CA_BUNDLE_FILE}"),
        ),
        _optional_variable(names.ENV_OWN_HTTPS_PROXY, "httpsProxy"),
        _optional_variable(names.ENV_OWN_NO_PROXY, "noProxy"),
        _variable(names.ENV_PORT, Param("port")),
        _variable(names.ENV_HEALTH_PORT, Param("healthPort")),
        _variable(names.ENV_DURATION_SECONDS, Param("durationSeconds")),
        _variable(names.ENV_STARTUP_SECONDS, Param("startupSeconds")),
        # An ordinary container gets SIGTERM together with the app's; the kubelet ends both at the grace period's end.
        When(Fact("classic"), _variable(names.ENV_SERVE_AFTER_SIGTERM_SECONDS, LONGEST_GRACE_SECONDS)),
        When(Fact("ends_with_app"), _variable(names.ENV_END_WITH_APP_SECONDS, Fact("end_with_app_seconds"))),
    ],
    "lifecycle": When(Fact("held"), {"postStart": {"exec": {"command": ["imds-emulator", "hold"]}}}),
    "startupProbe": When(
        Fact("classic"),
        _probe(names.STARTUP_PATH, 1, 1, Number("startupSeconds", plus=names.STARTUP_MARGIN_SECONDS)),
    ),
    "readinessProbe": _probe(names.READY_PATH, 10, 5, 3),
    "livenessProbe": _probe(names.LIVE_PATH, 10, 5, 3),
    "resources": _resources("emulator"),
    "securityContext": _security_context(
        {
            "runAsUser": When(Fact("own_user"), names.EMULATOR_UID),
            "runAsGroup": When(Fact("own_user"), names.EMULATOR_GID),
            "runAsNonRoot": True,
        },
        {"drop": ["ALL"]},
    ),
    "terminationMessagePolicy": "FallbackToLogsOnError",
    "volumeMounts": [
        {"name": names.TOKEN_VOLUME, "mountPath": names.TOKEN_DIRECTORY, "readOnly": True},
        NO_API_TOKEN,
    ],
}

# What is added as a whole.
PARTS = {"token_volume": TOKEN_VOLUME, "empty_volume": EMPTY_VOLUME, "emulator": EMULATOR, "redirect": REDIRECT}

# A container that sets one of the regions itself gets neither: SDKs differ in which of them they prefer.
_VARIABLES = (
    AddVariables({names.ENV_SERVICE_ENDPOINT: Joined("http://127.0.0.1:", "port")}, ("env",)),
    AddVariables({names.ENV_REGION: Fact("region"), names.ENV_DEFAULT_REGION: Fact("region")}, ("app_region",)),
)


def _outside_mesh(mesh: str) -> Add:
    path = "/metadata/annotations/" + MESH_ANNOTATIONS[mesh].replace("/", "~1")
    return Add(path, Fact("ports_outside_mesh"), ("injectable", f"needs_{mesh}"))


STEPS = (
    # First, while the containers have the places that they came with. Also in an injected pod: another webhook may have
    # put in a container since.
    EnsureVariables(_VARIABLES),
    *_VARIABLES,
    ReplaceVariables("asked", ("complete",)),
    Ensure("/spec/volumes", ("injectable",)),
    Add("/spec/volumes/-", Part("token_volume"), ("injectable",)),
    Add("/spec/volumes/-", Part("empty_volume"), ("injectable",)),
    # Native: the redirect at the head, then the emulator before it. The kubelet starts what follows a native sidecar at
    # once, and only the end of an init container costs a turn of its relist: so the two start together.
    Ensure("/spec/initContainers", ("injectable", "native")),
    Add("/spec/initContainers/0", Part("redirect"), ("injectable", "native", "iptables")),
    Add("/spec/initContainers/0", Part("emulator"), ("injectable", "native")),
    # Classic: the pod's own init containers run before there is an emulator to be led to.
    Ensure("/spec/initContainers", ("injectable", "classic", "iptables")),
    Add("/spec/initContainers/-", Part("redirect"), ("injectable", "classic", "iptables")),
    Add(
        "/metadata/annotations/" + DEFAULT_CONTAINER.replace("/", "~1"),
        Fact("first_container"),
        ("injectable", "classic", "no_default_container"),
    ),
    _outside_mesh("istio"),
    _outside_mesh("linkerd"),
    # So that the pod is complete for every installation, whatever its own redirect is.
    Add(
        "/metadata/annotations/" + names.ANNOTATION_REDIRECT.replace("/", "~1"),
        "env",
        ("injectable", "env_by_installation"),
    ),
    Ensure("/spec/containers", ("injectable", "classic")),  # a pod without any is refused only after admission
    Add("/spec/containers/0", Part("emulator"), ("injectable", "classic")),
    Add("/spec/shareProcessNamespace", value=True, when=("injectable", "ends_with_app")),
    Ensure("/spec/imagePullSecrets", ("injectable", "lacks_pull_secrets")),
    AddNames("/spec/imagePullSecrets/-", "pull_secrets", ("injectable",)),
    # Last, since all other steps name the places that the containers came with.
    MoveFirst(("overtaken",)),
)
