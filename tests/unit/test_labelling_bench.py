"""The labelling benchmark on small banks: no rollout counts twice, and the whole script runs on few."""

import gzip
import json
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
from labelling_simulator import make_chain, make_settings

from distill.labelling.protocol import RolloutRequest
from distill.records import Chain, Outcome, Problem

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """`benchmarks/labelling.py`, reading and writing below `tmp_path`."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import labelling
    import labelling_banks
    import record

    monkeypatch.setattr(labelling_banks, "DATA", tmp_path)
    for module in (labelling, record):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return labelling


def bank_row(number: int, rollouts: int, rng: random.Random) -> dict[str, object]:
    """A packed problem with one chain, whose first error "people" marked; the completer repairs 10%."""
    n, rate = rng.randint(1, 9), rng.random()
    error = -1 if rng.random() < rate else rng.randrange(n)
    marks = []
    for node in range(n + 1):
        p = rate if error < 0 or node <= error else 0.1
        marks.append("".join(rng.choices("+-?", [p, 0.9 - 0.9 * p, 0.1], k=rollouts)))
    chain = {
        "id": f"c{number}",
        "steps": [f"Step {i} of {number}" for i in range(n)],
        "outcome": "+" if error < 0 else "-",
        "tokens": 0,
        "checks": "".join(rng.choice("+??") for _ in range(n)),
        "truth": error if number % 20 else None,
    }
    return {
        "id": f"p{number}",
        "question": "How many?",
        "reference": "1",
        "chains": [chain],
        "rollouts": [{"outcomes": m, "tokens": [30] * rollouts} for m in marks],
    }


def write_bank(place: Path, rollouts: int, problems: int = 60) -> None:
    rng = random.Random(rollouts)
    lines = (json.dumps(bank_row(number, rollouts, rng)) + "\n" for number in range(problems))
    place.write_bytes(gzip.compress("".join(lines).encode()))


def test_a_bank_gives_no_rollout_twice(bench: ModuleType) -> None:
    chain: Chain = make_chain(1, Outcome.INCORRECT)
    rollouts = {(): ((Outcome.CORRECT, 5),) * 3, chain.steps: ((Outcome.INCORRECT, 7),) * 4}
    item = bench.labelling_banks.Item(Problem("p", "q", "r"), (chain,), (0,), ((),), rollouts)
    assert bench.labelling_banks.least([item]) == 3
    assert item.answer(RolloutRequest(chain, 0, 2, "", 2)).tokens == (7, 7)
    with pytest.raises(bench.labelling_banks.BankSpentError, match="3 to 5 of one prefix .* 4 were recorded"):
        item.answer(RolloutRequest(chain, 0, 3, "", 2))


@pytest.mark.parametrize("rollouts", [8, 5])
def test_the_whole_script_runs_on_a_small_bank_and_says_what_it_left_out(
    bench: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rollouts: int,
) -> None:
    write_bank(tmp_path / "bank-people.jsonl.gz", rollouts)
    monkeypatch.setattr(sys, "argv", ["labelling.py", "--bank", "people"])
    bench.main()
    text = capsys.readouterr().out
    figures = json.loads((tmp_path / "labelling-people.json").read_text())["figures"]
    kept = [f["rollouts"] for f in figures["without_checks"]["math_shepherd"]]
    assert kept == [k for k in (1, 2, 4, 8, 16) if k <= rollouts]
    assert "omegaprm K=16" in figures["left_out"]
    assert ("K=8 at each node, no sequential test" in figures["left_out"]) == (rollouts < 8)
    assert len(figures["without_checks"]["adaptive"]) == 6
    assert (figures["adaptive_most"], figures["truth"], figures["chains_with_truth"]) == (
        rollouts,
        "people",
        57,
    )
    assert f"`adaptive` gives a prefix up after {rollouts} rollouts, not 24" in text
    assert "Left out, more than was recorded: math_shepherd K=16" in text.replace("math_shepherd K=8, ", "")
    assert f"1/12 of math_shepherd K={min(8, kept[-1])}'s tokens" in text
    assert (tmp_path / "labelling-people.svg").stat().st_size > 1000


def test_a_batch_does_not_pass_the_most_that_a_node_may_take(bench: ModuleType) -> None:
    chain = make_chain(3, Outcome.INCORRECT)
    rollouts = {chain.steps[:n]: ((Outcome.CORRECT, 1), (Outcome.INCORRECT, 1)) * 3 for n in range(4)}
    item = bench.labelling_banks.Item(Problem("p", "q", "r"), (chain,), (1,), ((),), rollouts)
    settings = make_settings(adaptive={"most": 6, "batch": 4, "false_negative": 0.01, "repair": 0.3})
    assert bench.labelling_replay.replay(settings, item)[1]
