"""`inject`: what is printed, and what is left as it came."""

from __future__ import annotations

import difflib
import io
import json
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import names
from emulator.cli import inject
from emulator.injection.recognition import OUR_VOLUMES
from emulator.injection.steps import PARAMETERS as KEYS
from tests.support.pod_files.cases import DIRECTORY, PARAMETERS, Case, cases, recorded

if TYPE_CHECKING:
    from pathlib import Path

Object = dict[str, Any]

CASES = [case for case in cases() if case.parameters["allowedRolesMode"] == "off"]
SERVICE = (
    "# a Service\napiVersion: v1\nkind: Service   # kept\nmetadata: {name: 'svc'}\nspec:\n    ports:\n    - port: 80\n"
)
TEMPLATE = f"""    metadata:
      labels: {{{names.LABEL_ENABLED}: "True"}}  # on
      annotations:
        # the role
        {names.ANNOTATION_ROLE_ARN}: arn:aws:iam::123456789012:role/app-role
"""
DEPLOYMENT = f"""# the app
apiVersion: apps/v1
kind: Deployment
metadata: {{name: "app"}}
spec:
  template:
{TEMPLATE}    spec:
      volumes:
        - name: keys
          secret: {{secretName: keys, defaultMode: 0400}}  # octal
      initContainers:
        # first of all
        - name: fetch
          image: fetch:1
      containers:
        - name: app  # the main one
          image: app:1
          command: ["sh", '-c', "echo 'a  b'"]
          env:
            - name: MODE
              value: "on"
            - {{name: LONG, value: "{"word " * 40}"}}
"""


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, stdin: str = ""
) -> tuple[int, str, str]:
    """Run the command; its status, output and complaints."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), newline=""))
    status = inject.main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def injected(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    """Return what injects a text that must not be refused."""

    def inject_text(text: str, *arguments: str, warning: str = "") -> str:
        status, output, complaints = run(monkeypatch, capsys, "-f", "-", *arguments, stdin=text)
        assert (0, warning) == (status, complaints.partition("warning: ")[2][: len(warning)] or complaints)
        return output

    return inject_text


def test_defaults_are_the_charts() -> None:
    """The parameters that pods are tested with are the chart's defaults, and are all there are."""
    assert json.loads(inject.DEFAULTS.read_text()) == PARAMETERS
    assert sorted(KEYS) == sorted(PARAMETERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pod(case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A pod comes out as the webhook makes it, or is refused with its message."""
    given = [f"--set={key}={value}" for key, value in case.parameters.items()]
    status, output, complaints = run(monkeypatch, capsys, "-f", "-", *given, stdin=yaml.safe_dump(case.pod))

    expected = recorded(case.name)
    if refusal := expected.get(".refused.txt"):
        pod = case.pod["metadata"].get("name") or case.pod["metadata"]["generateName"]
        assert (1, "", f"imds-emulator inject: -: Pod/{pod}: {refusal}") == (status, output, complaints)
    elif ".injected.yaml" in expected:
        assert (0, yaml.safe_load(expected[".injected.yaml"])) == (status, yaml.safe_load(output))
    else:
        assert (0, yaml.safe_dump(case.pod)) == (status, output)


def test_what_is_not_touched_is_kept(injected: Any) -> None:  # noqa: ANN401 - a function
    """Documents without a labelled pod come out byte for byte, whatever is between them."""
    unlabelled = DEPLOYMENT.replace("True", "true")
    text = f"\n# head\n---\n{SERVICE}---  # second\n\n---\n{unlabelled}\n...\n---\ndata: |\n  ---\n  x\n"
    assert text == injected(text)


@pytest.mark.parametrize(
    "text", ["a: 2001-99-99\n", "a: !!int x\n", "a: &a [*a]\n", '{"a": ' + "[" * 101 + "]" * 101 + "}\n"]
)
def test_what_can_hold_no_labelled_pod_is_not_decoded(injected: Any, text: str) -> None:  # noqa: ANN401 - a function
    """A document without the label's letters only has to be YAML: decoding takes a second for 100 kB."""
    assert text == injected(text)


@pytest.mark.parametrize("written", ["\\x61ws-", "\\u0061ws-", "\\U00000061ws-", "a\\\n    ws-", "aw\\\r\n    s-"])
def test_label_in_escapes(injected: Any, written: str) -> None:  # noqa: ANN401 - a function
    """A label whose letters are not there as such is found."""
    key = names.LABEL_ENABLED
    escaped = key.replace("aws-", written)
    text = DEPLOYMENT.replace(f'{{{key}: "True"}}', f'\n        ? "{escaped}"\n        : "True"')
    assert key not in text
    assert yaml.safe_load(text) == yaml.safe_load(DEPLOYMENT)
    assert yaml.safe_load(injected(DEPLOYMENT)) == yaml.safe_load(injected(text))


def test_touched_document_only_grows(injected: Any) -> None:  # noqa: ANN401 - a function
    """Comments, order, quotes, indents and numbers of a document that is injected stay; there are new lines only."""
    output = injected(f"{SERVICE}---\n{DEPLOYMENT}---\n{SERVICE}")
    removed = [
        line
        for line in difflib.ndiff(f"{SERVICE}---\n{DEPLOYMENT}---\n{SERVICE}".splitlines(), output.splitlines())
        if line.startswith("-")
    ]

    assert removed == []
    spec = list(yaml.safe_load_all(output))[1]["spec"]["template"]["spec"]
    assert ["imds-emulator", "imds-redirect", "fetch"] == [c["name"] for c in spec["initContainers"]]


@pytest.mark.parametrize(
    "written",
    [
        *("0e999", "1e-400", "1_0e2", "1_000.5", "1.23456789012345678901", "+1.50", "!!float '1'"),
        *("-017", "+5", "1__000", "0xaB_c", "0o0017", "0b11", "!!int '017'", "&a 017"),
        *("2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "2001-01-01"),
    ],
)
def test_numbers_and_times_stay_as_written(injected: Any, written: str) -> None:  # noqa: ANN401 - a function
    """Readers differ in what a number is, YAML 1.1 and 1.2 first of all: its text goes on as it came."""
    line = f"value: {written}\n"
    assert line in injected(f"{DEPLOYMENT}{line}").splitlines(keepends=True)


@pytest.mark.parametrize("value", ["false", "&no false"])
def test_booleans_are_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str) -> None:
    """A boolean is what it is, an anchor before it or not."""
    own = f"    spec:\n      shareProcessNamespace: {value}\n"
    job = DEPLOYMENT.replace("Deployment", "Job").replace("    spec:\n", own)
    status, output, _ = run(monkeypatch, capsys, "-f", "-", "--set", "sidecarMode=classic", stdin=job)

    assert status == 0
    assert yaml.safe_load(output)["spec"]["template"]["spec"]["shareProcessNamespace"] is False


@pytest.mark.parametrize("merged", ["*own", "[*own, *others]"])
def test_merge_keys(injected: Any, merged: str) -> None:  # noqa: ANN401 - a function
    """A pod whose fields come from a merge key is injected; the map that it took them from stays as it was."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": yaml.safe_load(DEPLOYMENT)["spec"]["template"]["metadata"],
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }
    shared = "own: &own {restartPolicy: Always, volumes: [{name: a}]}\nothers: &others {hostname: h}\n"
    text = f"{shared}{yaml.safe_dump(pod, sort_keys=False)}  <<: {merged}\n"
    output = yaml.safe_load(injected(text))

    assert yaml.safe_load(shared) == {key: output[key] for key in ("own", "others")}
    assert output["spec"]["restartPolicy"] == "Always"
    assert [each["name"] for each in output["spec"]["volumes"]] == ["a", *OUR_VOLUMES]


def test_again(injected: Any) -> None:  # noqa: ANN401 - a function
    """What comes out passes unchanged when it is given again."""
    once = injected(DEPLOYMENT)
    assert once == injected(once)


def test_redirect_of_one_installation_passes_another(injected: Any) -> None:  # noqa: ANN401 - a function
    """A pod that was injected for redirect `env` says so, and passes where the default is another."""
    warning = "-: Deployment/app: redirect mode env serves only"
    once = injected(DEPLOYMENT, "--set", "redirectMode=env", warning=warning)
    template = yaml.safe_load(once)["spec"]["template"]
    assert template["metadata"]["annotations"][names.ANNOTATION_REDIRECT] == "env"
    assert once == injected(once, warning=warning)


def test_short_duration(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A duration that has SDKs ask for new credentials at every call is warned of."""

    def complaints(seconds: int) -> str:
        return run(monkeypatch, capsys, "-f", "-", "--set", f"durationSeconds={seconds}", stdin=DEPLOYMENT)[2]

    assert complaints(1799).startswith(
        "imds-emulator inject: warning: parameter durationSeconds='1799': SDKs that renew"
    )
    assert complaints(1800) == ""


@pytest.mark.parametrize(
    "kind",
    ["StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "Rollout", "CronJob", "PodTemplate"],
)
def test_kinds(injected: Any, kind: str) -> None:  # noqa: ANN401 - a function
    """Pod templates are found in every kind that has one."""
    template = yaml.safe_load(DEPLOYMENT)["spec"]["template"]
    body: Object = {"spec": {"template": template}}
    if kind == "CronJob":
        body = {"spec": {"jobTemplate": body}}
    if kind == "PodTemplate":
        body = {"template": template}
    output = yaml.safe_load(
        injected(yaml.safe_dump({"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "x"}, **body}))
    )

    found = output["spec"]["jobTemplate"] if kind == "CronJob" else output
    found = found["template"] if kind == "PodTemplate" else found["spec"]["template"]
    assert found["spec"]["initContainers"][0]["name"] == names.EMULATOR_CONTAINER


def test_list(injected: Any) -> None:  # noqa: ANN401 - a function
    """The objects of a List are injected in their place."""
    items = [yaml.safe_load(SERVICE), yaml.safe_load(DEPLOYMENT)]
    output = yaml.safe_load(injected(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})))

    assert items[0] == output["items"][0]
    assert len(output["items"][1]["spec"]["template"]["spec"]["initContainers"]) == 3


def test_json(injected: Any) -> None:  # noqa: ANN401 - a function
    """JSON comes out as JSON."""
    output = json.loads(injected(json.dumps(yaml.safe_load(DEPLOYMENT))))
    assert yaml.safe_load(injected(DEPLOYMENT)) == output


def test_classic_job_ends_with_app(injected: Any) -> None:  # noqa: ANN401 - a function
    """The template of a Job is treated as the pods that its controller will make of it."""
    job = yaml.safe_load(DEPLOYMENT.replace("Deployment", "Job"))
    del job["spec"]["template"]["spec"]["initContainers"]
    output = yaml.safe_load(injected(yaml.safe_dump(job), "--set", "sidecarMode=classic"))

    assert output["spec"]["template"]["spec"]["shareProcessNamespace"] is True
    assert "ownerReferences" not in output["spec"]["template"]["metadata"]


def test_aliases(injected: Any) -> None:  # noqa: ANN401 - a function
    """What two containers share is added to once for each, and nothing else that is shared changes."""
    text = DEPLOYMENT.partition("      volumes:")[0] + (
        "      containers:\n"
        "        - &base\n          name: app\n          image: app:1\n          env: &env [{name: A, value: '1'}]\n"
        "        - name: two\n          image: app:1\n          env: *env\n"
        "        - <<: *base\n          name: three\n"
    )
    output = yaml.safe_load(injected(text, "--set", "appRegion=true", "--set", "region=eu-west-1"))

    containers = output["spec"]["template"]["spec"]["containers"]
    expected = ["A", names.ENV_REGION, names.ENV_DEFAULT_REGION]
    assert [("app", expected), ("two", expected), ("three", expected)] == [
        (c["name"], [e["name"] for e in c["env"]]) for c in containers
    ]


def test_anchor_twice(injected: Any) -> None:  # noqa: ANN401 - a function
    """An anchor may be used again; nothing is said about it."""
    text = "a: &x 1\nb: &x 2\n"

    assert text == injected(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("&a {kind: List, items: [*a]}", "document 1 holds itself by an alias"),
        ("[" * 101 + "]" * 101, "document 1 is nested deeper than 100"),
        (f'{{"{names.LABEL_ENABLED}": ' + "[" * 101 + "]" * 101 + "}", "document 1 is nested deeper than 100"),
        (
            "a: &a [0,0,0,0,0,0,0,0,0,0]\n"
            + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdefgh")),
            "document 1 has more than 1000000 values by its aliases",
        ),
        ("a: 2001-99-99", "document 1 is no YAML: month must be in 1..12"),
        ("a: !!int x", "document 1 is no YAML: "),
    ],
)
def test_unreadable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, fault: str) -> None:
    """What can't be read, or never to its end, is refused in one line, if a labelled pod may be in it."""
    label = "" if names.LABEL_ENABLED in text else f"# {names.LABEL_ENABLED}\n"
    status, output, complaints = run(monkeypatch, capsys, "-f", "-", stdin=label + text)

    assert (1, "", 1) == (status, output, complaints.count("\n"))
    assert complaints.startswith(f"imds-emulator inject: -: {fault}")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(yaml.safe_load(DEPLOYMENT))[:-1] + ', "x": 1e999}',
        f"{DEPLOYMENT}x: 1e999\n",
        f"{DEPLOYMENT}x: {{&name: a, b: c}}\n",  # an anchor `name:` to some readers
    ],
)
def test_unwritable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """A document that would not be the same when written again is refused."""
    status, output, complaints = run(monkeypatch, capsys, "-f", "-", stdin=text)

    assert (1, "") == (status, output)
    assert complaints.endswith(": document 1 can't be written anew: give it without tags or odd comments\n")


