"""Finished rollouts as further chains to label: worth more for a teacher token than fresh chains?

    python benchmarks/labelling_reuse.py [--problems 200]

On the simulated teacher (`labelling_teacher.py`; the recorded banks keep outcomes of rollouts, not their
text). A rollout from a prefix that `adaptive` found good becomes a chain: that prefix, then the rollout's
own steps. A right one is a right chain; a wrong one goes wrong at a step drawn evenly from its own. It costs
no chain tokens; what is known of its prefix holds for it, and only its own steps are searched. As a chain
its answer counts once, from its prefix on: as the answer of a sibling, no more as a rollout. For the prefixes
before that one it says nothing, as it was not drawn there. `wrong rollouts` takes those alone.

How many there would be of the shipped teacher is counted on the bank `settings`.

The same is bought by sampling fresh chains: 4 (the start), 5, 6 or 8 a problem. Tokens are those of the
chains and of the rollouts. A label of a reused chain tells less than a fresh one, for the steps of its
prefix have theirs already, so right steps are counted too: distinct prefixes whose label is right.
"""

import argparse
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import labelling_banks
import labelling_replay
from labelling_teacher import World, problems, simulate
from record import record

from distill.config import LabellingSettings
from distill.labelling.adaptive import next_round
from distill.labelling.known import Known, bounds, known
from distill.labelling.policies import make_case
from distill.labelling.protocol import Case
from distill.labelling.trials import Tally
from distill.records import Chain, Outcome

WORLDS = {
    "pass rates 0.02 to 0.98, 2 to 10 steps": World(),
    "pass rates 0.4 to 0.8, 2 to 5 steps": World(steps=(2, 5), pass_rate=(0.4, 0.8)),
    "pass rates 0.02 to 0.98, 20 to 40 steps": World(steps=(20, 40)),
}
FRESH = (4, 5, 6, 8)
Figures = dict[str, Any]


@dataclass
class Count:
    """What some problems cost and gave. Chains: labelled right in all; with an error, labelled right."""

    tokens: int = 0
    chains: int = 0
    right: int = 0
    right_wrong: int = 0
    right_steps: int = 0

    def add(self, settings: LabellingSettings, found: Known, truth: Sequence[int], tokens: int) -> None:
        """Count the labels of one problem."""
        self.tokens += tokens
        self.chains += len(truth)
        steps = set()
        for c, true in enumerate(truth):
            last_good, first_bad = bounds(settings, found, c)
            n = len(found.case.chains[c].steps)
            exact = first_bad == last_good + 1 and (true if true >= 0 else n) == first_bad
            self.right += exact
            self.right_wrong += exact and true >= 0
            end = true if true >= 0 else n
            good, bad = range(min(last_good + 1, end)), range(max(first_bad, end), n)
            steps |= {found.paths[c][i + 1] for i in (*good, *bad)}
        self.right_steps += len(steps)

    def line(self, name: str, base: "Count | None") -> Figures:
        """Figures for 1,000 tokens, of all and of what was added to `base`."""
        row: Figures = {"way": name, "chains": self.chains, "tokens": self.tokens}
        for key, said in (("right", "right labels"), ("right_wrong", "of wrong chains"),
                          ("right_steps", "right steps")):  # fmt: skip
            row[f"{said}, 1,000 tokens"] = 1000 * getattr(self, key) / self.tokens
            if base is not None:
                more = getattr(self, key) - getattr(base, key)
                row[f"{said}, 1,000 more tokens"] = 1000 * more / (self.tokens - base.tokens)
        return row


def fresh(world: World, count: int, settings: LabellingSettings) -> Count:
    """Chains sampled anew, labelled by `adaptive`."""
    total = Count()
    for source in problems(world, count):
        case = make_case(settings, source.chains, source.checks)
        found = known(case)
        spent = _search(settings, found, source)
        total.add(settings, found, source.truth, spent + _chain_tokens(source.chains))
    return total


def reused(world: World, count: int, settings: LabellingSettings, only_wrong: bool) -> Count:
    """4 chains a problem, labelled; then the rollouts from prefixes found good, as chains beside them."""
    total = Count()
    for number in range(count):
        source = simulate(world, number)
        found = known(make_case(settings, source.chains, source.checks))
        spent = _search(settings, found, source)
        made = list(_new_chains(settings, found, number, only_wrong))
        chains = (*source.chains, *(chain for chain, _, _ in made))
        truth = (*source.truth, *(true for _, true, _ in made))
        # The two stages share what was drawn: a prefix gives no rollout twice.
        wider = replace(source, chains=chains, truth=truth, checks=(*source.checks, *(() for _ in made)))
        again = known(Case(chains, (*found.case.refuted, *(() for _ in made))))
        _carry_over(found, again, [node for _, _, node in made])
        spent += _search(settings, again, wider)
        total.add(settings, again, truth, spent + _chain_tokens(source.chains))
    return total


