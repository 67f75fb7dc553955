"""The sidecar's side of a connection: bytes of a client, in any pieces, to answers.

An input is two bytes, who answers (A..P), and how the rest, what the client sends, is cut (~: and repeated).
"""

from __future__ import annotations

import json
import random
import re
from binascii import a2b_base64
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from emulator import names
from emulator.sidecar import exposition, health, imds  # noqa: F401 - exposition: `health` imports it when asked
from emulator.sidecar.conversation import ENDING, OUTPUT_LIMIT, REFUSED, Answering, Conversation
from emulator.sidecar.credentials import Credentials, Failure, Lifecycle
from emulator.sidecar.imds_tokens import Tokens
from emulator.sidecar.metrics import Metrics
from emulator.sidecar.wire import BODY_LIMIT, HEAD_LIMIT, SEEN_LIMIT, SEEN_REQUEST_LIMIT, Request, Response
from tests.experiments.fuzz.responses import CONTINUE, Answer, read

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_795_597_200.0  # Wed, 25 Nov 2026 09:00:00 GMT
ROLE = "app+=,.@-role_1"
SECRETS = (b"ASIAFUZZFUZZFUZZFUZZ", b"fuzzed/secret/access/key/fuzzed/secret+k", b"fuzzed//session//token==")
TOKENS = Tokens(bytes(32))
TOKEN = TOKENS.make(int(NOW) + 600)
LONGEST_PIECE = 8192  # what the server reads at once
ANSWER_LIMIT = 8192  # metrics are the longest, with 3 KB
BUFFER_LIMIT = HEAD_LIMIT + BODY_LIMIT + LONGEST_PIECE
MANY = ord("~")
REPEATS = 40
BY_BYTE = 20
_CHANCE = random.Random(1)  # noqa: S311 - to be repeatable
PLACES = [_CHANCE.random() ** 2 for _ in range(34)]  # of cuts, as fractions
HEADERS = {
    name: re.compile(form)
    for name, form in (
        (b"server", b"EC2ws"),
        (b"date", b"Wed, 25 Nov 2026 09:00:00 GMT"),
        (b"content-type", rb"text/plain|application/json|text/plain; version=0\.0\.4"),
        (b"content-length", b"[0-9]{1,5}"),
        (b"allow", b"GET, HEAD|OPTIONS, PUT"),
        (b"x-aws-ec2-metadata-token-ttl-seconds", b"[0-9]{1,5}"),
        (b"connection", b"close|keep-alive"),
    )
}
STATUSES = frozenset({200, 400, 401, 403, 404, 405, 413, 421, 431, 500, 501, 503, 505})
LATE = Response(503, "late")
METRICS = Metrics("1", "v1")


@dataclass(frozen=True)
class Scene:
    """Who answers. `arrives`: the credentials come while a client waits for them; `serves`: they may be served."""

    imds_version: str
    state: str

    @property
    def serves(self) -> bool:
        """Tell whether a client may get credentials at all."""
        return self.state in ("served", "arriving")


SCENES = (
    *(Scene(version, state) for version in names.IMDS_VERSIONS for state in ("served", "arriving", "waiting")),
    *(Scene(version, "refused") for version in names.IMDS_VERSIONS),
    Scene("v1-and-v2", "expired"),
    Scene("health", "served"),
    Scene("health", "refused"),
)
KEY_ID, SECRET_KEY, SESSION_TOKEN = (secret.decode() for secret in SECRETS)
CREDENTIALS = Credentials(KEY_ID, SECRET_KEY, SESSION_TOKEN, NOW + 1800, NOW)
DEAD = Credentials(KEY_ID, SECRET_KEY, SESSION_TOKEN, NOW - 1, NOW - 3600)
DENIED = Failure("AccessDenied", 'Not authorized to perform: sts:AssumeRoleWithWebIdentity "x"', 403)
ACCOUNT_ID = "123456789012"
DOCUMENTS = {
    False: imds.json_object(imds.document(CREDENTIALS)).encode(),
    True: imds.json_object({**imds.document(CREDENTIALS), "AccountId": ACCOUNT_ID}).encode(),
}


class Recorder(Answering):
    """Remembers what it was asked."""

    __slots__ = ("asked",)

    def __init__(
        self,
        respond: Callable[[Request, float], Response | None],
        late: Callable[[], Response],
        count: Callable[[int], None],
    ) -> None:
        super().__init__(respond, late, count)
        self.asked: list[Request | None] = []

    def encode(self, request: Request | None, response: Response, now: float) -> bytes:
        """Note the request, and answer."""
        self.asked.append(request)
        return super().encode(request, response, now)


def one_input(data: bytes) -> None:
    """Hold a conversation in pieces and judge the answers, then the same in one piece."""
    if len(data) < 2:
        return
    scene = SCENES[(data[0] - ord("A")) % len(SCENES)]
    sent = data[2:] * REPEATS if data[1] == MANY else data[2:]
    output, asked, ending = converse(scene, pieces(sent, data[1]))
    answers = read(output, [request.method if request else "" for request in asked], HEADERS)
    for request, answer in zip(asked, answers, strict=True):
        judge(scene, request, answer)
    assert not ending or answers[-1].headers[b"connection"] == b"close"
    whole, _, _ = converse(scene, [sent])
    assert whole.replace(CONTINUE, b"") == output.replace(CONTINUE, b""), "pieces are read otherwise than the whole"


