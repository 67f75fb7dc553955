"""`python -m emulator.build.release REGISTRY`: builds a release and publishes it; what is published already stays.

Everything is made in `dist` first and is the same to the last bit each time, so that its digests say what is left.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from emulator.build.progress import StepFailedError, say
from emulator.build.release import bundle, chart, forge, images, notes, plan, programs, signing, source
from emulator.build.release.registry import OtherContentError


def main() -> int:
    """Run the command line; 1 if a step failed, 2 if this must not be released."""
    parser = argparse.ArgumentParser(prog="python -m emulator.build.release", description=__doc__)
    parser.add_argument("registry", metavar="REGISTRY", help="host and path, such as registry.example/imds-emulator")
    parser.add_argument("--key", type=Path, help="sign with this key of cosign's; default: keyless, as the workflow")
    parser.add_argument("--plan", action="store_true", help="publish nothing; say what is left to do")
    parser.add_argument(
        "--rehearsal", action="store_true", help="from any state of the checkout, and without a release on the forge"
    )
    parser.add_argument("--dist", type=Path, default=source.ROOT / "dist", help="default: %(default)s")
    options = parser.parse_args()
    try:
        return release(options)
    except (StepFailedError, programs.FailedError, OtherContentError, ValueError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1


def release(options: argparse.Namespace) -> int:
    """Build, and publish what is left."""
    registry = options.registry.strip("/")
    chart.host_and_path(registry)
    made_of = source.read()
    said = notes.section(bundle.CHANGELOG.read_text(), made_of.version)
    faults = [] if options.rehearsal else source.faults(made_of, os.environ.get("GITHUB_REF_NAME", ""), said.date)
    for fault in faults:
        print(f"release: {fault}", file=sys.stderr)
    if faults and not options.plan:
        return 2
    folder = options.dist / made_of.version
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    say(f"make version {made_of.version} in {folder}")
    made = images.make(made_of, registry, folder)
    artifacts = [*made, bundle.make_files(made_of, registry, folder)]
    artifacts.append(bundle.make_chart(made_of, registry, made, said, folder))
    where = bundle.make_provenance(made_of, registry, programs.versions(), os.environ, folder)
    signer = signing.Signer(made_of.repository, made_of.version, options.key, folder / "signing-config.json")
    signer.prepare()
    about = folder / "NOTES.md"
    about.write_text(notes.text(said, [each.pinned for each in artifacts], signer.verify_line))
    steps = [*plan.steps(artifacts, signer, folder, where)]
    if not options.rehearsal:
        files = sorted(
            file for file in folder.iterdir() if file.is_file() and file.name not in (about.name, "signing-config.json")
        )
        steps.append(forge.release(made_of.version, about, files))
    left = plan.carry_out(steps, say, only_show=options.plan)
    say(f"{len(steps) - left} of {len(steps)} steps were done before" + (f", {left} are left" if options.plan else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
