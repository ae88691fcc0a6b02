"""What the trials of one prefix say of it: fixed K against a threshold, and Wald's sequential test.

Policies (while they search) and labels (afterwards) judge a prefix by the functions of this file, so
that a search can never end on a belief that the labels do not share.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from distill.records import Chain, Outcome, StepStatus


@dataclass(frozen=True, slots=True)
class Tally:
    """Trials of one prefix. Undecided ones count on neither side."""

    successes: int = 0
    failures: int = 0
    undecided: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.successes + other.successes,
            self.failures + other.failures,
            self.undecided + other.undecided,
        )

    @property
    def total(self) -> int:
        """All trials, undecided ones too."""
        return self.successes + self.failures + self.undecided


NOTHING = Tally()


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """Counts of some outcomes."""
    counts = Counter(outcomes)
    return Tally(counts[Outcome.CORRECT], counts[Outcome.INCORRECT], counts[Outcome.UNDECIDED])


def prefix_status(rollouts: Tally, own: Outcome | None, good_at: float, k: int) -> StepStatus:
    """Good when the success rate of `k` rollouts is above `good_at`, else bad; undetermined without a
    decided rollout, and where fewer than `k` were drawn (under another stopping rule) and those that are
    missing could turn it. With `good_at` 0 one success is enough, however few were drawn.

    `own` is the outcome of the chain itself when it counts as a trial. A failure of the chain alone
    makes no prefix bad (it says that *some* step is wrong), so bad takes a decided rollout.
    """
    seen = rollouts if own is None else rollouts + tally([own])
    missing = max(0, k - rollouts.total)
    enough = good_at * (seen.successes + seen.failures + missing)
    if seen.successes > enough:
        return StepStatus.GOOD
    decided = rollouts.successes + rollouts.failures > 0
    lost = decided and seen.successes + missing <= enough
    return StepStatus.BAD if lost else StepStatus.UNDETERMINED


@dataclass(frozen=True, slots=True)
class NodeTest:
    """Wald's sequential probability ratio test of one prefix: is its success rate at most `low` (an
    error behind it) or at least `high` (good)?

    With bounds ln(1/false_positive) and ln(false_negative) on the log-likelihood ratio, a prefix of rate
    <= `low` is called good with probability at most `false_positive`, one of rate >= `high` is called
    bad with probability at most `false_negative` (Wald, "Sequential Tests of Statistical Hypotheses",
    Annals of Mathematical Statistics 16(2), 1945, section 3.2; in between, either may happen).
    """

    low: float
    high: float
    false_positive: float
    false_negative: float

    @property
    def gain(self) -> float:
        """What a success adds to the log-likelihood ratio (infinite when a lost prefix never succeeds)."""
        return math.log(self.high / self.low) if self.low > 0 else math.inf

    @property
    def loss(self) -> float:
        """What a failure takes from it."""
        return -math.log((1 - self.high) / (1 - self.low))

    def status(self, seen: Tally) -> StepStatus:
        """The test's decision after these trials, undetermined while it would go on."""
        up = seen.successes * self.gain if seen.successes else 0.0
        ratio = up - seen.failures * self.loss
        if ratio >= -math.log(self.false_positive):
            return StepStatus.GOOD
        return StepStatus.BAD if ratio <= math.log(self.false_negative) else StepStatus.UNDETERMINED


def certainly_bad_from(chain: Chain, refuted: Iterable[int]) -> int:
    """First step that is bad without any rollout, `len(chain.steps)` when there is none.

    That is the first refuted step or, in a chain with a wrong final answer, the last step: its prefix
    holds the whole wrong answer. An undecided final answer (capped, unparsable) says nothing.
    """
    n = len(chain.steps)
    last = n - 1 if chain.outcome == Outcome.INCORRECT else n
    return max(0, min([last, *refuted]))
