"""From labelled chains to token ids with one label at the end of every step.

The text is `prompt.replace("{question}", question)` followed by `step.strip() + separator` for every
step (`rstrip` with `keep_indent`). It is tokenised piece by piece, so that the position of a step's
last token is exact whatever the tokenizer would merge across a boundary, and the same in training,
scoring and the loading example of the model card.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from distill.config import VerifierSettings
from distill.errors import VerifierError
from distill.first_error import NO_ERROR
from distill.records import SURPRISAL, LabelledChain, Outcome, StepLabel

IGNORED = -100
LEAST_EVIDENCE = 0.01
"""A step that less stands behind has no soft label."""


@dataclass(frozen=True, slots=True)
class Example:
    """A chain to train or validate on; a label is 1 correct, 0 wrong, -100 unknown (no loss)."""

    question: str
    steps: tuple[str, ...]
    labels: tuple[int, ...]
    soft: tuple[float, ...] = ()
    """P(correct) of each step by its own evidence, for the soft loss; empty: `labels` are all there is."""
    evidence: tuple[float, ...] = ()
    """How much stands behind each `soft`: 1 - the width of its 95% interval, 0 for none."""
    outcome: int | None = None
    """1 if the chain's final answer is correct, 0 if not, None unknown; for the outcome loss."""
    domain: str = "math"
    """Whose exact checks judge its steps (`distill.domains`)."""

    @property
    def first_error(self) -> int | None:
        """0-based first wrong step, -1 for none, None when an unknown label before it leaves it open."""
        return first_error_of(self.labels)


@dataclass(frozen=True, slots=True)
class ChainFormat:
    """How a chain is written for a model."""

    prompt: str = "{question}\n"
    separator: str = "\n"
    windows: bool = False
    max_length: int | None = None
    """Tokens of a window, as in training; None (folders of old): the model's whole context."""
    keep_indent: bool = False
    """Whether a step keeps the blanks that it begins with."""

    @classmethod
    def of(cls, settings: VerifierSettings) -> "ChainFormat":
        """The format that a recipe asks for."""
        windows = settings.long_chains == "windows"
        return cls(settings.prompt, settings.separator, windows, settings.max_length, settings.keep_indent)

    def limit(self, context: int) -> int:
        """Tokens to score at once with a model of `context` tokens. Windows are as long as in training: at
        a later position no score was ever trained."""
        return min(context, self.max_length) if self.windows and self.max_length else context

    def pieces(self, question: str, steps: Sequence[str]) -> list[str]:
        """The prompt, then one piece a step; joined they are the text that the model reads."""
        strip = str.rstrip if self.keep_indent else str.strip
        return [self.prompt.replace("{question}", question), *(strip(s) + self.separator for s in steps)]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a chain; step i is `ids[ends[i - 1] + 1 : ends[i] + 1]` (step 0 begins at `start`).

    `ends[i]` is the 0-based position of step i's last token. Steps that end past the length limit
    are left out whole and counted in `cut_steps`.
    """

    ids: tuple[int, ...]
    start: int
    ends: tuple[int, ...]
    cut_steps: int


def first_error_of(labels: Sequence[int]) -> int | None:
    """First 0 among labels when every label before it is 1; -1 when all are 1; None otherwise."""
    for index, label in enumerate(labels):
        if label == 0:
            return index
        if label != 1:
            return None
    return NO_ERROR


def examples(
    labelled: Sequence[LabelledChain], mask_after_first_error: bool, doubted: bool = False
) -> list[Example]:
    """Training examples from labels; chains that carry no label at all are left out, unless (`doubted`, for
    the soft loss) it is known how probable each of their steps is.

    `mask_after_first_error` makes every label past the first wrong step -100: what follows an error
    is neither clearly right nor clearly wrong. A wrong step with an undetermined one before it may be
    such a follower, so it is left out too.
    """
    made = [(_example(item, mask_after_first_error), item.method == SURPRISAL) for item in labelled]
    return [
        example
        for example, weighed in made
        if (doubted and weighed) or any(label != IGNORED for label in example.labels)
    ]


def training_examples(labelled: Sequence[LabelledChain], settings: VerifierSettings) -> list[Example]:
    """`examples` to train on, as a recipe asks."""
    return examples(labelled, settings.mask_after_first_error, doubted=settings.loss == "soft")


def _example(item: LabelledChain, mask_after_first_error: bool) -> Example:
    labels = [IGNORED if label.hard is None else label.hard for label in item.labels]
    targets = [soft_target(label) for label in item.labels]
    if item.chain.outcome is Outcome.INCORRECT and labels[-1:] == [0]:
        targets[-1] = (0.0, 1.0)  # the answer is wrong, whatever rollouts made of it
    soft, evidence = [q for q, _ in targets], [w for _, w in targets]
    if mask_after_first_error and 0 in labels:
        keep = labels.index(0)
        keep += IGNORED not in labels[:keep]
        labels[keep:] = [IGNORED] * (len(labels) - keep)
        evidence[keep:] = [0.0] * (len(labels) - keep)
    if item.method == SURPRISAL:
        soft, evidence = _expected([label.soft for label in item.labels], mask_after_first_error)
    texts = item.problem.question, item.chain.steps
    return Example(*texts, tuple(labels), tuple(soft), tuple(evidence), _outcome(item), item.problem.domain)


def _expected(right: Sequence[float], masked: bool) -> tuple[list[float], list[float]]:
    """(P(correct), evidence) of each step from the probability that there is no error up to it.

    Masked after the first error, the soft loss is the hard one's expectation over where that error is: a step
    counts as far as nothing before it is wrong, and is correct with the probability given that.
    """
    if not masked:
        return list(right), [1.0] * len(right)
    before = [1.0, *right[:-1]]
    sure = [p / q if q > LEAST_EVIDENCE else 0.0 for p, q in zip(right, before)]
    return sure, [q if q > LEAST_EVIDENCE else 0.0 for q in before]


def soft_target(label: StepLabel) -> tuple[float, float]:
    """(P(correct), evidence) of a step label.

    `soft` of the step's own trials (posterior mean, or the plain share of successes), weighted by 1 - the
    width of its 95% interval. A person's label and that of a refuted step are certain, whatever the trials
    say: (1.0 or 0.0, 1.0). So is one that other evidence decided against (or without) its own trials, such
    as a success further on.
    """
    if label.hard is not None and (label.review or (label.refutation and label.hard == 0)):
        return float(label.hard), 1.0
    against = {1: label.successes == 0, 0: label.failures == 0}
    trials = label.successes + label.failures
    without = trials == 0 and (label.low, label.high) == (0.0, 1.0)
    if label.hard is not None and (without or (trials and against[label.hard])):
        return float(label.hard), 1.0
    return label.soft, 1.0 - (label.high - label.low)


def _outcome(item: LabelledChain) -> int | None:
    """Whether the final answer is correct; where nobody judged it, whether the steps are all good. Good steps
    of a chain that came to no answer say nothing of one."""
    if item.chain.outcome is not Outcome.UNDECIDED:
        return int(item.chain.outcome is Outcome.CORRECT)
    if item.first_error == NO_ERROR and item.chain.finish_reason != "stop":
        return None
    return None if item.first_error is None else int(item.first_error == NO_ERROR)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a chain that is seen at once: the prompt and steps `begin` to `begin + len(encoded.ends)`.
    Those before `fresh` are context only; they are labelled and scored in an earlier window."""

    encoded: Encoded
    begin: int = 0
    fresh: int = 0

    @property
    def positions(self) -> list[tuple[int, int]]:
        """(step, position of its last token) of every fresh step."""
        numbered = enumerate(self.encoded.ends, self.begin)
        return [(step, end) for step, end in numbered if step >= self.fresh]


