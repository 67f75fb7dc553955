"""The steps that publish: each knows whether it is done already, so that a second run does what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator.build.release import images, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from emulator.build.release.registry import Artifact
    from emulator.build.release.signing import Signer


@dataclass(frozen=True)
class Step:
    """One thing to do, and how to tell that it is done."""

    about: str
    is_done: Callable[[], bool]
    do: Callable[[], None]


def steps(artifacts: Iterable[Artifact], signer: Signer, folder: Path, provenance: Path) -> Iterator[Step]:
    """Yield the steps: an artifact is pushed before it is signed, and all images before the chart that names them."""
    for each in artifacts:
        yield _push(each)
        yield _sign(each, signer)
        for platform in each.parts:
            name = each.layout.name
            yield _attest(each.part(platform), "cyclonedx", images.sbom(folder, name, platform), signer)
        yield _attest(each.pinned, "slsaprovenance1", provenance, signer)


def carry_out(wanted: Iterable[Step], say: Callable[[str], None], *, only_show: bool = False) -> int:
    """Do what is left, or only say what that is; return how many steps were left."""
    left = 0
    for step in wanted:
        is_done = step.is_done()
        say(f"{'done ' if is_done else 'to do'}  {step.about}")
        left += not is_done
        if not is_done and not only_show:
            step.do()
    return left


def _push(artifact: Artifact) -> Step:
    return Step(
        f"push {artifact.reference} ({artifact.digest})",
        lambda: registry.is_pushed(artifact),
        lambda: registry.push(artifact),
    )


def _sign(artifact: Artifact, signer: Signer) -> Step:
    signed = [artifact.pinned, *(artifact.part(platform) for platform in artifact.parts)]
    return Step(
        f"sign {artifact.pinned}",
        lambda: all(signer.is_signed(reference) for reference in signed),
        lambda: signer.sign(artifact.pinned),
    )


def _attest(reference: str, kind: str, predicate: Path, signer: Signer) -> Step:
    return Step(
        f"attest {predicate.name} of {reference}",
        lambda: signer.is_attested(reference, kind, predicate),
        lambda: signer.attest(reference, kind, predicate),
    )
