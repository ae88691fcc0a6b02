"""The `adaptive` method: as few rollouts as the user's error bounds allow.

A round is a pure function of what is known: for each chain that is still open, one prefix is asked for.
Ingredients, each with its switch in `AdaptiveSettings`:

- *own outcome*: a chain with a right answer needs no rollout.
- *siblings*: chains of a problem share prefixes, so one's answer and rollouts are evidence for all, and no
  prefix is rolled out for two chains.
- *skip*: a problem that no chain solved is tried as a whole first; one whose pass rate is below `floor`
  is left undetermined instead of searched.
- *refuted steps* need no rollout, and mostly are the first error.
- *sequential test* at each node (`trials.NodeTest`) in place of K rollouts.
- *binary search*, and error bounds *corrected* for the number of nodes that it visits.
- *relative progress*: what is expected of a prefix grows from the problem's pass rate to 1 along the
  chain, so that an error late in the chain is not hidden by a completer that repairs some errors.
"""

import math

from distill.config import LabellingSettings
from distill.labelling.known import (
    Known,
    certain_from,
    chain_test,
    is_sequential,
    known,
    probed_bounds,
    solved,
)
from distill.labelling.protocol import Case, Policy, Prefix, RolloutRequest
from distill.labelling.trials import Tally

SILENT = 8
"""Rollouts of one prefix that may all be undecided: a chain that breaks off mostly breaks off again."""


def adaptive(settings: LabellingSettings, case: Case) -> Policy:
    """Binary search for the first error of every chain of a problem, side by side."""
    found = known(case)
    while requests := next_round(settings, found):
        found.add(requests, (yield requests))


def next_round(settings: LabellingSettings, found: Known) -> list[RolloutRequest]:
    """One request for every open chain, none twice; empty when nothing is to be gained any more."""
    asked: dict[Prefix, RolloutRequest] = {}
    for c in range(len(found.case.chains)):
        request = next_request(settings, found, c)
        if request is not None:
            asked.setdefault(request.prefix, request)
    return list(asked.values())


def next_request(settings: LabellingSettings, found: Known, c: int) -> RolloutRequest | None:
    """What chain `c` alone would ask for; None when it is closed."""
    step = wanted_step(settings, found, c)
    if step is None:
        return None
    first = found.rollouts[found.paths[c][step + 1]].total
    rule = _rule(settings, found, c, step)
    return RolloutRequest(found.case.chains[c], step, _batch(settings, first), rule, first)


def wanted_step(settings: LabellingSettings, found: Known, c: int) -> int | None:
    """The step of chain `c` to continue after next (-1: the bare problem); None when it is closed."""
    last_good, first_bad = probed_bounds(settings, found, c)
    untried = last_good < 0 and not solved(settings, found)
    if untried and first_bad > 0 and settings.adaptive.floor > 0:
        if _hopeless(settings, found):
            return None
        return -1
    first_bad = _below_exhausted(settings, found, c, last_good, first_bad)
    if first_bad - last_good > 1:
        return _next_step(settings, found, c, last_good, first_bad)
    blamed = first_bad == 0 < certain_from(found, c)
    return -1 if blamed and untried and not _hopeless(settings, found) else None


def _batch(settings: LabellingSettings, drawn: int) -> int:
    """Rollouts to ask of a node that had `drawn`; with the sequential test never more than `most` in all."""
    if not settings.adaptive.sequential:
        return settings.rollouts
    return min(settings.adaptive.batch, settings.adaptive.most - drawn)


def _hopeless(settings: LabellingSettings, found: Known) -> bool:
    """Whether enough attempts at the bare problem failed."""
    seen = found.rollouts[0]
    if not settings.adaptive.sequential and not settings.adaptive.floor:
        return seen.total >= settings.rollouts
    siblings = found.outcomes[0].failures if settings.adaptive.siblings else 0
    floor = settings.adaptive.floor or settings.adaptive.smallest / 2
    enough = math.log(settings.adaptive.false_negative) / math.log(1 - floor)
    return seen.failures + siblings >= enough or _exhausted(seen, settings.adaptive.most)


def _below_exhausted(
    settings: LabellingSettings, found: Known, c: int, last_good: int, first_bad: int
) -> int:
    """A node that used up its rollouts undecided is not asked again; what lies below it may be found."""
    most = settings.adaptive.most if settings.adaptive.sequential else 2 * settings.rollouts
    path = found.paths[c]
    spent = (i for i in range(last_good + 1, first_bad) if _exhausted(found.rollouts[path[i + 1]], most))
    return next(spent, first_bad)


def _exhausted(seen: Tally, most: int) -> bool:
    silent = seen.undecided >= SILENT and not seen.successes and not seen.failures
    return silent or seen.total >= most


def _next_step(settings: LabellingSettings, found: Known, c: int, last_good: int, first_bad: int) -> int:
    """The step whose test has begun; else the one before a refuted step, which mostly is the first error;
    else the middle (without `bisect` the first)."""
    begun = (i for i in range(last_good + 1, first_bad) if found.rollouts[found.paths[c][i + 1]].total)
    step = next(begun, None)
    if step is not None:
        return step
    if first_bad in found.case.refuted[c]:
        return first_bad - 1
    return (last_good + first_bad) // 2 if settings.adaptive.bisect else last_good + 1


def _rule(settings: LabellingSettings, found: Known, c: int, step: int) -> str:
    """The stopping rule as text: it goes with every rollout."""
    if step < 0:
        return f"adaptive: bare problem until solved, or pass rate below {settings.adaptive.floor:g}"
    if not is_sequential(settings):
        return f"adaptive n={settings.rollouts}"
    test = chain_test(settings, found, c, step)
    return (
        f"adaptive: sequential test of p <= {test.low:.3g} against p >= {test.high:.3g}, "
        f"errors {test.false_positive:.3g} and {test.false_negative:.3g}"
    )
