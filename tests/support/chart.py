"""The Helm chart, rendered."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rig.files import ROOT

Json = dict[str, Any]
CHART = ROOT / "charts" / "tcf-operator"


@dataclass(frozen=True)
class Helm:
    """helm, with a home of its own."""

    program: Path
    folder: Path

    def run(self, *args: str | Path, values: Json | None = None) -> subprocess.CompletedProcess[str]:
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        command: list[str | Path] = [self.program, *args]
        command += ["--values", file] if values is not None else []
        home = {f"HELM_{name}_HOME": str(self.folder / name) for name in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=home)

    def render(self, values: Json, *args: str, namespace: str = "tcf", chart: Path = CHART) -> list[Json]:
        done = self.run("template", "tcf", chart, "--namespace", namespace, *args, values=values)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    def refusal(self, values: Json) -> str:
        done = self.run("template", "tcf", CHART, "--namespace", "tcf", values=values)
        assert done.returncode != 0, "it was rendered"
        return done.stderr
