"""The trust policy lets in one service account of one cluster, and says what it can't know."""

import argparse
import base64
import json
import shlex
from pathlib import Path

import pytest

from emulator import names
from emulator.cli import trust_policy

ISSUER = "oidc.example.com/clusters/a"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command for a cluster whose issuer is ISSUER: status, output, errors."""
    status = trust_policy.main(list(arguments), discover=lambda _: f"https://{ISSUER}")
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_policy_names_one_service_account(capsys: pytest.CaptureFixture[str]) -> None:
    """Issuer, audience and subject are all pinned; the partition and account are those of the ARN."""
    arn = "arn:aws-cn:iam::123456789012:role/team/app-role"
    status, out, _ = run(capsys, "-n", "team-a", "--service-account", "app", "--role-arn", arn, "-o", "json")

    expected = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws-cn:iam::123456789012:oidc-provider/{ISSUER}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{ISSUER}:aud": "sts.amazonaws.com",
                        f"{ISSUER}:sub": "system:serviceaccount:team-a:app",
                    }
                },
            }
        ],
    }
    assert (status, json.loads(out)) == (0, expected)


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        ("arn:aws-cn:iam::123456789012:role/team/app-role", "--role-name app-role --path /team/"),
        ("arn:aws:iam::123456789012:role/app-role", "--role-name app-role"),
    ],
)
def test_commands_make_the_role_that_is_named(capsys: pytest.CaptureFixture[str], arn: str, role: str) -> None:
    """The role is made with its path, and the annotation is the ARN that was given."""
    status, out, _ = run(capsys, "-n", "team-a", "--service-account", "app", "--role-arn", arn)

    assert status == 0
    assert f"\naws iam create-role {role} --assume-role-policy-document '{{" in out
    assert f"#   annotations: {{{names.ANNOTATION_ROLE_ARN}: {arn}}}" in out
    assert "ACCOUNT_ID" not in out


def test_commands_say_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an ARN the account is a placeholder that the first line tells one to replace."""
    status, out, _ = run(capsys, "-n", "team-a")

    assert status == 0
    assert out.splitlines()[0] == "# Replace ACCOUNT_ID by your account's number (or give --role-arn)."
    assert "#   annotations: {" + names.ANNOTATION_ROLE_ARN + ": arn:aws:iam::ACCOUNT_ID:role/default}" in out
    assert f"arn:aws:iam::ACCOUNT_ID:oidc-provider/{ISSUER}" in out
    assert f"--url https://{ISSUER} --client-id-list sts.amazonaws.com" in out


@pytest.mark.parametrize("issuer", ["http://oidc.example.com", "oidc.example.com", "https://", "https://h/p?q=1"])
def test_issuer_that_iam_refuses(capsys: pytest.CaptureFixture[str], issuer: str) -> None:
    """An issuer that IAM would refuse is refused here, with the value and the form expected."""
    status, out, error = run(capsys, "-n", "team-a", "--issuer", issuer)

    assert (status, out) == (2, "")
    assert repr(issuer) in error
    assert "https://HOST[/PATH]" in error


def test_not_a_role(capsys: pytest.CaptureFixture[str]) -> None:
    """The message for an ARN of something else names the option and the value."""
    with pytest.raises(SystemExit, match="2"):
        trust_policy.main(["-n", "team-a", "--role-arn", "arn:aws:iam::123456789012:user/u"])

    assert "argument --role-arn: 'arn:aws:iam::123456789012:user/u' is not the ARN" in capsys.readouterr().err


def test_cluster_that_does_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """When the cluster can't be asked, the message says to give the issuer."""

    def refuse(_: argparse.Namespace) -> str:
        raise OSError("the cluster does not tell its issuer (refused): give --issuer URL")

    status = trust_policy.main(["-n", "team-a"], discover=refuse)

    assert status == 2
    assert "give --issuer URL" in capsys.readouterr().err


