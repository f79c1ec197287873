"""The OpenAPI description of the HTTP API, and a check of running programs against it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rig.files import ROOT
from rig.tcf_processes import TcfProcess, environment

Json = dict[str, Any]

DESCRIPTION = ROOT / "docs/reference/openapi.yaml"
METHODS = {"get", "head", "options", "post", "put", "delete"}
_RULES = ROOT / "tests/support/openapi_rules.py"
_CONFIG = """\
request-timeout = 90
continue-on-failure = true
suppress-health-check = ["all"]
cache.enabled = false

[generation]  # the same requests in each run
deterministic = true
max-examples = 10
no-shrink = true
database = "none"
allow-extra-parameters = false  # a GET ignores them, and others refuse them

[phases]  # requests that do not depend on earlier answers
stateful.enabled = false
examples.extra-data-sources.responses = false
coverage.extra-data-sources.responses = false
fuzzing.extra-data-sources.responses = false
fuzzing.error-feedback.enabled = false

[checks]
ignored_auth.enabled = {guarded}
use_after_free.enabled = false  # releasing a hold twice is fine
ensure_resource_availability.enabled = false
not_a_server_error.expected-statuses = {answers}
positive_data_acceptance.expected-statuses = {accepted}
negative_data_rejection.expected-statuses = ["400", "404", "405", "413", "431"]

[[operations]]  # these depend on the term
include-path = ["/tcf/status", "/tcf/clusters", "/tcf/toggle", "/tcf/promote", "/tcf/demote"]
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "500"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "500"]

[[operations]]  # the client may choose any status for "not active"
include-path = "/tcf/is_active"
checks.not_a_server_error.enabled = false
checks.positive_data_acceptance.enabled = false
"""


def description() -> Json:
    """The document."""
    document: Json = yaml.safe_load(DESCRIPTION.read_text())
    return document


@dataclass(frozen=True)
class Expected:
    """Which statuses programs may answer with, beyond what the description says.

    Attributes:
        accepted: to a request that is correct.
        guarded: nobody is let in without credentials.
    """

    accepted: tuple[str, ...] = ("2xx", "418")
    guarded: bool = False


def check(program: TcfProcess, folder: Path, *options: str, expected: Expected = Expected()) -> None:
    """Have schemathesis compare a running program with the description. `options`: its own."""
    document = description()
    if expected.guarded:
        document["security"].remove({})
    described, config = folder / "openapi.json", folder / "schemathesis.toml"
    described.write_text(json.dumps(document))
    config.write_text(
        _CONFIG.format(
            guarded=json.dumps(expected.guarded),
            answers=json.dumps(["2xx", "4xx", *({"500"} & set(expected.accepted))]),
            accepted=json.dumps(expected.accepted),
        )
    )
    schemathesis = Path(sys.executable).with_name("schemathesis")
    command = [str(schemathesis), "--config-file", str(config), "run", str(described), "--no-color"]
    command += ["--url", f"http://127.0.0.1:{program.port}", *options]
    command += ["--exclude-operation-id", "getEvents"]  # a stream, for whose end it would wait
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() | {"SCHEMATHESIS_HOOKS": str(_RULES), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
