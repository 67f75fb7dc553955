"""Where a release came from: a predicate that cosign signs for each artifact.

Source: SLSA Provenance v1, https://slsa.dev/provenance/v1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.build.release.source import Source


def predicate(
    source: Source, registry: str, programs: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return the predicate; `programs`: what published it, with versions; `environment`: that of the process."""
    repository = environment.get("GITHUB_REPOSITORY", "")
    server = environment.get("GITHUB_SERVER_URL", "")
    workflow = environment.get("GITHUB_WORKFLOW_REF", "")
    run = environment.get("GITHUB_RUN_ID", "")
    builder = f"{server}/{workflow}" if workflow else f"{source.repository}#make-release"
    metadata = {"invocationId": f"{server}/{repository}/actions/runs/{run}"} if run else {}
    return {
        "buildDefinition": {
            "buildType": f"{source.repository}/blob/v{source.version}/CONTRIBUTING.md#a-release",
            "externalParameters": {"registry": registry, "version": source.version},
            "internalParameters": {"programs": dict(programs), "sourceDateEpoch": source.epoch},
            "resolvedDependencies": [
                {"uri": f"git+{source.repository}@refs/tags/v{source.version}", "digest": {"gitCommit": source.commit}}
            ],
        },
        "runDetails": {"builder": {"id": builder}, "metadata": metadata},
    }
