"""What tcf-kubeconfig, the old name of `kubectl tcf kubeconfig`, says when it has nothing to print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MODULE = "tcf.ctl.kubeconfig"


def call(kubectl: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", MODULE, "account", "--secret", "--kubectl", str(kubectl)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_without_kubectl_it_says_what_to_install(tmp_path: Path) -> None:
    done = call(tmp_path / "kubectl")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"there is no program {tmp_path / 'kubectl'}: install kubectl" in done.stderr
    assert "tcf-kubeconfig is deprecated: use kubectl tcf kubeconfig" in done.stderr


def test_a_secret_that_has_no_token_yet_is_no_kubeconfig(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\ncase "$*" in *view*) echo \'{"clusters": [{"cluster": {}}]}\';; esac\n')
    kubectl.chmod(0o755)
    done = call(kubectl)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no token yet" in done.stderr