def converse(scene: Scene, sent: list[bytes]) -> tuple[bytes, list[Request | None], bool]:
    """Return what is answered to a client, which requests that answers, and whether the connection ends."""
    service = service_of(scene)
    service.hopeful = scene.state in ("arriving", "waiting")
    if service.hopeful:
        service.document = None
    recorder = Recorder(_respond(scene), lambda: LATE, METRICS.count_request)
    conversation = Conversation(recorder)
    output = b""
    for piece in sent:
        if conversation.state in (ENDING, REFUSED):
            break
        output += _answered(conversation, scene, piece)
        limit = BUFFER_LIMIT if len(sent) > 1 else BUFFER_LIMIT + len(piece)
        assert len(conversation.buffer) <= limit, "what was not answered grows"
    assert len(recorder.reader.seen) <= SEEN_LIMIT
    assert all(len(seen) <= SEEN_REQUEST_LIMIT for seen in recorder.reader.seen)
    return output, recorder.asked, conversation.state in (ENDING, REFUSED)


def judge(scene: Scene, request: Request | None, answer: Answer) -> None:
    """Fail if an answer says what it should not, or to whom it should not."""
    assert answer.status in STATUSES
    if request is None:
        assert answer.status >= 400
        assert answer.headers[b"connection"] == b"close"
    everything = answer.body + b"".join(answer.headers.values())
    if not any(secret in everything for secret in SECRETS):
        assert _is_known(scene, answer), answer
        return
    assert (answer.status, answer.body) == (200, DOCUMENTS[request is not None and request.extended])
    assert request is not None
    assert request.method == "GET"
    assert request.segments[1:] == ("meta-data", "iam", "security-credentials", ROLE)
    assert scene.serves
    assert scene.imds_version != "health"
    if scene.imds_version == "v2" or (scene.imds_version == "v1-and-v2" and request.token):
        assert request.token is not None
        assert _raw(request.token) == _raw(TOKEN), "credentials for a token that was never given"


def _is_known(scene: Scene, answer: Answer) -> bool:
    """Tell whether a body without a secret is one of ours, so that nothing of a request can be in it."""
    body = answer.body.decode("ascii")
    if scene.imds_version == "health" and answer.status == 200:
        return body in ("", "ok") or body.startswith("# HELP imds_emulator_requests_total ")
    if answer.status == 200 and len(body) == len(TOKEN):
        return scene.imds_version.endswith("v2") and NOW < TOKENS.expiry(body) <= NOW + 21600
    if body.startswith("{"):
        return list(json.loads(body)) == ["Code", "Message", "LastUpdated"] and answer.status in (500, 503)
    return body in ("", "latest", ROLE, "not found", "late") or body.startswith("no credentials")


def _raw(token: str) -> bytes:
    return a2b_base64(token.replace("-", "+").replace("_", "/"))


@cache
def service_of(scene: Scene) -> imds.Service:
    """Return what is served in a scene, made once."""
    version = scene.imds_version
    service = imds.Service(ROLE, ACCOUNT_ID, None if version == "v1" else TOKENS, NOW, token_needed=version == "v2")
    if scene.state == "served":
        service.offer(CREDENTIALS)
    elif scene.state == "expired":
        service.offer(DEAD)
    elif scene.state == "refused":
        service.unavailable = imds.error_response(500, DENIED, NOW)
    return service


@cache
def _respond(scene: Scene) -> Callable[[Request, float], Response | None]:
    service = service_of(scene)
    if scene.imds_version != "health":
        return lambda request, now: imds.respond(request, service, now)
    lifecycle = Lifecycle(3600, NOW)
    if scene.serves:
        lifecycle.succeed(CREDENTIALS, NOW, 0.5)
    else:
        lifecycle.fail(DENIED, NOW, 0.5)
    metrics = Metrics("1", "v1")
    return lambda request, now: health.respond(request, lifecycle, metrics, NOW + 60, now)


def _answered(conversation: Conversation, scene: Scene, piece: bytes) -> bytes:
    """Return what a server sends after a client has sent a piece, until it reads again."""
    output = more = conversation.feed(piece, NOW)
    while conversation.waiting is not None or len(more) >= OUTPUT_LIMIT:
        assert len(more) < OUTPUT_LIMIT + ANSWER_LIMIT
        if conversation.waiting is None:
            more = conversation.answers(NOW)
        else:
            more = conversation.answer_waiting(_late(conversation.waiting, scene), NOW)
        output += more
    return output


def _late(request: Request, scene: Scene) -> Response:
    """Return the answer to a request that has waited: what it waited for has come, or its time is over."""
    if scene.state != "arriving":
        return LATE
    service = service_of(scene)
    service.offer(CREDENTIALS)
    service.hopeful = False
    response = imds.respond(request, service, NOW)
    assert response is not None
    return response


def pieces(sent: bytes, seed: int) -> list[bytes]:
    """Cut bytes as a network would; the same way for the same seed."""
    if len(sent) <= BY_BYTE and seed & 1:
        return [sent[at : at + 1] for at in range(len(sent))]
    cuts = {0, len(sent), *range(LONGEST_PIECE, len(sent), LONGEST_PIECE)}
    cuts |= {int(len(sent) * place) for place in PLACES[seed % 32 : seed % 32 + 2]}
    places = sorted(cuts)
    return [sent[start:end] for start, end in pairwise(places)]