def test_line_ends(injected: Any) -> None:  # noqa: ANN401 - a function
    """A file with the line ends of Windows keeps them."""
    assert injected(DEPLOYMENT).replace("\n", "\r\n") == injected(DEPLOYMENT.replace("\n", "\r\n"))


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, and those of directories by name, come out as one stream."""
    (tmp_path / "sub").mkdir()
    for name, text in {"b.yaml": SERVICE, "a.yml": "---\n" + SERVICE, "sub/c.json": "{}", "notes.txt": "x: y"}.items():
        (tmp_path / name).write_text(text)
    more = tmp_path / "notes.txt"
    status, output, _ = run(monkeypatch, capsys, "-f", str(tmp_path), "-f", str(more))

    assert (0, f"---\n{SERVICE}---\n{SERVICE}---\n{{}}\n---\nx: y\n") == (status, output)


def test_nothing_is_printed_by_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refusal anywhere names file and document, each of them, and no manifest is printed."""
    refused = DEPLOYMENT.replace("    spec:\n", "    spec:\n      hostNetwork: true\n")
    (tmp_path / "a.yaml").write_text(f"{DEPLOYMENT}---\n{refused}")
    (tmp_path / "b.yaml").write_text(refused)
    status, output, complaints = run(monkeypatch, capsys, "-f", str(tmp_path))

    lines = [line.partition(": spec.hostNetwork: Invalid value: true")[0] for line in complaints.splitlines()]
    assert (1, "") == (status, output)
    assert lines == [
        f"imds-emulator inject: {tmp_path}/a.yaml: document 2: Deployment/app",
        f"imds-emulator inject: {tmp_path}/b.yaml: Deployment/app",
    ]


