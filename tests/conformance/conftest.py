"""Which backends run: those that need no engine of their own, or those that CONFORMANCE names
(comma-separated; `make test-vllm` names `vllm` and `vllm-serve`). MODEL is a folder in place of the
shipped teacher."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from backends import BACKENDS, Backend
from straddler import make_straddler

NAMES = os.environ.get("CONFORMANCE", "scripted,transformers,openai").split(",")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Model folders by name: the teacher, and the one whose tokens straddle."""
    straddler = make_straddler(tmp_path_factory.mktemp("straddler"))
    return {"teacher": os.environ.get("MODEL") or "builtin:arith-teacher", "straddler": str(straddler)}


@pytest.fixture(scope="session", params=NAMES)
def backend(request: pytest.FixtureRequest, models: dict[str, str]) -> Iterator[Backend]:
    """One backend at a time; its engines end before the next one's start."""
    made = BACKENDS[request.param](models)
    with made.stack:
        yield made