def encode_windows(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    steps: Sequence[str],
    chain_format: ChainFormat,
    max_length: int,
) -> list[Window]:
    """A chain as one window, cut at `max_length`; with `chain_format.windows` as many as its steps need.

    A later window shows the prompt and the steps before its own that fit in half of `max_length`. A step
    that no window has room for is in none.
    """
    whole = encode(tokenizer, question, steps, chain_format, max_length)
    if not chain_format.windows or not whole.cut_steps:
        return [Window(whole)]
    prompt, *pieces = chain_format.pieces(question, steps)
    head = _prompt_ids(tokenizer, prompt)[:max_length]
    ids = [list(tokenizer(piece, add_special_tokens=False)["input_ids"]) for piece in pieces]
    windows, first = [Window(whole)], len(whole.ends)
    while first < len(ids):
        window = _window(head, ids, first, max_length)
        windows += [window] if window.positions else []
        first = max(first + 1, window.begin + len(window.encoded.ends))
    return windows


def _window(head: Sequence[int], ids: Sequence[Sequence[int]], first: int, max_length: int) -> Window:
    """The window whose first fresh step is `first`."""
    begin, used = first, len(head)
    room = min(max_length // 2, max_length - len(ids[first]))
    while begin > 0 and used + len(ids[begin - 1]) <= room:
        begin -= 1
        used += len(ids[begin])
    row, ends = list(head), []
    for piece in ids[begin:]:
        if len(row) + len(piece) > max_length:
            break
        row += piece
        ends.append(len(row) - 1)
    return Window(Encoded(tuple(row), len(head), tuple(ends), 0), begin, first)


def encode(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    steps: Sequence[str],
    chain_format: ChainFormat,
    max_length: int,
) -> Encoded:
    """Token ids of a chain, piece by piece, cut after the last whole step within `max_length`.

    Raises:
        VerifierError: a step has no token (an empty separator), so it cannot be scored.
    """
    prompt, *rest = chain_format.pieces(question, steps)
    ids = _prompt_ids(tokenizer, prompt)[:max_length]
    start, ends = len(ids), []
    for piece in rest:
        piece_ids = tokenizer(piece, add_special_tokens=False)["input_ids"]
        if not piece_ids:
            raise VerifierError(
                f"expected at least one token a step, found none for {piece!r}; use a non-empty separator"
            )
        if len(ids) + len(piece_ids) > max_length:
            break
        ids += piece_ids
        ends.append(len(ids) - 1)
    return Encoded(tuple(ids), start, tuple(ends), len(rest) - len(ends))


def _prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Ids of the prompt with whatever begins a sequence, but without a token that ends it."""
    ids = list(tokenizer(prompt)["input_ids"])
    if ids and tokenizer.eos_token_id is not None and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    return ids


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills short rows; it is masked, so any id serves."""
    ids = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((i for i in ids if i is not None), 0)


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Rows of different lengths -> int64 [rows, longest], filled on the right with `value`."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows], dtype=torch.long)


def attention_mask(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """1 where a row holds a token, 0 where it is padded: int64 [rows, longest]."""
    return pad([[1] * len(row) for row in rows], 0)
