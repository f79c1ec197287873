"""The version of the programs."""

from __future__ import annotations

import importlib.metadata

VERSION = importlib.metadata.version("tcf-operator")
