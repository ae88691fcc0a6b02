"""One finished run of the whole pipeline, shared by all integration tests; nobody may change it."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pipeline_runs import WORLD, Ran, distill

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from tiny_model import make_tiny_model


@dataclass(frozen=True)
class Finished:
    """The run's folder, the command's output, and the place with recipe and model."""

    place: Path
    folder: Path
    ran: Ran

    def copy(self, runs: Path, *without: str) -> Path:
        """A copy of the run folder below `runs`, without some of its stages."""
        target = runs / self.folder.name
        shutil.copytree(self.folder, target, ignore=lambda at, names: {*without} & {*names})
        return target


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `recipe.yaml` and `base`, a tiny causal model; commands run in it."""
    place = tmp_path_factory.mktemp("place with ünicode")
    make_tiny_model(place / "base", hidden=64)
    (place / "recipe.yaml").write_text(WORLD, encoding="utf-8")
    return place


@pytest.fixture(scope="session")
def finished(place: Path) -> Finished:
    """`distill run recipe.yaml`, from nothing to the report, undisturbed."""
    ran = distill("run", "recipe.yaml", cwd=place)
    assert ran.code == 0, ran.text
    return Finished(place, place / "runs" / "world", ran)
