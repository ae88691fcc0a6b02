"""The verifier as a thing that scores: P(step correct) of every step of a chain, in one forward pass."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from distill.errors import VerifierError
from distill.verifier.batching import context_length, run_batched
from distill.verifier.calibrate import UNCALIBRATED, Calibration
from distill.verifier.data import ChainFormat, Encoded, Window, encode, encode_windows, pad_id
from distill.verifier.extend import Prefix, margin_of_next
from distill.verifier.model import load_classifier, pick_device, quiet_transformers
from distill.verifier.package import Package, read_package

log = logging.getLogger(__name__)
ChainText = tuple[str, Sequence[str]]
"""A question and the steps of one chain."""


class Verifier:
    """Holds a model in memory; scores are calibrated probabilities that a step is correct.

    `truncated_steps` counts the steps so far that lay past `limit`. Such a step scores
    0.0: what the verifier cannot see it does not vouch for. `computed_tokens` counts the tokens that went
    through the model (padding not counted, chains that are equal once), `scored_chains` the chains asked for,
    and `seconds` the wall time that these took, from text to scores.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        chain_format: ChainFormat,
        calibration: Calibration = UNCALIBRATED,
        package: Package | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.chain_format = chain_format
        self.calibration = calibration
        self.package = package
        self.truncated_steps = 0
        self.computed_tokens = 0
        self.scored_chains = 0
        self.seconds = 0.0

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: torch.device | None = None) -> "Verifier":
        """An exported folder, loaded the way that plain `transformers` (with `peft` for a plain adapter)
        loads it.

        Raises:
            VerifierError: `folder` holds no `verifier.json`, or one of a newer schema.
        """
        package = read_package(Path(folder))
        place = device or pick_device()
        with quiet_transformers():
            model = _load(Path(folder), package, place)
        if model.config.num_labels != 2:
            raise VerifierError(
                f"expected 2 labels, found {model.config.num_labels} in {folder}; export again"
            )
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return cls(model, tokenizer, package.chain_format, package.calibration, package)

    @staticmethod
    def tokenizer_of(folder: Path) -> tuple[PreTrainedTokenizerBase, ChainFormat, int]:
        """Tokenizer, format and limit of an exported folder, for an engine that is not ours."""
        chain_format = read_package(folder).chain_format
        context = context_length(AutoConfig.from_pretrained(folder))
        return AutoTokenizer.from_pretrained(folder), chain_format, chain_format.limit(context)

    @property
    def threshold(self) -> float:
        """A step that scores below this is called wrong (fitted on validation data only)."""
        return self.calibration.threshold

    @property
    def limit(self) -> int:
        """Tokens seen at once: the model's context, or with windows their length in training."""
        return self.chain_format.limit(context_length(self.model.config))

    def calibrated(self, calibration: Calibration) -> "Verifier":
        """The same model (shared, not copied) with another temperature and threshold."""
        package = self.package and replace(self.package, calibration=calibration)
        return Verifier(self.model, self.tokenizer, self.chain_format, calibration, package)

    def score(self, questions_and_steps: Sequence[ChainText], batch_size: int = 64) -> list[list[float]]:
        """P(step correct), one list a chain, one number a step, in the order given."""
        margins = self.margins(questions_and_steps, batch_size)
        return [self.calibration.probabilities(chain) for chain in margins]

    def margins(self, questions_and_steps: Sequence[ChainText], batch_size: int = 64) -> list[list[float]]:
        """Raw logit of "correct" minus logit of "wrong" at each step's last token; -inf if truncated.

        Raises:
            VerifierError: the model answers nan.
        """
        began = time.perf_counter()
        parts = encode_chains(questions_and_steps, self.tokenizer, self.chain_format, self.limit)
        encoded = [window.encoded for chain in parts for window in chain]
        device = next(self.model.parameters()).device
        rows = run_batched(encoded, self._forward, _read, batch_size, pad_id(self.tokenizer), device)
        margins = margins_by_step(parts, rows, [len(steps) for _, steps in questions_and_steps])
        require_numbers(margins)
        self._count_truncated(margins)
        self.scored_chains += len(margins)
        self.seconds += time.perf_counter() - began
        return margins

    def begin(self, question: str) -> Prefix:
        """An empty chain for a question, to be extended by `score_next`; nothing is computed yet."""
        start = encode(self.tokenizer, question, (), self.chain_format, self.limit)
        return Prefix(list(start.ids), DynamicCache(config=self.model.config))

    def score_next(self, prefix: Prefix, step: str) -> float:
        """P(step correct) of one more step; `prefix` grows by it and no earlier token is computed again.

        The score is that of `score` on the whole chain. A step past `limit` scores 0.0, as do all that
        follow it (windows are for `score`). `prefix.fork()` keeps a point to return to.
        """
        piece = self.chain_format.pieces("", [step])[1]
        ids = list(self.tokenizer(piece, add_special_tokens=False)["input_ids"])
        if not ids:
            raise VerifierError(f"expected at least one token, found none in {piece!r}; use a separator")
        prefix.full |= prefix.length + len(prefix.pending) + len(ids) > self.limit
        if prefix.full:
            self._count_truncated([[-np.inf]])
            prefix.scores.append(0.0)
            return 0.0
        self.computed_tokens += len(prefix.pending) + len(ids)
        margin = margin_of_next(self.model, prefix, ids)
        require_numbers([[margin]])
        prefix.scores += self.calibration.probabilities([margin])
        return prefix.scores[-1]

    def _forward(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        self.computed_tokens += int(mask.sum())
        logits = self.model(input_ids=input_ids).logits.float()
        return (logits[..., 1] - logits[..., 0]).cpu()

    def _count_truncated(self, margins: Sequence[Sequence[float]]) -> None:
        cut = sum(margin == -np.inf for chain in margins for margin in chain)
        if cut:
            self.truncated_steps += cut
            log.warning("%d steps lie past the verifier's context and score 0", cut)


def _load(folder: Path, package: Package, device: torch.device) -> PreTrainedModel | PeftModel:
    if package.base:
        base = load_classifier(package.base.model, package.base.quantised, device, package.base.layers)
        return PeftModel.from_pretrained(base, str(folder))
    return AutoModelForTokenClassification.from_pretrained(folder, device_map={"": device})


def encode_chains(
    questions_and_steps: Sequence[ChainText],
    tokenizer: PreTrainedTokenizerBase,
    chain_format: ChainFormat,
    limit: int,
) -> list[list[Window]]:
    """What a model is shown of every chain."""
    return [encode_windows(tokenizer, q, s, chain_format, limit) for q, s in questions_and_steps]


def margins_by_step(
    parts: Sequence[Sequence[Window]], rows: Sequence[Sequence[float]], steps: Sequence[int]
) -> list[list[float]]:
    """Margins [chain][step] from `rows`, one a window with one number a step shown; -inf where none is.

    `steps` is how many each chain has."""
    left = iter(rows)
    margins = [[-np.inf] * count for count in steps]
    for chain, found in zip(parts, margins):
        for window in chain:
            row = next(left)
            for step, _ in window.positions:
                found[step] = row[step - window.begin]
    return margins


def require_numbers(margins: Sequence[Sequence[float]]) -> None:
    """Raises VerifierError where a margin is nan: no threshold would find such a step wrong."""
    lost = sum(any(map(math.isnan, chain)) for chain in margins)
    if lost:
        raise VerifierError(
            f"expected a number for every step, found nan in {lost} of {len(margins)} chains: the weights "
            "hold nan, or arithmetic overflowed; train again with a lower learning rate, or score in float32"
        )


def _read(row: torch.Tensor, chain: Encoded) -> list[float]:
    return row[list(chain.ends)].tolist()
