"""One version in one place: pyproject.toml has it; the programs, the chart and the documents repeat it.

    python hack/version.py              Print the version.
    python hack/version.py check        Name every place that has another one. `make lint` runs this.
    python hack/version.py set 0.3.0    Write this version to every place.
    python hack/version.py notes        Print the section of CHANGELOG.md about this version.

The image's label and `--version` need no entry here: both are read from pyproject.toml when they are built.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "pyproject.toml"
CHANGELOG = "CHANGELOG.md"
NUMBER = r"\d+\.\d+\.\d+"


class VersionError(Exception):
    """What is wrong with a version, and what to do about it."""


@dataclass(frozen=True)
class Place:
    """Where the version is repeated.

    Attributes:
        files: a glob below the root.
        before: a regular expression for what precedes the version, on the same line.
        required: every file of the glob has to have the version; otherwise it may.
    """

    files: str
    before: str
    required: bool = True

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(rf"({self.before})({NUMBER})", re.MULTILINE)


_IMAGE_OR_CHART = r"tcf-operator(?::| --version )|newTag: "
PLACES = (
    Place(SOURCE, r'^version = "'),
    Place("operator/tcf/runtime/release.py", r'^VERSION = "'),
    Place("charts/tcf-operator/Chart.yaml", "^version: "),
    Place("charts/tcf-operator/Chart.yaml", "^appVersion: "),
    Place("examples/*/kustomization.yaml", "newTag: "),
    Place("docs/reference/openapi.yaml", "^  version: "),
    Place("*.md", _IMAGE_OR_CHART, required=False),
    Place("docs/**/*.md", _IMAGE_OR_CHART, required=False),
)


def current(root: Path = ROOT) -> str:
    """The version in pyproject.toml."""
    found = PLACES[0].pattern.search((root / SOURCE).read_text())
    if found is None:
        raise VersionError(f'{SOURCE} has no line `version = "X.Y.Z"`')
    return found[2]


def mistakes(root: Path = ROOT) -> Iterator[str]:
    """Every place that does not have the version of pyproject.toml, with what it has instead."""
    version = current(root)
    for place in PLACES:
        for path in sorted(root.glob(place.files)):
            name, text = path.relative_to(root), path.read_text()
            found = list(place.pattern.finditer(text))
            if place.required and not found:
                yield f"{name} has no version after {place.before!r}"
            for match in found:
                if match[2] != version:
                    line = text.count("\n", 0, match.start(2)) + 1
                    yield f"{name}:{line} has version {match[2]}; {SOURCE} has {version}"
    if notes(root) is None:
        yield f"{CHANGELOG} has no section `## [{version}] - YYYY-MM-DD`: write what users notice"


def set_everywhere(version: str, root: Path = ROOT) -> list[Path]:
    """Write `version` to every place; return the files that changed."""
    if re.fullmatch(NUMBER, version) is None:
        raise VersionError(f"{version!r} is not a version: write three numbers, such as 1.2.3")
    changed = []
    for place in PLACES:
        for path in sorted(root.glob(place.files)):
            old = path.read_text()
            new = place.pattern.sub(rf"\g<1>{version}", old)
            if new != old:
                path.write_text(new)
                changed.append(path.relative_to(root))
    return changed


def notes(root: Path = ROOT) -> str | None:
    """The section of CHANGELOG.md about this version, without its heading; None if there is none."""
    heading = rf"^## \[{re.escape(current(root))}\] - \d{{4}}-\d\d-\d\d$"
    section = re.search(rf"(?ms){heading}(.*?)(?=^## |^\[|\Z)", (root / CHANGELOG).read_text())
    return section[1].strip() if section else None


def main() -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="version.py", description="Print, check or set the version.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("check", help="name every place that has another version")
    commands.add_parser("set", help="write a version to every place").add_argument("version")
    commands.add_parser("notes", help="print the changelog of this version")
    options = parser.parse_args()
    try:
        if options.command == "check":
            return _check()
        if options.command == "set":
            print(*set_everywhere(options.version), sep="\n")
        elif options.command == "notes":
            print(notes() or "")
        else:
            print(current())
    except VersionError as error:
        print(f"version: {error}", file=sys.stderr)
        return 1
    return 0


def _check() -> int:
    found = list(mistakes())
    for mistake in found:
        print(mistake, file=sys.stderr)
    if found:
        print(f"set one version everywhere with `python hack/version.py set {current()}`", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
