"""Tests of the real engine: `make test-vllm` runs them in an environment that has vLLM. Elsewhere they are
not collected."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("conformance", "unit")]
collect_ignore_glob = [] if importlib.util.find_spec("vllm") else ["test_*.py"]


@pytest.fixture(scope="session")
def teacher() -> str:
    """The shipped teacher, or the folder that MODEL names."""
    return os.environ.get("MODEL") or "builtin:arith-teacher"
