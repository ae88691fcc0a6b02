"""Where every benchmark leaves its figures: a JSON file beside a printed table, with what made them."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distill.stages.evaluation import hardware

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "ray", "sympy", "math-verify")


def record(name: str, command: str, figures: dict[str, Any]) -> Path:
    """Write `results/NAME.json` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    made_by = {"command": command, "hardware": hardware(), "versions": {k: version(k) for k in LIBRARIES}}
    path.write_text(json.dumps(made_by | {"figures": figures}, indent=1) + "\n", encoding="utf-8")
    return path
