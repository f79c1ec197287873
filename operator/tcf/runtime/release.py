"""The version of the programs.

It is written here because looking it up in the installed package takes 0.7 MiB of memory in every worker.
`hack/version.py` keeps it equal to the one in pyproject.toml.
"""

from __future__ import annotations

VERSION = "0.2.0"