def _search(settings: LabellingSettings, found: Known, source: labelling_replay.Source) -> int:
    tokens = 0
    while requests := next_round(settings, found):
        requests = [replace(r, first=_drawn(source, r)) for r in requests]
        results = [source.answer(request) for request in requests]
        tokens += sum(sum(result.tokens) for result in results)
        found.add(requests, results)
    return tokens


def _drawn(source: Any, request: Any) -> int:
    """Rollouts of the prefix that were drawn so far (those that became chains too)."""
    there = source.drawn.get(request.prefix)
    return len(there[2]) if there else 0


def _chain_tokens(chains: Iterable[Chain]) -> int:
    return sum(chain.generated_tokens for chain in chains)


def _new_chains(
    settings: LabellingSettings, found: Known, number: int, only_wrong: bool
) -> Iterable[tuple[Chain, int, int]]:
    """Chain, truth and node of the prefix for each rollout from a prefix that is known good. (The bare
    problem is one where it was solved: its rollouts are chains like any.)"""
    draw, seen = random.Random(f"reused {number}"), set()
    for c, chain in enumerate(found.case.chains):
        last_good, _ = bounds(settings, found, c)
        for step in range(-1, last_good + 1):
            node = found.paths[c][step + 1]
            if node in seen:
                continue
            seen.add(node)
            tally = found.rollouts[node]
            rights = [] if only_wrong else [True] * tally.successes
            for right in rights + [False] * tally.failures:
                n, tag = len(chain.steps), f"{number}.{c}.{step}.{len(seen)}.{draw.random()}"
                steps = chain.steps[: step + 1] + tuple(f"{tag}.{i}" for i in range(step + 1, n))
                true = -1 if right else draw.randrange(step + 1, n)
                outcome = Outcome.CORRECT if right else Outcome.INCORRECT
                yield Chain(tag, chain.problem_id, steps, outcome), true, node


def _carry_over(found: Known, again: Known, became: Sequence[int]) -> None:
    """The rollouts of the first stage as evidence of the second, without those that became chains; and the
    answers of these taken from all prefixes before theirs."""
    nodes = {}
    for c, path in enumerate(found.paths):
        nodes |= dict(zip(path, again.paths[c], strict=True))
    for node, tally in enumerate(found.rollouts):
        again.rollouts[nodes[node]] = tally
    new = range(len(found.paths), len(again.paths))
    for c, node in zip(new, became, strict=True):
        right = again.case.chains[c].outcome == Outcome.CORRECT
        old = again.rollouts[nodes[node]]
        again.rollouts[nodes[node]] = Tally(old.successes - right, old.failures - (not right), old.undecided)
        for before in takewhile(lambda place, end=nodes[node]: place != end, again.paths[c]):  # type: ignore[misc]
            seen = again.outcomes[before]
            again.outcomes[before] = Tally(
                seen.successes - right, seen.failures - (not right), seen.undecided
            )


def on_bank(checks: bool, name: str = "settings") -> Figures:
    """How many rollouts of a recorded bank `adaptive` asks for, and how many come from good prefixes."""
    settings = LabellingSettings(step_checks=checks)
    counts = {"step checks": checks} | dict.fromkeys(("chains", "rollouts", "right", "wrong"), 0)
    for item in labelling_banks.read(labelling_banks.DATA / f"bank-{name}.jsonl.gz"):
        found = known(make_case(settings, item.chains, item.checks))
        while requests := next_round(settings, found):
            found.add(requests, [item.answer(request) for request in requests])
        made = list(_new_chains(settings, found, 0, False))
        counts["chains"] += len(item.chains)
        counts["rollouts"] += sum(tally.total for tally in found.rollouts)
        counts["right"] += sum(true < 0 for _, true, _ in made)
        counts["wrong"] += sum(true >= 0 for _, true, _ in made)
    return counts


def main() -> None:
    """Print one table a world and write benchmarks/results/labelling_reuse.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--problems", type=int, default=200)
    count = parser.parse_args().problems
    settings = LabellingSettings(step_checks=False)
    found: Figures = {"bank settings": [on_bank(checks) for checks in (False, True)]}
    print(table(found["bank settings"]))
    for name, world in WORLDS.items():
        start = fresh(world, count, settings)
        rows = [start.line("4 fresh chains", None)]
        ways = {f"{k} fresh chains": fresh(replace(world, chains=k), count, settings) for k in FRESH[1:]}
        ways["4 and their rollouts"] = reused(world, count, settings, False)
        ways["4 and their wrong rollouts"] = reused(world, count, settings, True)
        found[name] = rows + [way.line(said, start) for said, way in ways.items()]
        print(f"\n**{name}**\n\n{table(found[name])}", flush=True)
    record("labelling_reuse", f"python benchmarks/labelling_reuse.py --problems {count}", found)


def table(rows: Sequence[Figures]) -> str:
    """Markdown: one way a line."""
    columns = list(rows[-1])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = (row.get(column, "–") for column in columns)
        shown = (f"{c:.2f}" if isinstance(c, float) else f"{c:,}" if isinstance(c, int) else c for c in cells)
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
