"""What there is to watch: sidecars that STS serves and refuses, and a webhook that injects and rejects."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Self

from tests.support.monitoring.prometheus import Target
from tests.support.webhook.fake_api import FakeApi
from tests.support.webhook.running import Webhook, admit, connect, environment, pod, running
from tests.support.wire.authority import make_authority
from tests.support.wire.fixtures import World
from tests.support.wire.process import LIST
from tests.support.wire.stub_sts import Reply, error, grant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire.process import Emulator

REFUSED_ROLE = "arn:aws:iam::123456789012:role/refused"
SERVICE = "injector.ns.svc"


class Scene:
    """Sidecars of team-a, whose role STS grants while `sts_is_up`, one of team-b, whose role it refuses, a webhook."""

    def __init__(self, directory: Path, *, served: int, life_seconds: int) -> None:
        self.sts_is_up = True
        self.sidecars: dict[tuple[str, str], Emulator] = {}
        self.webhook: Webhook | None = None
        self._directory = directory
        self._served = served
        self._life_seconds = life_seconds
        self._stack = contextlib.ExitStack()
        self._webhook_alone = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.world = World(make_authority(self._directory, "localhost", "127.0.0.1"), self._directory)
        self._stack.callback(self.world.close)
        self.world.answer(self._answer)
        for name in (f"app-{n}" for n in range(self._served)):
            self.sidecars["team-a", name] = self.world.start_ready(POD_NAME=name)
        self.sidecars["team-b", "app-0"] = self.world.start(AWS_ROLE_ARN=REFUSED_ROLE, POD_NAMESPACE="team-b")
        self._api = self._stack.enter_context(FakeApi())
        account = self._api.service_account(self._directory / "service-account")
        self._environ = environment(self._directory, ("127.0.0.1", self._api.port), account)
        self.start_webhook()
        return self

    def __exit__(self, *_: object) -> None:
        self._webhook_alone.close()
        self._stack.close()

    def start_webhook(self) -> None:
        """Start it, on the ports that it has each time."""
        self.webhook = self._webhook_alone.enter_context(running(self._environ, self._directory / "webhook.log"))

    def stop_webhook(self) -> None:
        """End it."""
        self._webhook_alone.close()

    def targets(self) -> list[Target]:
        """Return what Prometheus scrapes."""
        sidecars = [
            Target("sidecars", sidecar.health_port, {"namespace": namespace, "pod": name})
            for (namespace, name), sidecar in self.sidecars.items()
        ]
        health_port = int(self._environ["IMDS_EMULATOR_HEALTH_PORT"])
        return [*sidecars, Target("webhook", health_port, {"namespace": "imds-emulator", "pod": "imds-emulator-0"})]

    def ask_for_credentials(self) -> None:
        """Let each app ask once, as an SDK does: for its role, then for the credentials."""
        for sidecar in self.sidecars.values():
            # On a busy machine one may be so slow that it is dropped.
            with contextlib.suppress(OSError, AssertionError):
                sidecar.get(LIST + sidecar.get(LIST).body)

    def create_pods(self, *, right: int, wrong: int) -> None:
        """Have pods admitted; the wrong ones name no role."""
        nameless = copy.deepcopy(pod())
        nameless["metadata"]["annotations"] = {}
        port = int(self._environ["IMDS_EMULATOR_WEBHOOK_PORT"])
        with connect(port, self._api.trusted()[0], SERVICE) as connection:
            allowed = [admit(connection, each)["allowed"] for each in [pod()] * right + [nameless] * wrong]
        assert [True] * right + [False] * wrong == allowed

    def _answer(self, form: dict[str, str]) -> Reply:
        if form["RoleArn"] == REFUSED_ROLE:
            return error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        if not self.sts_is_up:
            return error(503, "ServiceUnavailable", "The service is unavailable")
        return grant(life_seconds=self._life_seconds)
