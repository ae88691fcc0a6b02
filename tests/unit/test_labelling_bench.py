"""The labelling benchmark on small banks: no rollout counts twice, and the whole script runs on few."""

import gzip
import json
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
from labelling_simulator import make_chain, make_settings

from distill.labelling.known import node_test
from distill.labelling.protocol import RolloutRequest
from distill.labelling.trials import NodeTest
from distill.records import Chain, Outcome, Problem, StepStatus

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
    with pytest.raises(
        bench.labelling_banks.BankSpentError, match=r"3 to 5 of one prefix .* 4 were recorded"
    ):
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
    assert {*figures["claims"][0]} == {"claim", "tokens", "own chains", "both label", "all chains"}
    assert (tmp_path / "labelling-people.svg").stat().st_size > 1000


def replayed(bench: ModuleType, named: str, truth: str) -> object:
    """A method's finds, one digit a chain ("." undetermined, "-" no error), problems parted by spaces."""
    Found = bench.labelling_replay.Found
    number = {"-": -1, ".": None}
    places = [
        [(number.get(a, a), number.get(b, b)) for a, b in zip(n, t, strict=True)]
        for n, t in zip(named.split(), truth.split(), strict=True)
    ]
    found = tuple(
        tuple(Found(None if a is None else int(a), int(b), -1, 9, 9, 1.0, 0, False) for a, b in chains)
        for chains in places
    )
    return bench.Replayed(found, {})


def test_accuracies_are_compared_by_three_definitions(bench: ModuleType) -> None:
    """Ours labels few, all right; theirs labels all, half of them right."""
    truth = "0- 1- 2- 3-"
    ours, theirs = replayed(bench, "0. 1. .. .-", truth), replayed(bench, "0- 2- 2- 0.", truth)
    found = bench.labelling_claims.difference(ours, theirs)
    values = {name: (figures["value"], figures["n"]) for name, figures in found.items()}
    assert values["own chains"] == (pytest.approx(100 * (1 - 5 / 7)), [3, 7])
    assert values["both label"] == (50.0, [2, 2])
    assert values["all chains"] == (100 * (3 / 8 - 5 / 8), [8, 8])
    for figures in found.values():
        assert figures["low"] <= figures["value"] <= figures["high"]
    wrong = bench.labelling_claims.difference(ours, theirs, wrong_only=True)
    assert [figures["n"] for figures in wrong.values()] == [[2, 4], [2, 2], [4, 4]]
    nothing = bench.labelling_claims.difference(replayed(bench, ".", "0"), replayed(bench, "0", "0"))
    assert nothing["both label"]["value"] is None


def test_intervals_are_drawn_by_problem(bench: ModuleType) -> None:
    """Four chains of a problem that go together are one piece of evidence, not four."""
    one = replayed(bench, "0 1 0 1", "0 0 0 0"), replayed(bench, "1 1 1 1", "0 0 0 0")
    four = replayed(bench, "0000 1111 0000 1111", "0000 " * 4), replayed(bench, "1111 " * 4, "0000 " * 4)
    assert (
        bench.labelling_claims.difference(*one)["all chains"]["low"]
        == (bench.labelling_claims.difference(*four)["all chains"]["low"])
    )
    same = replayed(bench, "0 1 -", "0 0 0")
    for figures in bench.labelling_claims.difference(same, same).values():
        assert (figures["value"], figures["low"], figures["high"]) == (0, 0, 0)


@pytest.mark.parametrize("repair", [0.0, 0.01, 0.05, 0.1, 0.3])
def test_the_sequential_test_keeps_its_promises_exactly(bench: ModuleType, repair: float) -> None:
    """At the two rates of the promise, where errors are greatest, and beyond them; no sampling."""
    from labelling_promises import exact_error

    for smallest in (0.8, 0.9):
        asked = make_settings(adaptive={"repair": repair, "smallest": smallest}).adaptive
        for rate in (0.05, 0.1, 0.3, 0.98):
            test = node_test(asked, rate, 8)
            good = [exact_error(test, p, StepStatus.BAD) for p in (test.high, rate, (1 + rate) / 2)]
            bad = [exact_error(test, p, StepStatus.GOOD) for p in (test.low, test.low / 2)]
            assert test.false_negative >= good[0] >= good[1] >= good[2]
            assert test.false_positive >= bad[0] >= bad[1]


def test_exact_error_rates_are_those_of_a_case_done_by_hand(bench: ModuleType) -> None:
    """Any success is good, three failures in a row are bad: ln 2 each against ln 0.2."""
    from labelling_promises import exact_error

    test = NodeTest(0.0, 0.5, 0.1, 0.2)
    assert exact_error(test, 0.5, StepStatus.BAD) == 0.125
    assert exact_error(test, 0.1, StepStatus.GOOD) == pytest.approx(1 - 0.9**3)


def test_a_batch_does_not_pass_the_most_that_a_node_may_take(bench: ModuleType) -> None:
    chain = make_chain(3, Outcome.INCORRECT)
    rollouts = {chain.steps[:n]: ((Outcome.CORRECT, 1), (Outcome.INCORRECT, 1)) * 3 for n in range(4)}
    item = bench.labelling_banks.Item(Problem("p", "q", "r"), (chain,), (1,), ((),), rollouts)
    settings = make_settings(adaptive={"most": 6, "batch": 4, "false_negative": 0.01, "repair": 0.3})
    assert bench.labelling_replay.search(settings, item).asked


