"""The wheel carries what an installed package needs: code, recipes, the report's assets, weights."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("pyproject.toml", "README.md", "distill", "generators", "checkers", "recipes")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the source by the build backend alone: no network, nothing left behind."""
    pytest.importorskip("hatchling")
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, source / part)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(source / "dist")]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    return next((source / "dist").glob("prm_distill-*.whl"))


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for package in ("distill", "generators", "checkers")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not wanted - names
    assert {name for name in names if name.startswith("generators/weights/")} >= {
        "generators/weights/__init__.py"
    }
    assert any(name.startswith("distill/report/assets/") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_recipes_travel_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"distill/_recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")} <= names


def test_an_installed_package_finds_its_recipes(wheel: Path, tmp_path: Path) -> None:
    """Unpacked, not installed: the import path ends before the source tree."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import distill, distill.cli; "
        "assert distill.__file__.startswith(sys.argv[1]), distill.__file__; "
        "sys.argv[1:] = ['validate', 'quickstart']; distill.cli.main()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "site")]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("name: quickstart")
