"""The promises of the sequential test: error rates simulated, and exact by dynamic programming."""

import random
from collections import defaultdict
from typing import Any

from distill.config import LabellingSettings
from distill.labelling.known import node_test
from distill.labelling.posterior import share
from distill.labelling.trials import NodeTest, Tally
from distill.records import StepStatus

GOOD, BAD, OPEN = StepStatus.GOOD, StepStatus.BAD, StepStatus.UNDETERMINED
LEFT = 1e-9  # mass of searches still open at which the exact computation stops; it is added to the error


def promises(nodes: int) -> list[dict[str, Any]]:
    """Error rates of the test beside its bounds, at the rates for which it is made, where they are greatest,
    and beyond: for a good prefix the problem's pass rate and halfway from there to 1, for one with an error
    half the rate that it may have."""
    rows = []
    for repair in (0.01, 0.1, 0.3):
        asked = LabellingSettings().adaptive.model_copy(update={"repair": repair})
        for rate in (0.1, 0.5, 0.98):
            test = node_test(asked, rate, 8)
            cases = [("bad called good", at, GOOD, test.false_positive) for at in (test.low, test.low / 2)]
            above = (test.high, rate, (1 + rate) / 2)
            cases += [("good called bad", at, BAD, test.false_negative) for at in above]
            for kind, truth, wrong, promised in cases:
                row = {"repair": repair, "pass_rate": rate, "error": kind, "at": truth, "promised": promised}
                draw = random.Random(f"{repair} {rate} {kind} {truth}")
                errors = sum(_decide(test, truth, draw) == wrong for _ in range(nodes))
                exact = exact_error(test, truth, wrong)
                rows.append(
                    row | {"exact": exact, "observed": share(errors, nodes), "holds": exact <= promised}
                )
    return rows


def exact_error(test: NodeTest, rate: float, wrong: StepStatus) -> float:
    """Chance that the test ends with `wrong` at a prefix of success rate `rate`, never too small: what is
    still open when less than `LEFT` is counts as wrong. The mass of each open (successes, failures) is
    carried on trial by trial; an ended one is added up."""
    mass, error = {(0, 0): 1.0}, 0.0
    while (left := sum(mass.values())) > LEFT:
        after: dict[tuple[int, int], float] = defaultdict(float)
        for (good, bad), weight in mass.items():
            after[good + 1, bad] += weight * rate
            after[good, bad + 1] += weight * (1 - rate)
        ended = {place: test.status(Tally(*place)) for place in after}
        error += sum(weight for place, weight in after.items() if ended[place] == wrong)
        mass = {place: weight for place, weight in after.items() if ended[place] == OPEN}
    return error + left


def _decide(test: NodeTest, rate: float, draw: random.Random) -> StepStatus:
    seen = Tally()
    while (status := test.status(seen)) == OPEN:
        seen += Tally(1, 0) if draw.random() < rate else Tally(0, 1)
    return status
