"""The programs for the documentation: what they take for prose, links and anchors, and what they write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docs.__main__ import outdated
from docs.checks import broken_links, crowded_lines, left_out
from docs.markdown import anchors, links, sentences, written
from docs.pages import ROOT
from docs.site import adapted, stage

from docs import crd_reference, values_reference


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a README and one page."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.md").write_text("# Page\n\n## A part of it\n")
    (tmp_path / "README.md").write_text("# Project\n\n[a part](docs/page.md#a-part-of-it)\n")
    (tmp_path / "mkdocs.yml").write_text("nav: [README.md, docs/page.md]\n")
    return tmp_path


def test_the_references_are_current() -> None:
    assert list(outdated(ROOT)) == []


def test_no_link_is_broken() -> None:
    assert list(broken_links(ROOT)) == []


def test_every_page_is_in_the_navigation() -> None:
    assert list(left_out(ROOT)) == []


@pytest.mark.parametrize(
    ("link", "trouble"),
    [
        ("docs/page.md", ""),
        ("docs/page.md#a-part-of-it", ""),
        ("#project", ""),
        ("docs", ""),
        ("https://example.org/nowhere", ""),
        ("docs/none.md", "there is no such file"),
        ("docs/page.md#none", "there is no such heading"),
        ("#none", "there is no such heading"),
        ("mkdocs.yml#none", "there is no such heading"),
        ("/docs/page.md", "begin with the folder or the file, not with /"),
        ("../elsewhere.md", "this leads out of the project"),
    ],
)
def test_links(project: Path, link: str, trouble: str) -> None:
    (project / "README.md").write_text(f"# Project\n\nSee [there]({link}).\n")
    expected = [f"README.md:3: {link}: {trouble}"] if trouble else []
    assert list(broken_links(project)) == expected


def test_links_in_code_and_comments_are_none() -> None:
    page = "`[a](b)`\n\n```\n[c](d)\n```\n\n<!-- [e](f)\n[g](h) -->\n[i](j) and [k\nk](<l>)\n\n[m]: n\n"
    assert list(links(page)) == [(9, "j"), (9, "l"), (12, "n")]


def test_a_fence_ends_with_its_own_mark() -> None:
    page = "````\n```\n[a](b)\n```\n````\n[c](d)\n"
    assert list(links(page)) == [(6, "d")]


def test_anchors() -> None:
    page = (
        "# `X-TCF-Term`, and more\n\n## [Part](a.md) 1\n\n## Part 1\n\n<a id=own></a>\n<a id='named'></a>\n"
    )
    assert anchors(page) == {"x-tcf-term-and-more", "part-1", "part-1-1", "named"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("One! *Two* of them?  (Three.)", ["One!", "*Two* of them?", "(Three.)"]),
        ('He says "yes." Then no.', ['He says "yes."', "Then no."]),
        ("Kubernetes 1.30 or newer, e.g. Kubernetes 1.37, i.e. The latest.", None),
        ("`One. Two.` is code.", None),
        ("See values.yaml. kubectl is no beginning.", None),
        ("Wait ... Then go", None),
        ("D. Knuth", None),
    ],
)
def test_sentences(text: str, expected: list[str] | None) -> None:
    assert sentences(text) == (expected or [text])


@pytest.mark.parametrize(
    "line",
    [
        "1. One.",
        "- One.",
        "> - One.",
        "**Why.** One.",
        "- [ ] **Why.** One.",
        "**8. One that goes on",
        "| One. Two. |",
        "# One. Two",
        "    ",
    ],
)
def test_lines_with_one_sentence(project: Path, line: str) -> None:
    (project / "README.md").write_text(f"{line}\n")
    assert list(crowded_lines(project)) == []


def test_lines_with_two_sentences(project: Path) -> None:
    (project / "README.md").write_text("```\nOne. Two.\n```\n- One. Two.\n")
    for form in ("docs/results/run.md", ".github/template.md"):
        (project / form).parent.mkdir()
        (project / form).write_text("One. Two.\n")
    assert list(crowded_lines(project)) == ["README.md:4: begin a new line before: Two."]


def test_pages_that_the_site_lacks(project: Path) -> None:
    (project / "docs/more.md").write_text("# More\n")
    assert list(left_out(project)) == ["docs/more.md: add it to nav in mkdocs.yml"]


def test_prose_is_wrapped_by_sentences() -> None:
    long = " ".join(["word"] * 30)
    first, second, third = written(f"One.\n  Two {long}").splitlines()
    assert (first, f"{second} {third}") == ("One.", f"Two {long}")
    assert len(second) <= 120


SPEC: dict[str, Any] = {
    "type": "object",
    "description": "What it is. And more.",
    "required": ["size"],
    "x-kubernetes-validations": [
        {"rule": "self.size\n> 1", "messageExpression": "'write %d,\nor more'.format([1])"}
    ],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 3000, "description": "How large | small."},
        "kind": {"type": "string", "enum": ["A", "B", "C"], "default": "A", "description": "Which."},
        "items": {
            "type": "array",
            "maxItems": 4,
            "description": "Its parts.",
            "items": {
                "type": "object",
                "description": "A part.",
                "properties": {
                    "name": {
                        "type": "string",
                        "minLength": 1,
                        "pattern": "^a$",
                        "description": "Its name.",
                        "x-kubernetes-validations": [{"rule": "true", "message": "write a name"}],
                    }
                },
            },
        },
    },
}
CRD = {
    "spec": {
        "group": "example.org",
        "names": {"kind": "Thing", "shortNames": ["th"]},
        "versions": [
            {
                "name": "v1",
                "additionalPrinterColumns": [{"name": "Size", "description": "How large.", "priority": 1}],
                "schema": {"openAPIV3Schema": {"description": "A thing.", "properties": {"spec": SPEC}}},
            }
        ],
    }
}


def test_fields_of_a_resource() -> None:
    page = crd_reference.reference(CRD)
    for expected in (
        "`Thing` (example.org/v1)",
        "| Size | with `--output wide` | How large. |",
        "## spec\n\nWhat it is.\nAnd more.\n",
        "| `size` | integer | required | 1 to 3,000 | How large &#124; small. |",
        "| `kind` | string | `A` | `A`, `B` or `C` | Which. |",
        "| `items` | list of objects |  | at most 4 items | Its parts. |",
        "Rules for `spec`:\n\n- Refused with *write ..., or more*, unless:\n",
        "\n\n  ```\n  self.size > 1\n  ```\n",
        "## spec.items[]\n\nIts parts.\n\nA part.\n",
        "| `name` | string |  | at least 1 characters, `^a$` | Its name. |",
        "Rules for `spec.items[].name`:\n\n- Refused with *write a name*, unless:\n",
    ):
        assert expected in page


VALUES = """\
# About the file, not about a value.

