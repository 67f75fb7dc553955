"""IAM role ARNs: parsed and checked."""

# Imported by the sidecar, which pays in memory for each module: no `re`, no `typing`, no `dataclasses`.

# The form as a regular expression in the common subset of RE2 (CEL) and Python; `parse_role_arn` agrees with it.
# Source: IAM API Reference, CreateRole, parameters Path and RoleName.
ROLE_ARN_PATTERN = r"^arn:aws[a-z-]{0,20}:iam::[0-9]{12}:role/([!-~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}$"
ROLE_ARN_FORM = "arn:PARTITION:iam::ACCOUNT:role/[PATH/]NAME"

# Of a managed policy, AWS's or an account's. IAM allows a comma in it too, which here separates one ARN from the next.
# Source: IAM API Reference, CreatePolicy, parameters Path and PolicyName.
POLICY_ARN_PATTERN = r"^arn:aws[a-z-]{0,20}:iam::([0-9]{12}|aws):policy/([!-+\--~]{1,510}/)?[A-Za-z0-9_+=.@-]{1,128}$"

PATH_LIMIT = 512  # characters, its first and last slash included
NAME_LIMIT = 64
POLICY_NAME_LIMIT = 128
NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-")
DIGITS = frozenset("0123456789")
PARTITION_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz-")
PARTITION_LIMIT = 23
ACCOUNT_LENGTH = 12
FIELDS = 6
SHOWN_LIMIT = 100  # characters of a wrong value that a message repeats


class RoleArn:
    """A role's ARN in parts; `path` has its slashes ("/" for a role without a path), `name` is what IMDS lists."""

    __slots__ = ("account_id", "name", "partition", "path", "text")

    def __init__(self, text: str, partition: str, account_id: str, path: str, name: str) -> None:
        self.text = text
        self.partition = partition
        self.account_id = account_id
        self.path = path
        self.name = name

    def __repr__(self) -> str:
        return f"RoleArn({self.text!r})"


def parse_role_arn(text: str) -> RoleArn:
    """Return the parts of a role's ARN; white space around it, as YAML block text leaves it, is dropped.

    Raises ValueError. Whether the partition exists is for `partitions` to say.
    """
    arn = text.strip(" \t\r\n")
    if not arn:
        raise ValueError(f"the role ARN is empty; expected {ROLE_ARN_FORM}")
    fields = arn.split(":", FIELDS - 1)
    if len(fields) != FIELDS:
        raise _wrong(arn, "it is not an ARN")
    scheme, partition, service, region, account_id, resource = fields
    if scheme != "arn" or not _is_partition(partition):
        raise _wrong(arn, "it does not begin with arn:aws")
    if service != "iam" or region:
        raise _wrong(arn, "its service is not iam, or it names a region")
    if len(account_id) != ACCOUNT_LENGTH or not DIGITS.issuperset(account_id):
        raise _wrong(arn, f"the account is not {ACCOUNT_LENGTH} digits")
    kind, slash, rest = resource.partition("/")
    if kind != "role" or not slash:
        raise _wrong(arn, "it does not name a role")
    path, name = _path_and_name(arn, rest)
    return RoleArn(arn, partition, account_id, path, name)


def is_policy_arn(text: str) -> bool:
    """Tell whether this is the ARN of a managed policy, as POLICY_ARN_PATTERN has it."""
    fields = text.split(":", FIELDS - 1)
    if len(fields) != FIELDS:
        return False
    scheme, partition, service, region, account_id, resource = fields
    kind, _, rest = resource.partition("/")
    path, slash, name = rest.rpartition("/")
    return (
        (scheme, service, region, kind) == ("arn", "iam", "", "policy")
        and _is_partition(partition)
        and (account_id == "aws" or (len(account_id) == ACCOUNT_LENGTH and DIGITS.issuperset(account_id)))
        and 0 < len(name) <= POLICY_NAME_LIMIT
        and NAME_CHARACTERS.issuperset(name)
        and (not slash or 0 < len(path) <= PATH_LIMIT - 2)
        and all("!" <= character <= "~" and character != "," for character in rest)
    )


def _path_and_name(arn: str, rest: str) -> tuple[str, str]:
    """Split what follows `role/` at its last slash and check both parts against IAM's limits."""
    before, _, name = rest.rpartition("/")
    path = "/" + rest[: len(rest) - len(name)]
    if not name:
        raise _wrong(arn, "the role's name is empty")
    if len(name) > NAME_LIMIT:
        raise _wrong(arn, f"the role's name has {len(name)} characters, more than {NAME_LIMIT}")
    if not NAME_CHARACTERS.issuperset(name):
        raise _wrong(arn, "the role's name may have letters, digits and _+=,.@- only")
    if len(path) > PATH_LIMIT:
        raise _wrong(arn, f"the path has {len(path)} characters, more than {PATH_LIMIT}")
    if path != "/" and (not before or not all("!" <= character <= "~" for character in path)):
        raise _wrong(arn, "the path is empty or has characters other than printable ASCII")
    return path, name


def _is_partition(text: str) -> bool:
    return text.startswith("aws") and len(text) <= PARTITION_LIMIT and PARTITION_CHARACTERS.issuperset(text)


def _wrong(arn: str, reason: str) -> ValueError:
    shown = arn if len(arn) <= SHOWN_LIMIT else arn[:SHOWN_LIMIT] + "..."
    return ValueError(f"{shown!r} is not the ARN of an IAM role: {reason}; expected {ROLE_ARN_FORM}")
