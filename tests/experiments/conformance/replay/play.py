"""`python -m tests.experiments.conformance.replay.play FILE`: sends a client's requests, byte by byte.

A file says which source was read, then has steps. `### NAME STATUS=NEXT ...` opens a step: which step follows which
status; after any other the client gives up. `tries=N`: after any other it asks again, N times in all. `new`: on a
connection of its own. `header=NAME`: the answer needs this header. `keys=A,B`: the document needs these.
The name of a step tells what its answer is: a token, roles or credentials. In a request, {token} and {role} stand for
what was answered before; its lines end with CRLF, and an empty one follows. A User-Agent names an example of a machine.
"""

import http.client
import json
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.experiments.conformance.python.answer import answer

ADDRESS = ("169.254.169.254", 80)
TIMEOUT_SECONDS = 5.0
DONE = "done"


class GaveUpError(Exception):
    """The client would give up here."""


@dataclass(frozen=True)
class Step:
    """One request, and what the client does after each answer."""

    name: str
    request: str
    next: Mapping[int, str]
    tries: int = 1
    new: bool = False
    header: str = ""
    keys: tuple[str, ...] = ()


def parse(text: str) -> dict[str, Step]:
    """Return the steps of a file by name, in their order; raises ValueError for one that leads nowhere."""
    steps: dict[str, Step] = {}
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        name, *words = head.split()
        options = dict(word.partition("=")[::2] for word in words)
        steps[name] = Step(
            name,
            "".join(f"{line}\r\n" for line in body.strip().splitlines()) + "\r\n",
            {int(word): after for word, after in options.items() if word.isdecimal()},
            int(options.get("tries", 1)),
            "new" in options,
            options.get("header", ""),
            tuple(filter(None, options.get("keys", "").split(","))),
        )
    for step in steps.values():
        for after in step.next.values():
            if after != DONE and after not in steps:
                raise ValueError(f"step {step.name} leads to {after}, which is not there")
    return steps


class Player:
    """`known`: what the answers so far were: token, role, credentials."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self._connection: socket.socket | None = None

    def play(self, steps: Mapping[str, Step]) -> Mapping[str, object]:
        """Go through the steps; return the document of credentials. Raises GaveUpError."""
        at = next(iter(steps))
        while at != DONE:
            at = self._step(steps[at])
        document: dict[str, object] = json.loads(self.known["credentials"])
        return {name: document[name] for name in ("AccessKeyId", "SecretAccessKey", "Token")}

    def _step(self, step: Step) -> str:
        status = 0
        for _ in range(step.tries):
            status, headers, body = self._ask(step)
            if status in step.next:
                self._keep(step, headers, body)
                return step.next[status]
        raise GaveUpError(f"{step.name}: {status}")

    def _keep(self, step: Step, headers: http.client.HTTPMessage, body: str) -> None:
        if step.header and step.header not in headers:
            raise GaveUpError(f"{step.name}: no header {step.header}")
        if step.keys and (absent := set(step.keys) - set(json.loads(body))):
            raise GaveUpError(f"{step.name}: no {', '.join(sorted(absent))}")
        kind = {"token": "token", "roles": "role", "credentials": "credentials"}.get(step.name.partition("-")[0])
        if kind:
            self.known[kind] = body

    def _ask(self, step: Step) -> tuple[int, http.client.HTTPMessage, str]:
        if self._connection is None or step.new:
            self._close()
            self._connection = socket.create_connection(ADDRESS, TIMEOUT_SECONDS)
        request = step.request
        for name, value in self.known.items():
            request = request.replace(f"{{{name}}}", value)
        self._connection.sendall(request.encode("ascii"))
        response = http.client.HTTPResponse(self._connection, method=request.partition(" ")[0])
        response.begin()
        body = response.read().decode()
        if response.will_close:
            self._close()
        return response.status, response.headers, body

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


if __name__ == "__main__":
    answer(lambda: Player().play(parse(Path(sys.argv[1]).read_text())))