def test_slash_of_the_issuer_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """IAM compares with the token's `iss` as it is: in the provider's URL, its ARN and the condition keys."""
    issuer = "https://eastus.oic.example/T/C/"
    out = run(capsys, "-n", "team-a", "--issuer", issuer, "--role-arn", "arn:aws:iam::123456789012:role/app-role")[1]

    assert f" --url {issuer} " in out
    assert '"arn:aws:iam::123456789012:oidc-provider/eastus.oic.example/T/C/"' in out
    assert '"eastus.oic.example/T/C/:sub": ' in out


def token(**said: object) -> str:
    """Return a token that says this."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, said)]
    return ".".join([*parts, "signature"])


def test_token_decides(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Issuer, namespace and service account are the token's; what is given beside must agree."""
    file = tmp_path / "token"
    file.write_text(token(iss="https://h.example/a/", sub="system:serviceaccount:team-a:app"))
    status, out, _ = run(capsys, "--token-file", str(file), "-o", "json")
    conditions = json.loads(out)["Statement"][0]["Condition"]["StringEquals"]

    assert (status, conditions["h.example/a/:sub"]) == (0, "system:serviceaccount:team-a:app")
    for option, value in (("-n", "team-b"), ("--service-account", "b"), ("--issuer", "https://h.example/a")):
        status, out, error = run(capsys, "--token-file", str(file), option, value)
        assert (status, out) == (2, "")
        assert f"Invalid value: {value!r}: the token says " in error


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", token(), token(iss=5), token(iss="").replace(".", "..")])
def test_what_is_not_a_token(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    """A file without a token is refused, and what is in it is not repeated."""
    (tmp_path / "token").write_text(text)
    status, out, error = run(capsys, "--token-file", str(tmp_path / "token"))

    assert (status, out, error.count("\n")) == (2, "", 1)
    assert not text or text not in error


def test_session_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The policy holds the session's name if asked; a pattern that STS could never match is refused."""
    out = run(capsys, "-n", "team-a", "--session-name", "team-a.*", "-o", "json")[1]
    status, _, error = run(capsys, "-n", "team-a", "--session-name", "a b")

    assert json.loads(out)["Statement"][0]["Condition"]["StringLike"] == {"sts:RoleSessionName": "team-a.*"}
    assert (status, "--session-name: Invalid value: 'a b'" in error) == (2, True)


def test_what_exists_already(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands say what to run in place of those that fail where provider or role are there."""
    out = run(capsys, "-n", "team-a")[1]

    assert out.count("EntityAlreadyExists") == 2
    assert "#    aws iam add-client-id-to-open-id-connect-provider" in out
    assert "#    aws iam update-assume-role-policy" in out


def test_words_for_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of an ARN, an issuer or an audience is more than one word to a shell."""
    arn = "arn:aws:iam::123456789012:role/a'$(x);b/app-role"
    url = "https://h.example/$(y)"
    out = run(capsys, "-n", "team-a", "--role-arn", arn, "--issuer", url, "--audience", "a b;c")[1]

    lines = [line for line in out.splitlines() if line.startswith("aws ")]
    words = [shlex.split(line.partition(" --assume-role-policy-document")[0]) for line in lines]
    assert words == [
        [
            "aws",
            "iam",
            "create-open-id-connect-provider",
            "--url",
            "https://h.example/$(y)",
            "--client-id-list",
            "a b;c",
        ],
        ["aws", "iam", "create-role", "--role-name", "app-role", "--path", "/a'$(x);b/"],
    ]


@pytest.mark.parametrize("name", ["", "Team", "a_b", "a*", "-a", "a\x1b"])
def test_namespace_that_is_not_one(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A namespace that the API server would not take is refused: in a policy it could mean another."""
    status, out, error = run(capsys, f"--namespace={name}")

    assert (status, out) == (2, "")
    assert "--namespace: " in error
