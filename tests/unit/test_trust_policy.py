"""The trust policy lets in one service account of one cluster, and says what it can't know."""

import json

import pytest

from emulator import names
from emulator.check import trust_policy

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
    assert f"aws iam create-role {role} --assume-role-policy-document '{{" in out
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
    """An ARN that is no role's is refused with its value."""
    status, _, error = run(capsys, "-n", "team-a", "--role-arn", "arn:aws:iam::123456789012:user/u")

    assert status == 2
    assert "arn:aws:iam::123456789012:user/u" in error


def test_cluster_that_does_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """When the cluster can't be asked, the message says to give the issuer."""

    def refuse(_: str | None) -> str:
        raise OSError("the cluster does not tell its issuer (refused): give --issuer URL")

    status = trust_policy.main(["-n", "team-a"], discover=refuse)

    assert status == 2
    assert "give --issuer URL" in capsys.readouterr().err