def test_unshared_searches_pay_for_a_shared_prefix_once_a_chain(bench: ModuleType) -> None:
    """Two wrong chains that part after their first step, and a right one: same labels, more rollouts."""
    wrong = [make_chain(0, Outcome.INCORRECT, name, ["a", f"{name} 1", f"{name} 2"]) for name in "xy"]
    chains = (*wrong, make_chain(0, Outcome.CORRECT, "solved", ["b"]))
    prefixes = {chain.steps[:n] for chain in chains for n in range(len(chain.steps) + 1)}
    outcome = {p: Outcome.CORRECT if p in {(), ("a",), ("b",)} else Outcome.INCORRECT for p in prefixes}
    rollouts = {p: ((outcome[p], 1),) * 24 for p in prefixes}
    item = bench.labelling_banks.Item(Problem("p", "q", "r"), chains, (1, 1, -1), ((),) * 3, rollouts)
    shared = bench.labelling_replay.run(make_settings(), [item])
    unshared = bench.labelling_replay.run_unshared(make_settings(), [item])
    named = [[found.named for found in tried.found[0]] for tried in (shared, unshared)]
    assert named == [[1, 1, -1]] * 2
    again = len({r.first for r in bench.labelling_replay.search(make_settings(), item).asked if r.step == 0})
    assert again > 0
    assert 3 * (unshared.tokens - shared.tokens) == pytest.approx(again)


def test_a_rollout_that_became_a_chain_counts_once(bench: ModuleType) -> None:
    """The trials of its prefix stay what they were, whether asked as rollouts or as siblings' answers, and
    so do those of the prefixes before, where it was not drawn."""
    import labelling_reuse
    import labelling_teacher

    settings = make_settings(step_checks=False)
    became = 0
    for number in range(30):
        source = labelling_teacher.simulate(labelling_teacher.World(steps=(4, 8)), number)
        found = labelling_reuse.known(labelling_reuse.make_case(settings, source.chains, source.checks))
        labelling_reuse._search(settings, found, source)
        made = list(labelling_reuse._new_chains(settings, found, number, False))
        chains = (*source.chains, *(chain for chain, _, _ in made))
        again = labelling_reuse.known(labelling_reuse.Case(chains, ((),) * len(chains)))
        labelling_reuse._carry_over(found, again, [node for _, _, node in made])
        for path, wider in zip(found.paths, again.paths, strict=False):
            before = [found.rollouts[node] + found.outcomes[node] for node in path]
            assert before == [again.rollouts[node] + again.outcomes[node] for node in wider]
        became += len(made)
    assert became > 10


def test_reused_chains_begin_with_a_prefix_that_was_found_good(bench: ModuleType) -> None:
    import labelling_reuse
    import labelling_teacher

    settings, world = make_settings(step_checks=False), labelling_teacher.World(steps=(4, 8))
    for number in range(30):
        source = labelling_teacher.simulate(world, number)
        found = labelling_reuse.known(labelling_reuse.make_case(settings, source.chains, source.checks))
        labelling_reuse._search(settings, found, source)
        for chain, truth, node in labelling_reuse._new_chains(settings, found, number, False):
            c, length = next((c, p.index(node)) for c, p in enumerate(found.paths) if node in p)
            assert chain.steps[:length] == source.chains[c].steps[:length]
            assert (truth < 0) == (chain.outcome == Outcome.CORRECT)
            assert truth < 0 or truth >= length


def test_verifiers_of_several_seeds_are_shown_by_mean_and_each(bench: ModuleType) -> None:
    import labelling_verifier

    share = {"value": 0.9, "low": 0.8, "high": 0.95}
    one, two = ({"f1": {"value": v, "low": v - 0.1, "high": v + 0.1}} for v in (0.8, 0.9))
    found = {"labels_right": share, "coverage": share, "rollout_tokens": 1234}
    alone = labelling_verifier.row("m", found | {"trained": [{"verifier": one, "hybrid": two}]})
    assert alone == "| m | 90.0 | 90.0 | 1,234 | 1 | 80.0 [70.0, 90.0] | 90.0 [80.0, 100.0] |"
    trained = [{"verifier": one, "hybrid": two}, {"verifier": two, "hybrid": two}]
    assert "| 2 | 85.0 (80.0, 90.0) | 90.0 (90.0, 90.0) |" in labelling_verifier.row(
        "m", found | {"trained": trained}
    )


def test_gaps_to_exact_truth_are_of_each_set_s_mean(bench: ModuleType) -> None:
    import labelling_verifier

    def trained(*values):
        both = [{kind: {"f1": {"value": value}} for kind in ("verifier", "hybrid")} for value in values]
        return {"trained": both}

    first = {labelling_verifier.TRUTH: trained(0.9, 0.8), "m": trained(0.8)}
    second = {labelling_verifier.TRUTH: trained(0.9), "m": trained(0.8, 0.9)}
    lines = labelling_verifier.gap_lines({1: second, 0: first, 2: {"m": trained(0.1)}}, "m")
    said = "m behind exact truth: set 0: 5.0, set 1: 5.0; mean 5.0, standard error 0.0"
    assert lines == [f"verifier, {said}", f"hybrid, {said}"]
    assert labelling_verifier.gap_lines({0: {"m": trained(0.1)}}, "m")[0].endswith("not measured")


def test_sets_of_chains_are_kept_apart_by_seed_and_size(bench: ModuleType) -> None:
    import labelling_verifier

    sets = [labelling_verifier.ChainSet(*given) for given in ((0,), (2,), (0, 3300), (2, 3300))]
    runs = ["bench-labels", "bench-labels-2", "bench-labels-3300problems", "bench-labels-2-3300problems"]
    assert [one.run for one in sets] == runs
    assert [one.result for one in sets][::3] == ["labelling_verifier", "labelling_verifier_2_3300problems"]
