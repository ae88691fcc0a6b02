"""The frozen, typed records that flow between stages, and their content-hash ids.

problems -> chains -> evidence (events) -> step labels -> dataset -> scored chains

Every record is a frozen dataclass of plain values, so that it pickles, compares and writes to
Parquet (`distill.artifacts`) with no code of its own. An id is a hash of content, never a counter:
the same recipe gives the same ids whatever the order in which shards finish.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SCHEMA_VERSION = 2


def content_id(*parts: Any, length: int = 16) -> str:
    """Hex hash of `parts` (JSON values), the same on every machine. 16 digits: 64 bits."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def derived_seed(*parts: Any) -> int:
    """A 63-bit seed from content, so that results do not depend on completion order."""
    return int(content_id("seed", *parts, length=16), 16) >> 1


class Outcome(StrEnum):
    """What is known of a final answer or a step. Undecided is never counted as wrong."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNDECIDED = "undecided"


class StepStatus(StrEnum):
    """A derived step label. Undetermined: the evidence cannot carry an answer."""

    GOOD = "good"
    BAD = "bad"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with what is needed to check an answer to it.

    `payload` is JSON that only the problem's own domain reads (the exact world keeps its solution
    graph there); it is empty for problems from a file.
    """

    id: str
    question: str
    reference: str
    domain: str = "math"
    source: str = ""
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request. `prompt_tokens` counts the prefix once; `cached_tokens` of them were
    not computed again because an earlier sample or request shared them."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.generated_tokens + other.generated_tokens,
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """One solution as an ordered list of steps, with the sampling that produced it.

    `step_ends[i]` is the number of generated token ids up to and including step i, so that
    `token_ids[:step_ends[i]]` is the exact prefix that a rollout after step i continues. `step_logprobs[i]`
    is the natural log-probability that the generator gave to step i as it wrote it (before temperature; the
    sum over its tokens); none where the engine did not tell it, or the chain was not sampled.
    """

    id: str
    problem_id: str
    steps: tuple[str, ...]
    outcome: Outcome
    outcome_reason: str = ""
    answer: str = ""
    token_ids: tuple[int, ...] = ()
    step_ends: tuple[int, ...] = ()
    finish_reason: str = "stop"
    seed: int = 0
    generator: str = ""
    generated_tokens: int = 0
    step_logprobs: tuple[float, ...] = ()


def completed_lines(steps: Sequence[str]) -> list[tuple[int, str]]:
    """The lines of the steps' text that are not blank, each with the (0-based) step in which it ends.

    completed_lines(["1 + 1", " = 2\\n3", " = 3\\n"])  # [(1, "1 + 1 = 2"), (2, "3 = 3")]
    """
    lines: list[tuple[int, str]] = []
    begun: list[str] = []
    for number, step in enumerate(steps):
        *whole, rest = step.split("\n")
        for part in whole:
            lines.append((number, "".join((*begun, part)).rstrip()))
            begun = []
        begun.append(rest)
    lines.append((len(steps) - 1, "".join(begun).rstrip()))
    return [(number, line) for number, line in lines if line]


class EventKind(StrEnum):
    """Where a piece of evidence came from."""

    ROLLOUT = "rollout"
    STEP_CHECK = "step_check"
    STEP_PROOF = "step_proof"  # a check whose "correct" is proof (entailment); a true equation is none
    OUTCOME = "outcome"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Event:
    """One append-only piece of evidence about the prefix that ends after step `step` of a chain.

    `step` is 0-based; -1 is the bare problem. For a rollout, `outcome` is that of the final answer
    of one continuation; for a step check, that of the step itself, with the equation in `detail`; for a
    review, `step` is the first error that a person named (-1 none), and `detail` says who and when.
    """

    chain_id: str
    prefix_id: str
    step: int
    kind: EventKind
    outcome: Outcome
    detail: str = ""
    generated_tokens: int = 0
    seed: int = 0
    generator: str = ""
    stopping_rule: str = ""


SURPRISAL = "adaptive+surprisal"
"""`LabelledChain.method` of labels in which the teacher's surprisal was weighed."""


@dataclass(frozen=True, slots=True)
class StepLabel:
    """The label of one step, with the evidence counts it was derived from.

    `hard` is None when undetermined. `soft` is the probability that there is no error up to this step where
    the teacher's surprisal was weighed (`LabelledChain.method` is then `SURPRISAL`), else that a rollout of
    the prefix up to it reaches the right answer (posterior mean; by `math_shepherd` the share of successes);
    `low` and `high` bound the success rate of such rollouts (95% credible interval). The rollouts behind it:
    how long they went on, their tokens, seeds and model; `review` is a person's word.
    """

    status: StepStatus
    successes: int = 0
    failures: int = 0
    undecided: int = 0
    soft: float = 0.5
    low: float = 0.0
    high: float = 1.0
    refutation: str = ""
    stopping_rule: str = ""
    tokens: int = 0
    seeds: tuple[int, ...] = ()
    completer: str = ""
    review: str = ""

    @property
    def hard(self) -> int | None:
        """1 good, 0 bad, None undetermined."""
        return {StepStatus.GOOD: 1, StepStatus.BAD: 0}.get(self.status)


@dataclass(frozen=True, slots=True)
class LabelledChain:
    """A chain with one label per step and the first error that they imply.

    `first_error` is 0-based, -1 for none, None when the labels before it leave it undetermined.
    """

    problem: Problem
    chain: Chain
    labels: tuple[StepLabel, ...]
    first_error: int | None
    method: str
    rollout_tokens: int = 0
    checks_used: int = 0


@dataclass(frozen=True, slots=True)
class ScoredChain:
    """A held-out chain with the scores of every scorer: P(step correct), one per step.

    `truth` is the exact 0-based first error, -1 none, None where no exact judge exists;
    `truth_kind` names the kind of that error ("" for none).
    """

    problem_id: str
    chain_id: str
    steps: tuple[str, ...]
    answer: str
    outcome: Outcome
    truth: int | None
    truth_kind: str = ""
    question: str = ""
    scores: dict[str, tuple[float, ...]] = field(default_factory=dict)
    domain: str = "math"
