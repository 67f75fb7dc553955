"""Role ARNs: parts, limits, messages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.arn import POLICY_ARN_PATTERN, ROLE_ARN_FORM, ROLE_ARN_PATTERN, is_policy_arn, parse_role_arn

ACCOUNT = "123456789012"
PLAIN = f"arn:aws:iam::{ACCOUNT}:role/app-role"


@pytest.mark.parametrize(
    ("text", "partition", "path", "name"),
    [
        (PLAIN, "aws", "/", "app-role"),
        (f"arn:aws:iam::{ACCOUNT}:role/team/app/app-role", "aws", "/team/app/", "app-role"),
        (f"arn:aws-cn:iam::{ACCOUNT}:role/r", "aws-cn", "/", "r"),
        (f"arn:aws-us-gov:iam::{ACCOUNT}:role/r", "aws-us-gov", "/", "r"),
        (f"arn:aws:iam::{ACCOUNT}:role/a+b=c,d.e@f-g_h", "aws", "/", "a+b=c,d.e@f-g_h"),
        (f"arn:aws:iam::{ACCOUNT}:role/a:b/r", "aws", "/a:b/", "r"),
        (f"arn:aws:iam::{ACCOUNT}:role/" + "n" * 64, "aws", "/", "n" * 64),
        (f"arn:aws:iam::{ACCOUNT}:role/" + "p" * 510 + "/" + "n" * 64, "aws", "/" + "p" * 510 + "/", "n" * 64),
    ],
)
def test_parts(text: str, partition: str, path: str, name: str) -> None:
    """A role's ARN gives its partition, account, path and name."""
    role = parse_role_arn(text)

    assert (text, partition, ACCOUNT, path, name) == (role.text, role.partition, role.account_id, role.path, role.name)


def test_white_space_around_it_is_dropped() -> None:
    """A line end, as YAML block text leaves it, is not part of the ARN."""
    assert PLAIN == parse_role_arn(f" {PLAIN}\n").text


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_empty(text: str) -> None:
    """Nothing, or white space, is told to be empty."""
    with pytest.raises(ValueError, match=r"^the role ARN is empty; expected arn:PARTITION:iam::ACCOUNT:role"):
        parse_role_arn(text)


WRONG = {
    "arn:aws:iam::123456789012:user/u": "it does not name a role",
    "arn:aws:sts::123456789012:assumed-role/r/s": "its service is not iam, or it names a region",
    "arn:aws:iam::123456789012:instance-profile/p": "it does not name a role",
    "arn:aws:iam::12345678901:role/r": "the account is not 12 digits",
    "arn:aws:iam::123456789012:role/": "the role's name is empty",
    "arn:aws:iam:us-east-1:123456789012:role/r": "its service is not iam, or it names a region",
    "arn:AWS:iam::123456789012:role/r": "it does not begin with arn:aws",
    "app-role": "it is not an ARN",
    "arn:aws:iam::123456789012:role": "it does not name a role",
    "arn:aws:iam::123456789012:role/a b": "the role's name may have letters, digits and _+=,.@- only",
    "arn:aws:iam::123456789012:role//r": "the path is empty or has characters other than printable ASCII",
    "arn:aws:iam::123456789012:role/ä/r": "the path is empty or has characters other than printable ASCII",
    "arn:aws:iam::123456789012:role/" + "n" * 65: "the role's name has 65 characters, more than 64",
    "arn:aws:iam::123456789012:role/" + "p" * 511 + "/r": "the path has 513 characters, more than 512",
    "arn:aws:iam::123456789012:role/" + "p" * 2048 + "/r": "the path has 2050 characters, more than 512",
}


@pytest.mark.parametrize("text", WRONG)
def test_no_role(text: str) -> None:
    """What is not the ARN of a role is shown, with the reason and the expected form."""
    shown = text if len(text) <= 100 else text[:100] + "..."

    with pytest.raises(ValueError, match=r".") as error:
        parse_role_arn(text)

    expected = f"{shown!r} is not the ARN of an IAM role: {WRONG[text]}; expected {ROLE_ARN_FORM}"
    assert expected == str(error.value)


@pytest.mark.parametrize("text", [PLAIN, *WRONG, PLAIN + "\n", "arn:aws" + "x" * 21 + f":iam::{ACCOUNT}:role/r"])
def test_the_pattern_agrees(text: str) -> None:
    """The pattern, which policies evaluate, and the parser take the same texts."""
    assert _parses(text) == (re.fullmatch(ROLE_ARN_PATTERN, text.strip()) is not None)


@given(st.from_regex(r"\Aarn:aws[a-z-]{0,22}:iam::[0-9]{11,13}:role/[!-~]{0,40}\Z"))
def test_the_pattern_agrees_on_any_text(text: str) -> None:
    """The pattern and the parser agree on texts that are almost or wholly ARNs."""
    assert _parses(text) == (re.fullmatch(ROLE_ARN_PATTERN, text) is not None)


def _parses(text: str) -> bool:
    try:
        parse_role_arn(text)
    except ValueError:
        return False
    return True


POLICIES = {
    "arn:aws:iam::aws:policy/ReadOnlyAccess": True,
    "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess": True,
    f"arn:aws-cn:iam::{ACCOUNT}:policy/a+b=c.d@e-f_g": True,
    f"arn:aws:iam::{ACCOUNT}:policy/" + "p" * 510 + "/" + "n" * 128: True,
    f"arn:aws:iam::{ACCOUNT}:policy/" + "p" * 511 + "/n": False,
    f"arn:aws:iam::{ACCOUNT}:policy/" + "n" * 129: False,
    f"arn:aws:iam::{ACCOUNT}:policy/": False,
    f"arn:aws:iam::{ACCOUNT}:policy//n": False,
    f"arn:aws:iam::{ACCOUNT}:policy/a,b": False,
    f"arn:aws:iam::{ACCOUNT}:policy/a,b/c": False,
    f"arn:aws:iam::{ACCOUNT}:policy/a b/c": False,
    f"arn:aws:iam::{ACCOUNT}:role/r": False,
    f"arn:aws:sts::{ACCOUNT}:policy/p": False,
    f"arn:aws:iam:eu-west-1:{ACCOUNT}:policy/p": False,
    f"arn:azure:iam::{ACCOUNT}:policy/p": False,
    "arn:aws:iam::12345678901:policy/p": False,
    "arn:aws:iam::aws:policy/p\n": False,
    "ReadOnlyAccess": False,
}


@pytest.mark.parametrize(("text", "expected"), POLICIES.items())
def test_policy_arn(text: str, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The ARN of a managed policy, AWS's own or an account's, is known; so it is by the pattern."""
    assert (expected, expected) == (is_policy_arn(text), re.fullmatch(POLICY_ARN_PATTERN, text) is not None)
