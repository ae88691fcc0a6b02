"""From labelled chains to token ids with one label at the end of every step.

The text is `prompt.replace("{question}", question)` followed by `step.strip() + separator` for every
step. It is tokenised piece by piece, so that the position of a step's last token is exact whatever
the tokenizer would merge across a boundary, and the same in training, scoring and the loading
example of the model card.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from distill.config import VerifierSettings
from distill.errors import VerifierError
from distill.first_error import NO_ERROR
from distill.records import LabelledChain

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Example:
    """A chain to train or validate on; a label is 1 correct, 0 wrong, -100 unknown (no loss)."""

    question: str
    steps: tuple[str, ...]
    labels: tuple[int, ...]

    @property
    def first_error(self) -> int | None:
        """0-based first wrong step, -1 for none, None when an unknown label before it leaves it open."""
        return first_error_of(self.labels)


@dataclass(frozen=True, slots=True)
class ChainFormat:
    """How a chain is written for a model."""

    prompt: str = "{question}\n"
    separator: str = "\n"

    @classmethod
    def of(cls, settings: VerifierSettings) -> "ChainFormat":
        """The format that a recipe asks for."""
        return cls(settings.prompt, settings.separator)

    def pieces(self, question: str, steps: Sequence[str]) -> list[str]:
        """The prompt, then one piece a step; joined they are the text that the model reads."""
        return [self.prompt.replace("{question}", question), *(s.strip() + self.separator for s in steps)]


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


def examples(labelled: Sequence[LabelledChain], mask_after_first_error: bool) -> list[Example]:
    """Training examples from labels; chains that carry no label at all are left out.

    `mask_after_first_error` makes every label past the first wrong step -100: what follows an error
    is neither clearly right nor clearly wrong. A wrong step with an undetermined one before it may be
    such a follower, so it is left out too.
    """
    made = (_example(item, mask_after_first_error) for item in labelled)
    return [example for example in made if any(label != IGNORED for label in example.labels)]


def _example(item: LabelledChain, mask_after_first_error: bool) -> Example:
    labels = [IGNORED if label.hard is None else label.hard for label in item.labels]
    if mask_after_first_error and 0 in labels:
        keep = labels.index(0)
        keep += IGNORED not in labels[:keep]
        labels[keep:] = [IGNORED] * (len(labels) - keep)
    return Example(item.problem.question, item.chain.steps, tuple(labels))


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