# What it
# is called.
name: ""
parts:
  # How many. For example:
  #   count: 3
  count: 2
  kind: plain # not this
  limits:
    cpu: 1
# No group: the schema does not say what is in it.
labels: {}
list: [a, b]
"""


def test_values_of_a_chart() -> None:
    schema = {
        "properties": {
            "name": {"$ref": "#/definitions/name"},
            "parts": {
                "type": "object",
                "properties": {
                    "count": {"type": "integer", "minimum": 0, "maximum": 5000},
                    "kind": {"enum": ["plain", "round"]},
                    "limits": {"type": "object"},
                },
            },
            "labels": {"type": "object"},
            "list": {"type": "array", "items": {"$ref": "#/definitions/name"}},
        },
        "definitions": {"name": {"type": "string"}},
    }
    page = values_reference.reference(VALUES, schema)
    for expected in (
        '| `name` | string | `""` | What it is called. |',
        "| `parts.count` | integer, 0 to 5000 | `2` | How many. |",
        "| `parts.kind` | `plain` or `round` | `plain` |  |",
        "| `parts.limits` | object | `{cpu: 1}` |  |",
        "| `labels` | object | `{}` | No group: the schema does not say what is in it. |",
        "| `list` | list of strings | `[a, b]` |  |",
        "An example for `parts.count`:\n\n```yaml\ncount: 3\n```",
    ):
        assert expected in page
    assert "About the file" not in page
    assert "limits.cpu" not in page


LISTS = """\
Text:
1. one
   goes on

   ```sh
   - code
     more
   ```
   - two
     - three

Text [to](folder).
"""
INDENTED = """\
Text:

1. one
    goes on

    ```sh
    - code
      more
    ```
    - two
        - three

Text to.
"""


def test_lists_are_indented_for_the_site(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert adapted(LISTS, tmp_path) == INDENTED


def test_the_site_has_what_pages_link_to(project: Path, tmp_path: Path) -> None:
    (project / "OTHER.md").write_text("# Other\n\n[data](data.yaml)\n")
    (project / "data.yaml").write_text("a: 1\n")
    (project / "unused.yaml").write_text("a: 1\n")
    (project / "README.md").write_text("# Project\n\n[other](OTHER.md) [web](https://example.org/x)\n")
    folder = tmp_path / "staged"
    stage(project, folder)
    stage(project, folder)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"README.md", "OTHER.md", "data.yaml", "docs/page.md"}
