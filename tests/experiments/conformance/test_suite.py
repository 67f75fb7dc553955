"""The suite itself: a client that does what it should not fails it, and so does a table of versions that don't run."""

import datetime as dt
import json
import re
from collections.abc import Sequence

import pytest

from emulator.names import IMDS_VERSIONS
from tests.experiments.conformance import document
from tests.experiments.conformance.clients import CLIENTS, Client, select
from tests.experiments.conformance.languages import HERE, SHELL
from tests.experiments.conformance.outcome import Outcome, Seen, judge
from tests.experiments.conformance.program import Ended
from tests.experiments.conformance.wire import Exchange
from tests.support.sts.roles import parse
from tests.support.sts.sessions import Session, Sessions

V2_ONLY = next(client for client in CLIENTS if client.id == "minio-7.2.20")
SCRIPT = next(client for client in CLIENTS if client.language is SHELL)
SESSIONS = Sessions()
SESSION: Session = SESSIONS.issue(
    parse("arn:aws:iam::123456789012:role/app-role"), "app", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
)
ISSUED = {
    "AccessKeyId": SESSION.access_key_id,
    "SecretAccessKey": SESSION.secret_access_key,
    "Token": SESSION.session_token,
}
ASKED = (Exchange("T", 404, 10.0, 10.1), Exchange("L", 200, 10.2, 10.3), Exchange("C", 200, 10.4, 10.5))


def judged(client: Client, mode: str, stdout: str, stderr: str = "", asked: Sequence[Exchange] = ASKED) -> Outcome:
    """Return the outcome of a program that printed this."""
    return judge(client, mode, Seen(Ended(0, stdout, stderr), asked), SESSIONS)


def test_issued_credentials_work() -> None:
    """Credentials that STS issued are what a client is for."""
    outcome = judged(V2_ONLY, "v2", json.dumps(ISSUED))

    assert outcome == Outcome(V2_ONLY.id, "v2", works=True, seconds=0.5, asked=["T 404", "L", "C"])
    assert outcome.complaint(V2_ONLY) == ""


@pytest.mark.parametrize("name", ["AccessKeyId", "SecretAccessKey", "Token"])
def test_other_credentials_fail(name: str) -> None:
    """Credentials that STS did not issue as a whole fail the suite, whatever the table says."""
    outcome = judged(V2_ONLY, "v2", json.dumps({**ISSUED, name: "other"}))

    assert outcome.complaint(V2_ONLY).startswith("has credentials that STS did not issue: ")


def test_working_against_the_table_fails() -> None:
    """A client that works where the table says that it can't fails the suite."""
    outcome = judged(V2_ONLY, "v1", json.dumps(ISSUED))

    assert outcome.complaint(V2_ONLY) == "works, but the table says that it can't: has no fallback to IMDSv1"


def test_not_working_against_the_table_fails() -> None:
    """A client that says that it has no credentials, where the table says that it works, fails the suite."""
    outcome = judged(V2_ONLY, "v2", json.dumps({"Error": "no  such\nthing"}))

    assert outcome.complaint(V2_ONLY) == "does not work: no such thing"


def test_broken_driver_is_not_a_client_without_credentials() -> None:
    """A driver that dies fails the suite also where the table says that the client can't work."""
    outcome = judged(V2_ONLY, "v1", "", "Traceback\nImportError: no module")

    assert outcome.complaint(V2_ONLY) == "its driver is broken: exit status 0: ImportError: no module"


def test_credentials_from_elsewhere_fail() -> None:
    """A client that has credentials without having asked for them fails the suite."""
    outcome = judged(V2_ONLY, "v2", json.dumps(ISSUED), asked=ASKED[:2])

    assert outcome.complaint(V2_ONLY) == "has credentials from elsewhere; it asked: T 404, L"


def test_tool_speaks_its_own_words() -> None:
    """A program that is not ours tells in its own words that it has no credentials."""
    outcome = judged(SCRIPT, "v2", "", "401")

    assert outcome == Outcome(
        SCRIPT.id, "v2", works=False, seconds=0.5, asked=["T 404", "L", "C"], detail="exit status 0: 401"
    )


@pytest.mark.parametrize(
    "client",
    [client for client in CLIENTS if client.language.folder not in ("shell", "ruby", "php", "replay")],
    ids=lambda client: client.id,
)
def test_lock_files_are_of_the_version_in_the_table(client: Client) -> None:
    """The version in the table is the one in the client's lock files; Debian's are compared when they are installed."""
    folder = HERE / client.language.folder / f"{client.recipe.package}-{client.recipe.version}"
    package, version = re.escape(client.recipe.package), re.escape(client.recipe.version)
    expected = {
        "python": rf"^{package}=={version} ",
        "go": rf"/{package}(/v\d+)? v{version}( // indirect)?$",
        "java": rf"<artifactId>{package}</artifactId>\s*<version>{version}</version>",
        "js": rf'"node_modules/(@aws-sdk/)?{package}": {{\s*"version": "{version}"',
        "rust": rf'^name = "{package}"\nversion = "{version}"$',
    }[client.language.folder]

    assert any(re.search(expected, file.read_text(), re.MULTILINE) for file in folder.iterdir())


def test_ids_are_unique() -> None:
    """The command line and the cache tell all clients apart."""
    assert len(CLIENTS) == len({client.id for client in CLIENTS})


def test_every_client_works_somewhere() -> None:
    """No driver could be broken unnoticed: each client works in some mode."""
    assert [] == [client for client in CLIENTS if set(client.cannot) >= set(IMDS_VERSIONS)]


def test_one_mode_serves_every_client() -> None:
    """What the page and the README promise of `v1-and-v2`."""
    assert [] == [client for client in CLIENTS if "v1-and-v2" in client.cannot]


def test_unknown_client_is_refused() -> None:
    """A client that is not in the table is named, with those that are."""
    with pytest.raises(ValueError, match=r"--client boto: not in the table; one of botocore-1\.12\.253, "):
        select(["boto"], short=False)


def test_docs_have_the_table() -> None:
    """docs/clients.md was written after the last change of the table."""
    text = document.FILE.read_text()

    assert document.choice() in text
    assert document.matrix() in text
