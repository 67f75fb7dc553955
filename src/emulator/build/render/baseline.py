"""Pod Security's level `baseline` as CEL, with one exception: the init container as this installation injects it.

The init container needs NET_ADMIN and NET_RAW, so its namespace must be at level `privileged`. The policy made of these
rows closes such a namespace again. The rows are those of `baseline` in Kubernetes 1.37 (k8s.io/pod-security-admission,
policy/check_*.go), in expressions that Kubernetes 1.30 evaluates; tests/process/chart/test_baseline.py runs its
published pods through both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator import names
from emulator.injection.cel import value
from emulator.injection.cel_text import param, text, texts
from emulator.injection.steps import NO_API_TOKEN, REDIRECT

Entry = dict[str, str]

PARAMETERS = ["redirectImage"]

CAPABILITIES = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"),
    *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
)
PROFILES = ("RuntimeDefault", "Localhost")
APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
REDIRECT_FORMS = (["redirect"], ["redirect", "--wait"])
HANDLERS = ("?livenessProbe", "?readinessProbe", "?startupProbe", "?lifecycle.?postStart", "?lifecycle.?preStop")


@dataclass(frozen=True)
class Rule:
    """`found`: a CEL list of the fields, volumes and containers that break the rule; `must`: what they may not do."""

    name: str
    found: str
    must: str


def _containers(condition: str) -> str:
    return f"variables.containers.filter(c, {condition}).map(c, 'container ' + c.name)"


def _pod_and_containers(condition: str) -> str:
    """Return those of pod and containers whose securityContext, `SC` in the condition, meets it."""
    pod = condition.replace("SC.", "object.spec.?securityContext.")
    return f"({pod} ? ['pod'] : []) + {_containers(condition.replace('SC.', 'c.?securityContext.'))}"


def _profile(field: str) -> str:
    """Return that a profile, which is optional, is of another type than the allowed ones."""
    kind = f"SC.?{field}.?type.orValue('RuntimeDefault')"
    return f"!({kind} in {texts(PROFILES)})"


def _hosts() -> str:
    asked = (f"c.{handler}.?{kind}.?host" for handler in HANDLERS for kind in ("httpGet", "tcpSocket"))
    return " || ".join(f"{host}.orValue('') != ''" for host in asked)


def _is_ours() -> str:
    """Return that an init container `c` does what ours does, and nothing that another could have it do.

    Its image, arguments, variables and mounts decide what it runs: a variable or a mount of another's could have the
    program in it load something else.
    """
    ours: dict[str, Any] = REDIRECT
    variables = [variable["name"] for variable in ours["env"]]
    capabilities = ours["securityContext"]["capabilities"]
    absent = ("command", "workingDir", "envFrom", "lifecycle", "restartPolicy", "ports", "volumeDevices")
    conditions = [
        f"c.name == {text(names.REDIRECT_CONTAINER)}",
        f"c.image == {param('redirectImage')}",
        f"c.?args.orValue([]) in [{', '.join(texts(form) for form in REDIRECT_FORMS)}]",
        *(f"!has(c.{field})" for field in absent),
        "c.?terminationMessagePath.orValue('/dev/termination-log') == '/dev/termination-log'",
        f"c.?env.orValue([]).all(e, e.name in {texts(variables)} && !has(e.valueFrom))",
        f"c.?volumeMounts.orValue([]).all(m, m == {value(NO_API_TOKEN)})",
        f"c.?securityContext.?capabilities.?add.orValue([]).all(a, a in {texts(capabilities['add'])})",
        f"c.?securityContext.?capabilities.?drop.orValue([]) == {texts(capabilities['drop'])}",
    ]
    return " && ".join(conditions)


# A container that was there before an update is what it was: a later release has another image.
OURS = f"""object.spec.?initContainers.orValue([]).filter(c, {_is_ours()}
   || c.name == {text(names.REDIRECT_CONTAINER)} && request.operation == 'UPDATE'
      && oldObject.spec.?initContainers.orValue([]).exists(o, o == c)).map(c, c.name)"""

RULES = (
    Rule(
        "hostProcess",
        _pod_and_containers("SC.?windowsOptions.?hostProcess.orValue(false)"),
        "must not set securityContext.windowsOptions.hostProcess=true",
    ),
    Rule(
        "hostNamespaces",
        " + ".join(
            f"(object.spec.?{field}.orValue(false) ? ['spec.{field}'] : [])"
            for field in ("hostNetwork", "hostPID", "hostIPC")
        ),
        "must not be true",
    ),
    Rule(
        "privileged",
        _containers("c.?securityContext.?privileged.orValue(false)"),
        "must not set securityContext.privileged=true",
    ),
    Rule(
        "capabilities",
        _containers(
            "!(c.name in variables.ours) && "
            f"c.?securityContext.?capabilities.?add.orValue([]).exists(a, !(a in {texts(CAPABILITIES)}))"
        ),
        f"must not add capabilities other than {', '.join(CAPABILITIES)}",
    ),
    Rule(
        "hostPath",
        "object.spec.?volumes.orValue([]).filter(v, has(v.hostPath)).map(v, 'volume ' + v.name)",
        "must not be of type hostPath",
    ),
    Rule(
        "hostPorts",
        _containers("c.?ports.orValue([]).exists(p, p.?hostPort.orValue(0) != 0)"),
        "must not use a hostPort",
    ),
    Rule(
        "hostProbes",
        _containers(_hosts()),
        "must not name a host in a probe or lifecycle handler",
    ),
    Rule(
        "appArmor",
        f"""{_pod_and_containers(_profile("appArmorProfile"))} + variables.annotations.filter(k,
  k.startsWith({text(APPARMOR_ANNOTATION)}) && !(variables.annotations[k] in ['', 'runtime/default'])
  && !variables.annotations[k].startsWith('localhost/')).map(k, 'annotation ' + k)""",
        f"must set an AppArmor profile of type {' or '.join(PROFILES)}, or none",
    ),
    Rule(
        "seLinux",
        _pod_and_containers(
            f"!(SC.?seLinuxOptions.?type.orValue('') in {texts(SELINUX_TYPES)})"
            " || SC.?seLinuxOptions.?user.orValue('') != '' || SC.?seLinuxOptions.?role.orValue('') != ''"
        ),
        "must set neither user nor role in seLinuxOptions, and no type other than"
        f" {', '.join(kind for kind in SELINUX_TYPES if kind)}",
    ),
    Rule(
        "procMount",
        # In a user namespace the host is not at stake.
        _containers(
            "object.spec.?hostUsers.orValue(true) && c.?securityContext.?procMount.orValue('Default') != 'Default'"
        ),
        "must not set securityContext.procMount to anything but Default",
    ),
    Rule(
        "seccomp",
        _pod_and_containers(_profile("seccompProfile")),
        f"must set a seccomp profile of type {' or '.join(PROFILES)}, or none",
    ),
    Rule(
        "sysctls",
        f"""object.spec.?securityContext.?sysctls.orValue([]).filter(s, !(s.name in {texts(SYSCTLS)}))
  .map(s, 'sysctl ' + s.name)""",
        "must not be set",
    ),
)


def match_conditions() -> list[Entry]:
    """Return the condition that Pod Security has for updates: a container was added or has another image."""
    before, after = _every("oldObject"), _every("object")
    changed = f"{after}.exists(c, !{before}.exists(o, o.name == c.name && o.image == c.image))"
    return [{"name": "new-container-or-image", "expression": f"request.operation != 'UPDATE' || {changed}"}]


def variables() -> list[Entry]:
    """Return what the validations read."""
    found = [{"name": f"found_{rule.name}", "expression": rule.found} for rule in RULES]
    return [
        {"name": "containers", "expression": _every("object")},
        {"name": "annotations", "expression": "object.metadata.?annotations.orValue({})"},
        {"name": "ours", "expression": OURS},
        *found,
    ]


def validations() -> list[Entry]:
    """Return one validation a rule; its message names what breaks it."""
    return [
        {
            "expression": f"size(variables.found_{rule.name}) == 0",
            "messageExpression": f"{text(f'{names.LABEL_POD_SECURITY}=baseline: ')}"
            f" + variables.found_{rule.name}.join(', ') + {text(f' {rule.must}')}",
            "reason": "Forbidden",
        }
        for rule in RULES
    ]


def _every(pod: str) -> str:
    """Return all containers of a pod."""
    fields = ("initContainers", "containers", "ephemeralContainers")
    return "(" + " + ".join(f"{pod}.spec.?{field}.orValue([])" for field in fields) + ")"