def test_warnings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is odd is told on standard error, and the manifest is printed."""
    status, output, complaints = run(
        monkeypatch, capsys, "-f", "-", stdin=DEPLOYMENT.replace("name: MODE", "name: AWS_ACCESS_KEY_ID")
    )

    assert status == 0
    assert f"name: {names.EMULATOR_CONTAINER}\n" in output
    assert complaints == (
        'imds-emulator inject: warning: -: Deployment/app: container "app" sets AWS_ACCESS_KEY_ID: SDKs use static keys'
        " and will not use the pod's role: remove the variable\n"
    )


def test_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` says what would become of each labelled pod, and prints no manifest."""
    once = run(monkeypatch, capsys, "-f", "-", stdin=DEPLOYMENT)[1]
    status, output, complaints = run(
        monkeypatch, capsys, "-f", "-", "--check", stdin=f"{SERVICE}---\n{DEPLOYMENT}---\n{once}"
    )

    assert (0, "") == (status, complaints)
    assert output == "-: document 2: Deployment/app: to be injected\n-: document 3: Deployment/app: injected already\n"


def test_krm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As a KRM function it takes and prints a ResourceList, set up by its functionConfig."""
    given = {
        "apiVersion": "config.kubernetes.io/v1",
        "kind": "ResourceList",
        "functionConfig": {"kind": "ConfigMap", "metadata": {"name": "inject"}, "data": {"port": "17001"}},
        "items": [yaml.safe_load(SERVICE), yaml.safe_load(DEPLOYMENT)],
    }
    status, output, _ = run(monkeypatch, capsys, "--krm", stdin=yaml.safe_dump(given))
    result = yaml.safe_load(output)

    [_, redirect, *_] = result["items"][1]["spec"]["template"]["spec"]["initContainers"]
    assert (0, {"name": names.ENV_PORT, "value": "17001"}) == (status, redirect["env"][0])
    assert {**given, "items": []} == {**result, "items": []}
    assert given["items"][0] == result["items"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        ([], "", "nothing to inject: give -f with a file, a directory, or - for standard input"),
        (["-f", "/nowhere.yaml"], "", "/nowhere.yaml: No such file or directory"),
        (["-f", "-", "--set", "port"], "", "--set port: expected KEY=VALUE"),
        (["-f", "-", "--set", "prot=1"], "", f"unknown parameter 'prot': must be one of {', '.join(KEYS)}"),
        (["-f", "-", "--set", "port=x"], "", "invalid port='x': must be a whole number from 1 to 65535"),
        (["-f", "-"], "a: [", "-: document 1 is no YAML: "),
        (["-f", "-"], "a: b\n---\na: b: c", "-: document 2 is no YAML: "),
        (
            ["--krm"],
            "kind: List",
            "standard input is not a ResourceList: have kustomize or kpt run the command, or leave out --krm",
        ),
        (
            ["--krm"],
            "kind: ResourceList\nfunctionConfig: {data: [a]}",
            "functionConfig.data: Invalid value: must be an object",
        ),
        (["--krm"], "kind: ResourceList\nitems: 5\n---\na: b", "standard input is not a ResourceList"),
        (["--parameters", "-", "-f", "-"], "kind: ConfigMap\ndata: [a]", "-: expected one ConfigMap, or one map of"),
        (["--parameters", "-", "-f", "-"], "[]", "-: expected one ConfigMap, or one map of parameters"),
        (["--krm"], "a: [", "standard input is not a ResourceList: document 1 is no YAML: "),
    ],
)
def test_wrong_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], stdin: str, message: str
) -> None:
    """A call that can't be done is told in one line, with exit status 1."""
    status, output, complaints = run(monkeypatch, capsys, *arguments, stdin=stdin)

    assert (1, "") == (status, output)
    assert complaints.startswith(f"imds-emulator inject: {message}")
    assert complaints.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"True"}',
            "True}",
            f"metadata.labels['{names.LABEL_ENABLED}']: Invalid value: true: must be a string; quote it",
        ),
        (
            "arn:aws:iam::123456789012:role/app-role",
            "1",
            f"{names.ANNOTATION_ROLE_ARN}']: Invalid value: 1: must be a string",
        ),
        ("- name: app  # the main one", "- name: 12", "spec.containers[0].name: Invalid value: 12: must be a string"),
        ("- name: fetch", "- nam: fetch", "spec.initContainers[0].name: Required value: must be a string"),
        ("        - name: keys\n", "        - keys\n", 'spec.volumes[0]: Invalid value: "keys": must be an object'),
        ("          env:\n", "          env:\n            - A=B\n", 'spec.containers[0].env: Invalid value: ["A=B"'),
        (
            "      containers:\n",
            "      hostNetwork: no\n      containers:\n",
            'spec.hostNetwork: Invalid value: "no": must be true or false',
        ),
        (
            "      containers:\n",
            "      imagePullSecrets: reg\n      containers:\n",
            'spec.imagePullSecrets: Invalid value: "reg": must be',
        ),
    ],
)
def test_shapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    """A labelled pod that the API would not take is refused with the field, not with a traceback."""
    assert old in DEPLOYMENT
    text = DEPLOYMENT.replace(old, new).replace(
        "          secret: {secretName: keys, defaultMode: 0400}  # octal\n", ""
    )
    status, output, complaints = run(monkeypatch, capsys, "-f", "-", stdin=text)

    assert (1, "") == (status, output)
    assert message in complaints


def test_command() -> None:
    """The command line reaches it: `python -m emulator inject`."""
    command = [sys.executable, "-m", "emulator", "inject", "-f", str(DIRECTORY / "plain.yaml")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert yaml.safe_load(recorded("plain")[".injected.yaml"]) == yaml.safe_load(output)
