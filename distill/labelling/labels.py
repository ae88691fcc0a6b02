"""Step labels as a pure function of a chain, its evidence and the settings.

How evidence about single prefixes becomes labels, in this order:

1. *Certain*: a step that an exact check refutes is bad, and so is the last step of a chain with a
   wrong final answer. A step that a check confirms is not thereby good: its equation may hold and
   still use the wrong operand.
2. *Probed*: a prefix is good or bad by the success rate of its trials (`trials.prefix_status`).
3. *Monotone*: an answer reached from a prefix was reachable from everything before it, so every step
   before a good prefix is good, and overrides failures seen there; steps at and after the first bad
   one are bad. What succeeds from a certainly bad step onwards is repair, and says nothing.
4. *Solvable*: in a binary search, failures count against a step only where success was seen before it,
   after an earlier step or from the bare problem (step -1). A completer that never solves the problem
   fails everywhere, and that is no fault of the step.
5. Whatever is neither probed nor implied is undetermined.

Math-Shepherd as published labels each step by its own trials alone; rule 3 is applied to it too (in
the baseline's favour), and each label keeps its own counts.

More evidence from the same probes only turns undetermined labels into determined ones, as long as the
evidence does not contradict itself (a prefix that looks bad before one that looks good, a refuted step
in a chain with the right answer): then what came later may overturn what was believed before. A binary
search never gathers evidence of the first kind.
"""

from collections.abc import Sequence

from distill.config import LabellingSettings
from distill.errors import DataError
from distill.labelling.evidence import tally_rollouts
from distill.labelling.posterior import jeffreys
from distill.labelling.trials import Tally, certainly_bad_from, prefix_status, with_own_outcome
from distill.records import Chain, Event, EventKind, Outcome, StepLabel, StepStatus


def derive_labels(
    chain: Chain, events: Sequence[Event], settings: LabellingSettings
) -> tuple[tuple[StepLabel, ...], int | None]:
    """One label a step and the first error (0-based, -1 none, None undetermined or no steps).

    The chain's own outcome is read from `chain`; its OUTCOME event is the same fact on record and is
    not counted again.

    A label's counts, `soft` (posterior mean) and interval are those of its own trials, among them the
    chain's own outcome if `settings.count_outcome`; a label that is implied by another prefix has none.

    Raises:
        DataError: an event belongs to another chain or lies beyond this one.
    """
    _require_own(chain, events)
    rollouts = tally_rollouts(events)
    refuted = _refutations(events) if settings.step_checks else {}
    own = chain.outcome if settings.count_outcome else None
    last_good, first_bad = _bounds(chain, rollouts, refuted, settings)
    labels = tuple(
        _label(rollouts.get(step, Tally()), own, _status(step, last_good, first_bad), refuted.get(step, ""))
        for step in range(len(chain.steps))
    )
    return labels, _first_error(len(chain.steps), last_good, first_bad)


def _bounds(
    chain: Chain, rollouts: dict[int, Tally], refuted: dict[int, str], settings: LabellingSettings
) -> tuple[int, int]:
    """Last step known good (-1: none) and first step known bad (number of steps: none)."""
    own = chain.outcome if settings.count_outcome else None
    certain = certainly_bad_from(chain, refuted)
    seen = [prefix_status(rollouts.get(i, Tally()), own, settings.good_at) for i in range(certain)]
    last_good = max((i for i, status in enumerate(seen) if status == StepStatus.GOOD), default=-1)
    first_bad = next((i for i in range(last_good + 1, certain) if seen[i] == StepStatus.BAD), certain)
    if settings.method == "binary" and last_good < 0:
        root = prefix_status(rollouts.get(-1, Tally()), own, settings.good_at)
        first_bad = first_bad if root == StepStatus.GOOD else certain
    return last_good, first_bad


def _status(step: int, last_good: int, first_bad: int) -> StepStatus:
    if step <= last_good:
        return StepStatus.GOOD
    return StepStatus.BAD if step >= first_bad else StepStatus.UNDETERMINED


def _first_error(n: int, last_good: int, first_bad: int) -> int | None:
    if n == 0 or first_bad != last_good + 1:
        return None
    return first_bad if first_bad < n else -1


def _label(rollouts: Tally, own: Outcome | None, status: StepStatus, refutation: str) -> StepLabel:
    seen = with_own_outcome(rollouts, own)
    posterior = jeffreys(seen.successes, seen.failures)
    return StepLabel(
        status=status,
        successes=seen.successes,
        failures=seen.failures,
        undecided=seen.undecided,
        soft=posterior.mean,
        low=posterior.low,
        high=posterior.high,
        refutation=refutation,
    )


def _refutations(events: Sequence[Event]) -> dict[int, str]:
    """What refutes each refuted step, keyed by step."""
    return {
        event.step: event.detail or "refuted"
        for event in events
        if event.kind == EventKind.STEP_CHECK and event.outcome == Outcome.INCORRECT
    }


def _require_own(chain: Chain, events: Sequence[Event]) -> None:
    for event in events:
        if event.chain_id != chain.id or not -1 <= event.step < len(chain.steps):
            raise DataError(
                f"chain {chain.id}: expected events of this chain at steps -1..{len(chain.steps) - 1}, "
                f"found one of chain {event.chain_id} at step {event.step}; group events by chain id, "
                "and label the chains that they were gathered for"
            )
