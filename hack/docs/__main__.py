"""`python -m docs write | check | stage FOLDER`: what `make fmt`, `make lint` and `make docs` use."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from docs import crd_reference, values_reference
from docs.checks import broken_links, crowded_lines, left_out
from docs.pages import ROOT
from docs.site import stage

CRD = "crds/clusterfederations.tcf.dev.yaml"
CHART = "charts/tcf-operator"


def references(root: Path) -> dict[Path, str]:
    """The generated pages, as they should be."""
    crd = yaml.safe_load((root / CRD).read_text(encoding="utf-8"))
    values = (root / CHART / "values.yaml").read_text(encoding="utf-8")
    schema = json.loads((root / CHART / "values.schema.json").read_text(encoding="utf-8"))
    return {
        root / "docs/reference/clusterfederation.md": crd_reference.reference(crd),
        root / "docs/reference/values.md": values_reference.reference(values, schema),
    }


def outdated(root: Path) -> Iterator[str]:
    """Generated pages that are not as they should be."""
    for page, text in references(root).items():
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            yield f"{page.relative_to(root)} is outdated: run 'make fmt'"


def write(root: Path) -> None:
    for page, text in references(root).items():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")


def check(root: Path) -> int:
    troubles = [*outdated(root), *broken_links(root), *left_out(root), *crowded_lines(root)]
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    return 1 if troubles else 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["write"]:
            write(ROOT)
            return 0
        case ["check"]:
            return check(ROOT)
        case ["stage", folder]:
            stage(ROOT, Path(folder))
            return 0
    print("usage: python -m docs write | check | stage FOLDER", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
