"""What a pod is to an installation: the questions of `pod` that need its parameters, in Python and in CEL.

A pod is a v1 Pod as decoded JSON. `Facts` has all questions as attributes, and `QUESTIONS` has them as variables of an
admission policy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.cel_text import annotation, numbered, param, text, texts, trimmed
from emulator.injection.globs import glob_matches
from emulator.injection.invisible import INVISIBLE, by_number
from emulator.injection.json_values import at, maps
from emulator.injection.once import Once
from emulator.injection.pod import MESH_ANNOTATIONS, VARIABLES, Object, fact
from emulator.injection.precedence import SETTINGS
from emulator.injection.recognition import (
    IS_EMPTY_VOLUME,
    IS_TOKEN_VOLUME,
    OUR_CONTAINERS,
    REDIRECT_WAITS_ARGS,
    is_empty_volume,
    is_token_volume,
)
from emulator.injection.resources import ResourceFacts
from emulator.partitions import FIPS_REGIONS, PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping


def points_to(places: str) -> str:
    """Return CEL for: each endpoint of the metadata service that container `c` sets is one of these."""
    variable = text(names.ENV_SERVICE_ENDPOINT)
    return f"c.?env.orValue([]).all(e, e.name != {variable} || e.?value.orValue('') in {places})"


def _needs(mesh: str) -> str:
    # With a role ARN there are annotations, to which one can be added.
    return (
        f"{param('mesh')} == {text(mesh)} && !variables.listed_ports.exists(p, p == '*' || p == {param('healthPort')})"
        f" && {text(names.ANNOTATION_ROLE_ARN)} in variables.annotations"
    )


_INVISIBLE = numbered(INVISIBLE)
_DEFAULT_REGIONS = ", ".join(f"{text(row.name)}: {text(row.default_region)}" for row in PARTITIONS.values())
_REGION_PATTERNS = ", ".join(f"{text(row.name)}: {text(row.region_pattern)}" for row in PARTITIONS.values())


# Kubelets have native sidecars from 1.29 on (KEP-753), and may be three minor versions older than the API server
# (Kubernetes, Version Skew Policy). An older one would run the emulator as an init container, and wait for its end.
NATIVE_SIDECARS_SINCE = (1, 32)


# White space around a role's ARN is let pass, as YAML block text leaves it there.
ODD_PATTERN = r"[^ -~\t\r\n]"
ODD_PART_PATTERN = r"[ -~\t\r\n]{0,50}[^ -~\t\r\n]{1,4}"
# What the emulator is told beside the role.
FOLLOWING = [each for name, each in SETTINGS.items() if each.variable and name != "role_arn"]


def _setting(name: str) -> Once[str]:
    """Make a row of the table of settings a fact."""
    setting = SETTINGS[name]
    VARIABLES[name] = setting.cel
    return Once(lambda facts: setting.of(facts.annotations, facts.parameters))


def _escaped(cel: str) -> str:
    return f"{cel}.replace('$', '$$')"


def _at(index: int, name: str) -> str:
    return f"spec.{'initContainers' if index >= 0 else 'containers'}[{name}]"


def _place(index: str, name: str) -> str:
    return f"(variables.{index} >= 0 ? {text(_at(0, name))} : {text(_at(-1, name))})"


class Facts(ResourceFacts):
    """One pod under one installation. `native_sidecars`: the API server is NATIVE_SIDECARS_SINCE or later."""

    def __init__(
        self,
        pod: Object,
        parameters: Mapping[str, str],
        *,
        native_sidecars: bool = True,
        namespace_annotations: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pod)
        self.parameters = parameters
        self.native_sidecars = native_sidecars
        self.namespace_annotations = namespace_annotations or {}

    @fact(
        f"{texts(names.POD_ANNOTATIONS)}.filter(k, variables.annotations[?k].orValue('').matches({text(ODD_PATTERN)}))"
        ".join(',').split(',')[0]"
    )
    def odd_annotation(self) -> str:
        """The first of our annotations with a character that is not printable ASCII, or ''."""
        for key in names.POD_ANNOTATIONS:
            value = self.annotations.get(key)
            if value and not (value.isascii() and value.isprintable()) and re.search(ODD_PATTERN, value):
                return key
        return ""

    @fact(
        f"variables.annotations[?variables.odd_annotation].orValue('').find({text(ODD_PART_PATTERN)}).split('').map(c,"
        f" !c.matches({text(ODD_PATTERN)}) ? c : '<' + {_INVISIBLE}[?c].orValue('UTF-8 ' + '%x'.format([c])) + '>')"
        ".join('')"
    )
    def odd_value(self) -> str:
        """What that annotation holds up to there, its odd characters by number."""
        found = re.search(ODD_PART_PATTERN, self.annotations.get(self.odd_annotation) or "")
        return "".join(map(by_number, found[0])) if found else ""

    @fact(annotation(names.ANNOTATION_REGION))
    def pod_region(self) -> str:
        """The region that the pod asks for; '' when it leaves that to the installation."""
        return self.annotations.get(names.ANNOTATION_REGION) or ""

    region = _setting("region")

    @fact(
        f"variables.region == '' || {param('stsEndpoint')} != ''"
        f" || !(variables.partition in {texts(tuple(PARTITIONS))})"
        f" || variables.region.matches({{{_REGION_PATTERNS}}}[variables.partition])"
    )
    def region_fits(self) -> bool:
        """Is the region of the ARN's partition? True with a custom endpoint or an unknown partition."""
        row = PARTITIONS.get(self.partition)
        if self.region == "" or self.parameters["stsEndpoint"] or row is None:
            return True
        return re.fullmatch(row.region_pattern, self.region) is not None

    @fact(f"variables.region != '' ? variables.region : {{{_DEFAULT_REGIONS}}}[?variables.partition].orValue('')")
    def sts_region(self) -> str:
        """The region whose STS is asked, if it is AWS's; '' in an unknown partition."""
        row = PARTITIONS.get(self.partition)
        return self.region or (row.default_region if row else "")

    @fact(
        f"{param('useFipsEndpoint')} != 'true' || {param('stsEndpoint')} != ''"
        f" || variables.sts_region in {texts(('', *FIPS_REGIONS))} ? '' : variables.sts_region"
    )
    def region_without_fips(self) -> str:
        """The region whose FIPS endpoint is asked for and does not exist, '' if all is well."""
        asked = self.parameters["useFipsEndpoint"] == "true" and not self.parameters["stsEndpoint"]
        return self.sts_region if asked and self.sts_region not in ("", *FIPS_REGIONS) else ""

    imds_version = _setting("imds_version")
    session_name = _setting("session_name")

    @fact(f"{SETTINGS['session_policies'].cel}.split(',').map(p, {trimmed('p')}).filter(p, p != '')")
    def session_policies(self) -> list[str]:
        """The ARNs of the policies that narrow the sessions."""
        listed = SETTINGS["session_policies"].of(self.annotations, self.parameters).split(",")
        return [arn for arn in (part.strip(" \t\r\n") for part in listed) if arn]

    # In the emulator's variables, where the kubelet takes $$ for $ (Kubernetes API reference, EnvVar, value).
    @fact(_escaped("variables.role_arn"))
    def role_arn_value(self) -> str:
        """The role's ARN."""
        return self.role_arn.replace("$", "$$")

    @fact(_escaped("variables.region"))
    def region_value(self) -> str:
        """The region."""
        return self.region.replace("$", "$$")

    @fact(_escaped("variables.session_policies.join(',')"))
    def session_policies_value(self) -> str:
        """The policies."""
        return ",".join(self.session_policies).replace("$", "$$")

    redirect_mode = _setting("redirect_mode")

    @fact("variables.redirect_mode == 'iptables'")
    def iptables(self) -> bool:
        """Is the init container wanted?"""
        return self.redirect_mode == "iptables"

    @fact("variables.redirect_mode == 'env'")
    def env(self) -> bool:
        """Do the app's containers get a variable that points to the emulator?"""
        return self.redirect_mode == "env"

    # With the redirect's rules a pod needs the emulator's own user, by which they distinguish it from the app.
    @fact(f"!(variables.env && {param('emulatorUser')} == 'cluster')")
    def own_user(self) -> bool:
        """Does the emulator have its own uid and gid, rather than those that the cluster assigns?"""
        return not (self.env and self.parameters["emulatorUser"] == "cluster")

    @fact(f"'http://127.0.0.1:' + {param('port')}")
    def endpoint(self) -> str:
        """Where the emulator serves clients that find it by a variable."""
        return f"http://127.0.0.1:{self.parameters['port']}"

    # With a role ARN there are annotations, to which one can be added.
    @fact(
        f"variables.env && !({text(names.ANNOTATION_REDIRECT)} in variables.annotations)"
        f" && {text(names.ANNOTATION_ROLE_ARN)} in variables.annotations"
    )
    def env_by_installation(self) -> bool:
        """Is it the installation alone that wants the variable?"""
        said = names.ANNOTATION_REDIRECT in self.annotations
        return self.env and not said and names.ANNOTATION_ROLE_ARN in self.annotations

    # The kubelet makes files of a token the user's own only while all containers state the same (KEP-1205).
    @fact(
        "variables.others.map(c, c.?securityContext.?runAsUser.orValue("
        "object.spec.?securityContext.?runAsUser.orValue(0)))"
    )
    def users(self) -> list[int]:
        """The users that the pod's own containers state; 0 for none, since the image's is not known."""
        of_pod = at(self.spec, "securityContext", "runAsUser")
        stated = [at(c, "securityContext", "runAsUser") for c in self.others]
        effective = (of_pod if user is None else user for user in stated)
        return [user if isinstance(user, int) else 0 for user in effective]

    @fact(
        f"{{{', '.join(f'{text(mesh)}: {text(key)}' for mesh, key in MESH_ANNOTATIONS.items())}}}"
        f"[?{param('mesh')}].orValue('')"
    )
    def mesh_annotation(self) -> str:
        """The annotation that lists the ports outside of the installation's mesh; '' without one."""
        return MESH_ANNOTATIONS.get(self.parameters["mesh"], "")

    @fact(
        "variables.annotations[?variables.mesh_annotation].orValue('').split(',').map(p, p.trim()).filter(p, p != '')"
    )
    def listed_ports(self) -> list[str]:
        """The ports that it lists already."""
        listed = self.annotations.get(self.mesh_annotation) or ""
        return [port.strip() for port in listed.split(",") if port.strip()]

    @fact(f"(variables.listed_ports + [{param('healthPort')}]).join(',')")
    def ports_outside_mesh(self) -> str:
        """The same with the health port."""
        return ",".join([*self.listed_ports, self.parameters["healthPort"]])

    @fact(_needs("istio"))
    def needs_istio(self) -> bool:
        """Does the pod need Istio's annotation for the health port?"""
        return self._needs("istio")

    @fact(_needs("linkerd"))
    def needs_linkerd(self) -> bool:
        """Does it need Linkerd's?"""
        return self._needs("linkerd")

    def _needs(self, mesh: str) -> bool:
        known = {self.parameters["healthPort"], "*"}.intersection(self.listed_ports)
        return self.parameters["mesh"] == mesh and not known and names.ANNOTATION_ROLE_ARN in self.annotations

    @fact(SETTINGS["app_region"].cel + " == 'true'")
    def app_region(self) -> bool:
        """Do the app's containers get a region?"""
        return SETTINGS["app_region"].of(self.annotations, self.parameters) == "true"

    # Mutating policies exist from 1.34 on, where every kubelet has native sidecars.
    @fact(f"{param('sidecarMode')} != 'classic'")
    def native(self) -> bool:
        """Is the emulator a restartable init container?"""
        mode = self.parameters["sidecarMode"]
        return mode == "native" or (mode == "auto" and self.native_sidecars)

    @fact("!variables.native")
    def classic(self) -> bool:
        """Is the emulator an ordinary container?"""
        return not self.native

    # A native sidecar that the redirect waits for need not be held.
    @fact("variables.classic || variables.env")
    def held(self) -> bool:
        """Does the emulator's own container hold back what starts after it?"""
        return self.classic or self.env

    # A restartable init container ends by itself; an ordinary one must see when the app has ended.
    @fact(
        f"variables.classic && ({SETTINGS['end_with_app'].cel} == 'true'"
        f" || ({SETTINGS['end_with_app'].cel} == '' && variables.job))"
        " && object.spec.?shareProcessNamespace.orValue(true) && !object.spec.?hostPID.orValue(false)"
    )
    def ends_with_app(self) -> bool:
        """Is the emulator to end when the app has?"""
        said = SETTINGS["end_with_app"].of(self.annotations, self.parameters)
        shareable = self.spec.get("shareProcessNamespace") is not False and not self.spec.get("hostPID")
        return self.classic and (said == "true" or (said == "" and self.job)) and shareable

    # The kubelet waits up to 5 minutes before it starts a container again (Pod Lifecycle, Container restart policy).
    @fact("object.spec.?restartPolicy.orValue('') == 'Never' && variables.main_containers.size() == 1 ? '5' : '360'")
    def end_with_app_seconds(self) -> str:
        """How long no process of the app must be there until it has ended."""
        return "5" if self.spec.get("restartPolicy") == "Never" and len(self.main_containers) == 1 else "360"

    @fact(
        f"{param('imagePullSecrets')}.split(',').map(s, s.trim()).filter(s, s != ''"
        " && !object.spec.?imagePullSecrets.orValue([]).exists(p, p.?name.orValue('') == s))"
    )
    def pull_secrets(self) -> list[str]:
        """The installation's pull secrets that the pod does not name."""
        named = [secret.get("name") for secret in maps(self.spec, "imagePullSecrets")]
        listed = [name.strip() for name in self.parameters["imagePullSecrets"].split(",")]
        return [name for name in listed if name and name not in named]

    @fact("variables.pull_secrets.size() > 0")
    def lacks_pull_secrets(self) -> bool:
        """Is one of them missing?"""
        return self.pull_secrets != []

    @fact("variables.emulators.size() > 0 || variables.redirects.size() > 0 || variables.our_volumes.size() > 0")
    def named(self) -> bool:
        """Is anything in the pod named as ours?"""
        return bool(self.emulators or self.redirects or self.our_volumes)

    # The API server validates a pod between mutation and refusal: one that asks for Windows, or for what is not a
    # number, must get there as it came.
    @fact("!variables.named && variables.windows == '' && variables.has_fitting_numbers")
    def injectable(self) -> bool:
        """Is nothing in the pod named as ours, and can it be injected?"""
        return not self.named and self.windows == "" and self.has_fitting_numbers

    @fact(
        "variables.emulators.size() == 0 ? '' : (variables.emulators.size() > 1 || variables.emulator_fault != '')"
        f" ? {_place('emulator_at', names.EMULATOR_CONTAINER)}"
        " + (variables.emulators.size() > 1 ? '' : variables.emulator_fault) : ''"
    )
    def odd_emulator(self) -> str:
        """The field of the emulator that is not as injected."""
        if not self.emulators:
            return ""
        fault = "" if len(self.emulators) > 1 else self.emulator_fault
        is_odd = len(self.emulators) > 1 or fault != ""
        return _at(self.emulator_at, names.EMULATOR_CONTAINER) + fault if is_odd else ""

    # Asked where the emulator is as injected, or is not there.
    @fact(
        "variables.redirects.size() == 0"
        f" ? (variables.emulators.size() == 0 || variables.env ? '' : {text(_at(0, names.REDIRECT_CONTAINER))})"
        " : (variables.redirects.size() > 1 || variables.redirect_at < 0 || variables.emulators.size() == 0)"
        f" ? {_place('redirect_at', names.REDIRECT_CONTAINER)}"
        f" : variables.redirect_fault == '' ? '' : {text(_at(0, names.REDIRECT_CONTAINER))} + variables.redirect_fault"
    )
    def odd_redirect(self) -> str:
        """The field of the redirect that is not as injected, or the place where it lacks."""
        if not self.redirects:
            return "" if not self.emulators or self.env else _at(0, names.REDIRECT_CONTAINER)
        if len(self.redirects) > 1 or self.redirect_at < 0 or not self.emulators:
            return _at(self.redirect_at, names.REDIRECT_CONTAINER)
        return _at(0, names.REDIRECT_CONTAINER) + self.redirect_fault if self.redirect_fault else ""

    @fact(
        "variables.emulators.size() == 0"
        " ? (variables.our_volumes.size() > 0 ? 'spec.volumes[' + variables.our_volumes[0] + ']' : '') :\n"
        f"!variables.volumes.exists(v, {IS_TOKEN_VOLUME}) ? 'spec.volumes[{names.TOKEN_VOLUME}]' :\n"
        f"!variables.volumes.exists(v, {IS_EMPTY_VOLUME}) ? 'spec.volumes[{names.EMPTY_VOLUME}]' : ''"
    )
    def odd_volume(self) -> str:
        """Likewise the volume."""
        if not self.emulators:
            return f"spec.volumes[{self.our_volumes[0]}]" if self.our_volumes else ""
        if not any(is_token_volume(v, self.parameters["tokenAudience"]) for v in self.volumes):
            return f"spec.volumes[{names.TOKEN_VOLUME}]"
        return "" if any(is_empty_volume(v) for v in self.volumes) else f"spec.volumes[{names.EMPTY_VOLUME}]"

    @fact(
        "variables.odd_emulator != '' ? variables.odd_emulator"
        " : variables.odd_redirect != '' ? variables.odd_redirect : variables.odd_volume"
    )
    def fault(self) -> str:
        """The first field of what is named as ours that is not as injected; '' where nothing has our names."""
        return self.odd_emulator or self.odd_redirect or self.odd_volume

    @fact("variables.named && variables.fault == ''")
    def complete(self) -> bool:
        """Is the pod injected already?"""
        return self.named and self.fault == ""

    @fact("variables.complete && variables.former")
    def injected_before(self) -> bool:
        """Was it injected by 0.1.0?"""
        return self.complete and self.former

    @fact(
        "variables.complete && (variables.redirects.size() == 1"
        f" || variables.others.all(c, c.?env.orValue([]).exists(e, e.name == {text(names.ENV_SERVICE_ENDPOINT)})"
        f" && {points_to('[variables.endpoint]')}))"
    )
    def protected(self) -> bool:
        """Does every container of the pod find the emulator, and none the node's role?"""
        return self.complete and (
            len(self.redirects) == 1 or all(endpoints(c) and endpoints(c) <= {self.endpoint} for c in self.others)
        )

    # Read again at each start of the container: as the kustomize components have them, whose build knows no annotation.
    @fact("variables.emulator_env.filter(e, has(e.valueFrom)).map(e, string(e.name))")
    def not_values(self) -> list[str]:
        """The emulator's variables that are not values."""
        return [entry["name"] for entry in maps(self.our_emulator, "env") if entry.get("valueFrom") is not None]

    @fact(
        f"{{{text(names.ENV_OWN_ROLE_ARN)}: variables.role_arn_value,\n"
        + ",\n".join(
            f" ?{text(each.variable)}: {annotation(each.annotation)} != '' || {text(each.variable)} in"
            f" variables.not_values ? optional.of(string(variables.{each.value})) : optional.none()"
            for each in FOLLOWING
        )
        + "}"
    )
    def asked(self) -> dict[str, str]:
        """The value to write into each of the emulator's variables; an installation's only where there is no value."""
        return {names.ENV_OWN_ROLE_ARN: self.role_arn_value} | {
            each.variable: getattr(self, each.value)
            for each in FOLLOWING
            if self.annotations.get(each.annotation) or each.variable in self.not_values
        }

    # Of a pod that is injected already: by an annotation that was changed since, say by another webhook.
    @fact(
        "variables.complete && !variables.former ? variables.emulator_env.filter(e, e.name in variables.asked"
        " && (e.?value.orValue('') != variables.asked[e.name] || has(e.valueFrom))).map(e, string(e.name)) : []"
    )
    def unfollowed(self) -> list[str]:
        """The emulator's variables that say something other than the annotations, or are read again at each start."""
        if not self.complete or self.former:
            return []
        variables = [(entry["name"], entry.get("value") or "") for entry in maps(self.our_emulator, "env")]
        return [
            name
            for name, value in variables
            if name in self.asked and (value != self.asked[name] or name in self.not_values)
        ]

    # With --wait it ends only when the emulator has answered.
    @fact(f"variables.redirect_at >= 0 && variables.our_redirect.?args.orValue([]) == {texts(REDIRECT_WAITS_ARGS)}")
    def redirect_waits(self) -> bool:
        """Does the redirect wait for the emulator?"""
        return self.redirect_at >= 0 and self.our_redirect.get("args") == REDIRECT_WAITS_ARGS

    @fact(f"({param('meshContainers')}.split(',').map(s, s.trim()) + {texts(OUR_CONTAINERS)})")
    def may_lead(self) -> list[str]:
        """The init containers that may stand before ours, and ours."""
        return [name.strip() for name in self.parameters["meshContainers"].split(",")] + [*OUR_CONTAINERS]

    @fact(
        "!variables.complete || variables.emulator_at < 0 ? []"
        " : variables.init_names.filter(n, !(n in variables.may_lead) && (variables.init_names.indexOf(n) <"
        " (variables.redirect_at > variables.emulator_at ? variables.redirect_at : variables.emulator_at)))"
        " + (variables.redirect_waits && variables.redirect_at < variables.emulator_at"
        f" ? [{text(names.REDIRECT_CONTAINER)}] : [])"
    )
    def ahead(self) -> list[str]:
        """The init containers that stand before ours and should not; in the classic form the pod's own ones do."""
        if not self.complete or self.emulator_at < 0:
            return []
        last = max(self.emulator_at, self.redirect_at)
        found = [name for name in self.init_names[:last] if name not in self.may_lead]
        waits_for_ever = self.redirect_waits and self.redirect_at < self.emulator_at
        return found + [names.REDIRECT_CONTAINER] * waits_for_ever

    @fact("variables.ahead.size() > 0")
    def overtaken(self) -> bool:
        """Does one stand there?"""
        return self.ahead != []

    @fact(
        f"namespaceObject.metadata.?annotations[?{text(names.ANNOTATION_ALLOWED_ROLES)}].orValue({param('allowedRoles')})"
        ".split(',').map(g, g.trim()).filter(g, g != '')"
    )
    def allowed_roles(self) -> list[str]:
        """Globs on the ARN: the namespace's, or the installation's if the namespace does not set any."""
        listed = self.namespace_annotations.get(names.ANNOTATION_ALLOWED_ROLES, self.parameters["allowedRoles"])
        return [glob.strip() for glob in listed.split(",") if glob.strip()]

    @fact(
        f"{param('allowedRolesMode')} == 'off' || variables.allowed_roles.exists(g,"
        r" variables.role_arn.matches('^\\Q' + g.replace('\\', '\\E\\\\\\Q').replace('*', '\\E.*\\Q') + '\\E$'))"
    )
    def role_allowed(self) -> bool:
        """May a pod of this namespace ask for the role?"""
        return self.parameters["allowedRolesMode"] == "off" or any(
            glob_matches(glob, self.role_arn) for glob in self.allowed_roles
        )

    @Once
    def others_variables(self) -> list[tuple[Object, set[str]]]:
        """Each container that is not ours, with the names of the variables that it sets itself."""
        return [(container, set(env_names(container))) for container in self.others]


def endpoints(container: Object) -> set[str]:
    """Return where a container's own variables tell SDKs to look for the metadata service; '' for an unknown place."""
    values = (e.get("value") for e in maps(container, "env") if e.get("name") == names.ENV_SERVICE_ENDPOINT)
    return {value if isinstance(value, str) else "" for value in values}


# Name -> CEL of all questions, in an order in which each stands on those before it.
QUESTIONS = dict(VARIABLES)


def env_names(container: Object) -> list[str]:
    """Return the names of the variables that a container sets itself."""
    return [entry.get("name", "") for entry in maps(container, "env")]
