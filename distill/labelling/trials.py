"""What the trials of one prefix say of it, and the stopping rule that they were gathered under.

Policies (while they search) and labels (afterwards) judge a prefix by the functions of this file, so
that a search can never end on a belief that the labels do not share.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from distill.records import Chain, Outcome, StepStatus

_PLANNED = re.compile(r"\bn=(\d+)\b")


@dataclass(frozen=True, slots=True)
class Tally:
    """Rollouts of one prefix. `missing` were planned by the stopping rule but are not in the evidence
    (a truncated log): each of them may still turn out either way."""

    successes: int = 0
    failures: int = 0
    undecided: int = 0
    missing: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.successes + other.successes,
            self.failures + other.failures,
            self.undecided + other.undecided,
            self.missing + other.missing,
        )


def tally(outcomes: Iterable[Outcome], planned: int | None = None) -> Tally:
    """Counts of one probe; `planned` is how many rollouts its rule asked for (None: as many as came)."""
    counts = Counter(outcomes)
    missing = max(0, planned - counts.total()) if planned is not None else 0
    return Tally(counts[Outcome.CORRECT], counts[Outcome.INCORRECT], counts[Outcome.UNDECIDED], missing)


def with_own_outcome(rollouts: Tally, own: Outcome | None) -> Tally:
    """The tally with the chain's own final answer as one more trial (None: it does not count)."""
    return rollouts if own is None else rollouts + tally([own])


def prefix_status(rollouts: Tally, own: Outcome | None, good_at: float) -> StepStatus:
    """Good when the success rate is above `good_at` however the missing trials turn out, bad when it is
    not above it however they turn out, undetermined in between.

    `own` is the outcome of the chain itself when it counts as a trial. A failure of the chain alone
    makes no prefix bad (it says that *some* step is wrong), so bad takes a decided rollout. Undecided
    trials count on neither side.
    """
    seen = with_own_outcome(rollouts, own)
    total = seen.successes + seen.failures + seen.missing
    if total and seen.successes / total > good_at:
        return StepStatus.GOOD
    probed = rollouts.successes + rollouts.failures > 0
    if probed and (seen.successes + seen.missing) / total <= good_at:
        return StepStatus.BAD
    return StepStatus.UNDETERMINED


def certainly_bad_from(chain: Chain, refuted: Iterable[int]) -> int:
    """First step that is bad without any rollout, `len(chain.steps)` when there is none.

    That is the first refuted step or, in a chain with a wrong final answer, the last step: its prefix
    holds the whole wrong answer. An undecided final answer (capped, unparsable) says nothing.
    """
    n = len(chain.steps)
    last = n - 1 if chain.outcome == Outcome.INCORRECT else n
    return max(0, min([last, *refuted]))


def stopping_rule(method: str, n: int, again: bool = False) -> str:
    """The text that goes with every rollout: who asked, whether for the second time, and for how many."""
    return f"{method} {'again ' if again else ''}n={n}"


def planned_trials(rule: str) -> int | None:
    """How many rollouts a stopping rule asked for; None when it does not say."""
    found = _PLANNED.search(rule)
    return int(found[1]) if found else None
