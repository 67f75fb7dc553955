"""`make render`: writes the chart's templates, the kustomize files and the table of values from one source.

The sources are manifests/*/*.j2 and charts/imds-emulator/values.yaml, the only home of a default. With `--check` it
writes nothing, shows the differences and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import jinja2
import yaml

from emulator import __version__, names
from emulator.build.render import baseline
from emulator.build.render import components as render_components
from emulator.build.render.helm import Helm
from emulator.build.render.kustomize import Kustomize
from emulator.build.render.reference import reference
from emulator.build.render.values import table
from emulator.injection import cel

ROOT = Path(__file__).resolve().parents[4]
MANIFESTS = Path(__file__).with_name("manifests")
CHART = Path("charts/imds-emulator")
INSTALL = Path("kustomize/install")
COMPONENTS = Path("kustomize/components")
REFERENCE = Path("docs/reference.md")
CODEOWNERS = Path(".github/CODEOWNERS")
# The hand-written files that name the repository to users.
REPOSITORY_USERS = (
    "mkdocs.yml",
    "charts/imds-emulator/Chart.yaml",
    "charts/imds-emulator/values.yaml",
    "docs/*.md",
    "kustomize/README.md",
    "kustomize/examples/**/*.yaml",
)
# The chart's defaults for `inject`, which is installed without the chart.
PARAMETERS = Path("src/emulator/cli/default_parameters.json")
# A folder of manifests is a part of the installation: what all have, what one `mode` of the chart adds, or what is
# there if it is asked for.
COMMON, MODES = "common", ("webhook", "policy")
WITHOUT = {"webhook": "policy", "policy": "webhook"}  # part -> the mode that lacks it; `both` has all
OPTIONAL = {"baseline": "baselinePolicy.enabled"}  # part -> the value that turns it on
PARTS = (COMMON, *MODES, *OPTIONAL)
MADE_BY = "Made by `make render` from src/emulator/build/render/manifests/"
TABLE_BEGIN, TABLE_END = "<!-- values: made by `make render` -->\n", "<!-- end of values -->\n"


def main(arguments: list[str]) -> int:
    """Write what is missing or differs and remove what is left over; with `--check` only report, 1 if there is any."""
    parser = argparse.ArgumentParser(
        prog="python -m emulator.build.render", description="Write chart and kustomize files."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; show differences, exit status 1 if any")
    options = parser.parse_args(arguments)
    wanted = outputs()
    differences = [path for path, text in wanted.items() if present(path) != text]
    leftovers = sorted(generated_files() - wanted.keys())
    if options.check:
        for path in differences:
            show_difference(path, present(path), wanted[path])
        for path in leftovers:
            print(f"{path}: no template makes it; remove it")
        return 1 if differences or leftovers else 0
    for path in differences:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path])
        print(f"wrote {path}")
    for path in leftovers:
        (ROOT / path).unlink()
        print(f"removed {path}")
    return 0


def outputs() -> dict[Path, str]:
    """Return every generated file: its path in the checkout and its whole text."""
    hand_written = {path: with_repository((ROOT / path).read_text()) for path in repository_users()}
    values_text = hand_written[CHART / "values.yaml"]
    values = yaml.safe_load(values_text)
    values_table = table(values_text)
    result = {
        **hand_written,
        CHART / "Chart.yaml": with_version(hand_written[CHART / "Chart.yaml"]),
        CHART / "README.md": with_table((ROOT / CHART / "README.md").read_text(), values_table),
        REFERENCE: reference(values_table),
        CODEOWNERS: f"# Made by `make render` from pyproject.toml\n* @{owner()}\n",
    }
    for part in PARTS:
        for template in sorted((MANIFESTS / part).glob("*.j2")):
            source, name = f"{part}/{template.name}", template.name.removesuffix(".j2")
            result[CHART / "templates" / name] = for_helm(source)
            for folder, text in for_kustomize(source, values).items():
                result[INSTALL / folder / name] = text
    return result | components(values)


def components(values: dict[str, Any]) -> dict[Path, str]:
    """Return the files of kustomize/components; a dot in a template's name is a folder, `endpoint` alone a file."""
    parameters = yaml.safe_load(plain("common/configmap.yaml.j2", values))["data"]
    words = render_components.words(parameters)
    result = {PARAMETERS: json.dumps(parameters, indent=2) + "\n"}
    for template in sorted((MANIFESTS / "components").glob("*.j2")):
        *folders, last = template.name.removesuffix(".yaml.j2").split(".")
        name = f"{last}.yaml" if last == "endpoint" else f"{last}/kustomization.yaml"
        source = f"components/{template.name}"
        result[COMPONENTS.joinpath(*folders, name)] = plain(source, values, words)
    return result


