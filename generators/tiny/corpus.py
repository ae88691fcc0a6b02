"""Training text for the tiny models, made on the fly from the exact world.

Two corpora share one stream of problems (split "pretrain", which no recipe labels or tests on):

- *solutions*, for the teacher: worked solutions in which a step slips now and then and the slip is
  carried on, as in what people write. The model learns to slip as well, in more ways than arithmetic.
- *marked*, for the verifier's base: like marked homework. Some solutions are right to the end; the
  others break off after their first wrong step with the line `Wrong.`. Nothing of the wrong step
  itself is learnt (its tokens are left out of the loss), only to tell that it is wrong.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from distill.config import PretrainSettings
from distill.records import derived_seed
from generators.world import corrupt, sample_problem, solve

MARK = "Wrong.\n"

Piece = tuple[str, float]


@dataclass(frozen=True, slots=True)
class Document:
    """Text in pieces, each with the weight of its tokens in the loss."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(piece for piece, _ in self.pieces)


def documents(settings: PretrainSettings, stream: Literal["train", "eval"]) -> Iterator[Document]:
    """Endless documents, a function of the settings alone."""
    index = 0
    while True:
        seed = derived_seed("pretrain", settings.seed, settings.corpus, stream, index)
        yield document(settings, seed)
        index += 1


def document(settings: PretrainSettings, seed: int) -> Document:
    """One problem with a solution of the corpus' kind."""
    problem = sample_problem(seed, "pretrain")
    rng = random.Random(seed)
    question = (problem.question + "\n", 0.0)
    if settings.corpus == "marked" and rng.random() < settings.wrong_fraction:
        marked = corrupt(problem, rng)
        if marked is not None:
            return Document((question, *_marked_pieces(marked.steps, marked.first_error, settings)))
    slips = settings.slips if settings.corpus == "solutions" else 0.0
    steps = solve(problem, rng, slips=slips).steps
    return Document((question, *((step + "\n", 1.0) for step in steps)))


def _marked_pieces(steps: tuple[str, ...], first_error: int, settings: PretrainSettings) -> list[Piece]:
    right = [(step + "\n", 1.0) for step in steps[:first_error]]
    return [*right, (steps[first_error] + "\n", 0.0), (MARK, settings.mark_weight)]
