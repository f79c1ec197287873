"""Files that nothing here runs: workflows, hooks, forms, the support matrix. What they name has to exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig.files import ROOT

Json = dict[str, Any]

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
GO_MODULES = {"sigs.k8s.io"}  # paths of modules look like host names


def read(path: Path) -> Json:
    document: Json = yaml.safe_load(path.read_text())
    return document


def steps(workflow: Path) -> Iterator[Json]:
    for job in read(workflow)["jobs"].values():
        yield from job.get("steps", [])


def targets() -> set[str]:
    """The documented targets of the Makefile."""
    return set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def made(script: str) -> Iterator[str]:
    """The targets that a script makes; files, such as .venv/.ready, are none."""
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line) if line.strip().startswith("make ") else []
        yield from (word for word in words[1:] if re.fullmatch(r"[a-z0-9-]+", word))


def python_versions() -> list[str]:
    versions: list[str] = read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"][
        "python"
    ]
    return versions


def matrix(section: str) -> dict[str, str]:
    """What docs/support-matrix.md says of each version: tested, expected or no."""
    text = (
        (ROOT / "docs/support-matrix.md").read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    )
    return dict(re.findall(r"^\| `?([^|`]+?)`? \| (tested|expected|no) \|", text, re.MULTILINE))


GOTOOLS = ROOT / "hack" / "gotools"


def kubernetes_minor(module: str) -> str:
    required = re.search(
        r"k8s\.io/kubernetes v(\d+\.\d+)\.", (ROOT / "hack" / "gotools" / module / "go.mod").read_text()
    )
    assert required, module
    return required[1]


# --- workflows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_make_what_there_is(workflow: Path) -> None:
    used = {target for step in steps(workflow) for target in made(step.get("run", ""))}
    assert used
    assert used <= targets()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_programs_that_exist(workflow: Path) -> None:
    for step in steps(workflow):
        for program in re.findall(r"python (hack/[\w./-]+)", step.get("run", "")):
            assert (ROOT / program).exists(), program


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned(workflow: Path) -> None:
    for step in steps(workflow):
        assert re.fullmatch(r"[\w./-]+@(v\d+|[0-9a-f]{40})", step.get("uses", "none@v0")), step


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_names_a_host(workflow: Path) -> None:
    hosts = set(re.findall(r"\b(?:[a-z0-9-]+\.)+(?:io|com|org|net|dev)\b", workflow.read_text()))
    assert hosts <= GO_MODULES


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_images_are_for_the_platforms_of_the_matrix(workflow: Path) -> None:
    (platforms,) = {
        step["env"]["PLATFORMS"] for step in steps(workflow) if "PLATFORMS" in step.get("env", {})
    }
    assert platforms == f"--platform {','.join(matrix('Platforms of the image'))}"


def test_the_image_is_tied_to_no_platform() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search("--platform|amd64|x86|arm64|aarch64", text, re.IGNORECASE) is None


# --- hooks and forms ------------------------------------------------------------------------------------


def test_hooks_run_what_make_runs() -> None:
    hooks = [
        hook
        for repo in read(ROOT / ".pre-commit-config.yaml")["repos"]
        for hook in repo["hooks"]
        if repo["repo"] == "local"
    ]
    assert {target for hook in hooks for target in made(hook["entry"])} == {"lint"}
    assert "lint" in targets()


def test_hooks_are_fetched_from_nowhere() -> None:
    assert {repo["repo"] for repo in read(ROOT / ".pre-commit-config.yaml")["repos"]} == {"local"}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_forms_are_complete(form: Path) -> None:
    document = read(form)
    assert document["name"]
    assert document["description"]
    fields = [field for field in document["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids)


# --- the support matrix ---------------------------------------------------------------------------------


def test_every_supported_python_is_in_the_workflow() -> None:
    supported = [version for version, word in matrix("Python").items() if word != "no"]
    assert supported == python_versions()
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert requires == f">={supported[0]}"


def test_the_tested_kubernetes_are_those_of_the_tests() -> None:
    tested = [version for version, word in matrix("Kubernetes").items() if word == "tested"]
    assert tested == [kubernetes_minor("controlplane"), kubernetes_minor("controlplane-1.36")]


def test_kind_runs_a_supported_kubernetes() -> None:
    image = re.search(r"kindest/node:v(\d+\.\d+)\.", (ROOT / "hack/kind.yaml").read_text())
    assert image
    assert matrix("Kubernetes")[image[1]] == "expected"


def test_the_oldest_kubernetes_is_the_one_that_the_chart_accepts() -> None:
    *_, oldest, refused = matrix("Kubernetes")
    wanted = read(ROOT / "charts/tcf-operator/Chart.yaml")["kubeVersion"]
    assert wanted == f">={oldest.split()[0]}.0-0"
    assert matrix("Kubernetes")[refused] == "no"


def test_the_tested_helm_is_that_of_the_tests() -> None:
    required = re.search(r"helm\.sh/helm/v4 v(\d+\.\d+)\.", (ROOT / "hack/gotools/helm/go.mod").read_text())
    assert required
    assert [version for version, word in matrix("Helm").items() if word == "tested"] == [required[1]]