def generated_files() -> set[Path]:
    """Return the files that are there and say of themselves that they are generated."""
    folders = (CHART / "templates", INSTALL, COMPONENTS)
    found = {path for folder in folders for path in (ROOT / folder).rglob("*.yaml")}
    return {path.relative_to(ROOT) for path in found if MADE_BY in path.read_text().partition("\n")[0]}


def for_helm(source: str) -> str:
    """Return the Helm template made from `source`, a path under manifests/."""
    text = environment(Helm()).get_template(source).render()
    part = source.split("/", maxsplit=1)[0]
    if part in OPTIONAL:
        text = Helm().when(OPTIONAL[part], caller=lambda: text)
    elif part != COMMON:
        text = Helm().unless("mode", WITHOUT[part], caller=lambda: text)
    return f"{{{{- /* {MADE_BY}{source} */ -}}}}\n{text}"


def for_kustomize(source: str, values: dict[str, Any]) -> dict[str, str]:
    """Return folder -> the plain manifest made from `source` at the chart's default values, without empty ones.

    What is common but reads differently in each mode goes to the folders of the modes.
    """
    part = source.split("/", maxsplit=1)[0]
    texts = {mode: plain(source, {**values, "mode": mode}) for mode in (MODES if part == COMMON else (part,))}
    if part == COMMON and len(set(texts.values())) == 1:
        texts = {COMMON: next(iter(texts.values()))}
    return {folder: text for folder, text in texts.items() if text}


def plain(source: str, values: dict[str, Any], words: dict[str, Any] | None = None) -> str:
    """Return the manifest made from `source` at these values, and with further words; empty if there is none."""
    text = environment(Kustomize(values)).get_template(source).render(words or {})
    lines = [line for line in text.splitlines(keepends=True) if line.strip()]
    return f"# {MADE_BY}{source}\n{''.join(lines)}" if lines else ""


def environment(target: Helm | Kustomize) -> jinja2.Environment:
    """Return the Jinja environment whose words `target` speaks; its brackets leave Helm's braces alone."""
    made = jinja2.Environment(  # noqa: S701 - YAML, not HTML
        loader=jinja2.FileSystemLoader(MANIFESTS),
        undefined=jinja2.StrictUndefined,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.update({"names": names, "cel": cel, "baseline": baseline, **target.words()})
    return made


def with_table(readme: str, values_table: str) -> str:
    """Return `readme` with the text between the two markers replaced."""
    before, rest = readme.split(TABLE_BEGIN)
    _, after = rest.split(TABLE_END)
    return f"{before}{TABLE_BEGIN}{values_table}{TABLE_END}{after}"


def with_version(metadata: str) -> str:
    """Return Chart.yaml with the version of the code as its own, and as that of the images."""
    return re.sub(r"^(version|appVersion): .*$", rf"\1: {__version__}", metadata, flags=re.MULTILINE)


def repository() -> str:
    """Return the URL of the repository that users install from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["urls"]["Repository"])


def owner() -> str:
    """Return the account that the repository belongs to."""
    return repository().rsplit("/", 2)[-2]


def repository_users() -> list[Path]:
    """Return the hand-written files that name the repository to users."""
    found = [path for pattern in REPOSITORY_USERS for path in ROOT.glob(pattern)]
    return sorted(path.relative_to(ROOT) for path in found)


def with_repository(text: str) -> str:
    """Return `text` with its URLs of the repository replaced."""
    return re.sub(r"https://[^\s/]+/[^\s/]+/imds-emulator(?![\w.-])", repository(), text)


def present(path: Path) -> str:
    """Return the text of a file in the checkout, empty if there is none."""
    file = ROOT / path
    return file.read_text() if file.exists() else ""


def show_difference(path: Path, old: str, new: str) -> None:
    """Print a unified diff from what is there to what the templates make."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"{path} (there)", f"{path} (made)"
    )
    sys.stdout.writelines(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
