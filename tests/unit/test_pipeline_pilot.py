"""`distill pilot`: the sample's recipe, and what its figures say of the full run."""

from pathlib import Path
from typing import Any

import pytest

from distill import pilot
from distill.artifacts import RunFolder
from distill.config import PriceSettings, Recipe
from distill.progress import ProgressView
from distill.records import Usage
from distill.stages.money import money
from distill.stages.summary import _headlines


def recipe(**changed: Any) -> Recipe:
    problems, chains = {"count": 1000, "heldout": 100}, {"heldout_per_problem": 8}
    return Recipe.model_validate({"name": "r", "problems": problems, "chains": chains, **changed})


@pytest.mark.parametrize(("budget", "share"), [(0, 0), (1_000_000, 20_000), (7, 1)])
def test_the_sample_has_its_share_of_the_budget(
    budget: int, share: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole budget would never bind in the sample, and the estimate would lie above it."""
    ran = []

    def execute(small: Recipe, *_: object, **__: object) -> RunFolder:
        ran.append(small)
        return sampled(tmp_path)

    monkeypatch.setattr(pilot, "execute", execute)
    pilot.pilot(recipe(labelling={"budget_tokens": budget}), 20, ProgressView())
    assert [(small.labelling.budget_tokens, small.problems.count) for small in ran] == [(share, 20)]


def test_no_more_is_tried_than_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(pilot, "execute", lambda small, *_, **__: ran.append(small) or sampled(tmp_path))
    pilot.pilot(recipe(problems={"count": 8}), 24, ProgressView())
    assert ran[0].problems.count == 8


def test_figures_are_of_the_problems_that_there_were(tmp_path: Path) -> None:
    """A file of chains for 20 problems, of which 24 were asked for."""
    price = PriceSettings(per_hour=1.0)
    monthly = recipe(problems={"count": 100, "heldout": 0}, price=price.model_dump())
    found = pilot.estimate(monthly, sampled(tmp_path))
    assert found["full_tokens"] == 12_000 * 5
    assert "at most" in str(list(pilot._table(monthly, found).columns[0].cells)[-1])


def sampled(place: Path) -> RunFolder:
    """Statistics of 20 problems with 40 chains in 10 seconds."""
    tokens = {"generated_tokens": 4000, "prompt_tokens": 800, "cached_tokens": 400}
    chains = tokens | {"seconds": 4.0, "in": 20, "out": 40, "outcomes": {"correct": 10, "incorrect": 30}}
    evidence = {key: 2 * value for key, value in tokens.items()} | {"seconds": 6.0}
    labels = {"out": 40, "outcomes": {"good": 60, "bad": 20}}
    folder = RunFolder.writer(place)
    for stage, stats in (("chains", chains), ("evidence", evidence), ("labels", labels)):
        folder.commit_stage(stage, "f", stats)
    return folder


def test_every_kind_of_token_counts_the_same_problems(tmp_path: Path) -> None:
    found = pilot.estimate(recipe(), sampled(tmp_path))
    heldout = 100 * 8 / 40  # times the chains of the sample
    assert found["full_tokens"] == 12_000 * 50 + 4000 * heldout
    assert found["full_prompt_tokens"] == 2400 * 50 + 800 * heldout
    assert found["full_cached_tokens"] == 1200 * 50 + 400 * heldout
    assert found["full_seconds"] == pytest.approx(found["full_tokens"] / 1200)
    assert (found["pass_rate"], found["steps_per_chain"], found["tokens_per_chain"]) == (0.25, 2, 100)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ({}, 0.0),
        ({"per_million_generated_tokens": 0.6}, 1.8),
        ({"per_million_prompt_tokens": 0.2}, 1.0),
        ({"per_million_prompt_tokens": 0.2, "per_million_cached_tokens": 0.1}, 0.6),
        ({"per_million_prompt_tokens": 0.2, "per_million_cached_tokens": 0.0}, 0.2),
        ({"per_hour": 20.0}, 30.0),
        ({"per_million_generated_tokens": 0.6, "per_million_prompt_tokens": 0.2, "per_hour": 20.0}, 32.8),
    ],
)
def test_money(price: dict[str, float], expected: float) -> None:
    """Five million prompt tokens, four of them cached, three million generated, an hour and a half."""
    usage = Usage(prompt_tokens=5_000_000, cached_tokens=4_000_000, generated_tokens=3_000_000)
    assert money(PriceSettings(**price), usage, 5400.0) == pytest.approx(expected)


def test_the_pilot_and_the_end_table_tell_the_money(tmp_path: Path) -> None:
    price = PriceSettings(per_million_generated_tokens=1000.0, per_hour=3600.0)
    figures = pilot.estimate(recipe(), sampled(tmp_path))
    tokens, seconds = 12_000 * 50 + 4000 * 20, (12_000 * 50 + 4000 * 20) / 1200
    assert pilot._full_money(price, figures) == pytest.approx(tokens / 1000 + seconds)
    told = {"teacher_tokens": 1, "wall_seconds": 2.0, "peak_rss_gib": 0.5}
    assert ("money, by `price`", "1,234.50") in _headlines(told | {"money": 1234.5})
    assert "money, by `price`" not in dict(_headlines(told))
