"""Training text for the tiny models, made on the fly from the exact world.

Two corpora share one stream of problems (split "pretrain", which no recipe labels or tests on):

- *solutions*, for the teacher: worked solutions in which a step slips now and then and the slip is
  carried on, as in what people write. The model learns to slip as well, in more ways than arithmetic.
- *marked*, for the verifier's base: like marked homework. Some solutions are right to the end; the
  others break off after their first wrong step with the line `Wrong.`. Nothing of the wrong step
  itself is learnt (its tokens are left out of the loss), only to tell that it is wrong.

Either holds a share of *drills*: the bare equations of solutions, many to a document. They teach the
arithmetic at a fraction of the tokens that it costs inside word problems.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from distill.config import PretrainSettings
from distill.records import derived_seed
from generators.world import corrupt, sample_problem, solve

MARK = "Wrong.\n"
EQUATION = re.compile(r"[\d./() +*-]*\d[\d./() +*-]* = -?[\d./]*\d")
DRILL_PROBLEMS = 6

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
    """One problem with a solution of the corpus' kind, or a drill."""
    rng = random.Random(seed)
    if rng.random() < settings.drill_fraction:
        return _drill(settings, seed, rng)
    problem = sample_problem(seed, "pretrain")
    question = (problem.question + "\n", settings.question_weight)
    if settings.corpus == "marked" and rng.random() < settings.wrong_fraction:
        marked = corrupt(problem, rng, p_equation=settings.stated_fraction)
        if marked is not None:
            return Document((question, *_marked_pieces(marked.steps, marked.first_error, settings)))
    slips = settings.slips if settings.corpus == "solutions" else 0.0
    steps = solve(problem, rng, slips, settings.stated_fraction).steps
    return Document((question, *((step + "\n", 1.0) for step in steps)))


def _drill(settings: PretrainSettings, seed: int, rng: random.Random) -> Document:
    """The equations of a few problems, one a line; in the marked corpus, wrong ones are marked."""
    pieces: list[Piece] = []
    for i in range(DRILL_PROBLEMS):
        problem = sample_problem(derived_seed("drill", seed, i), "pretrain")
        wrong = rng.random() < settings.wrong_fraction if settings.corpus == "marked" else False
        solution = corrupt(problem, rng, "arithmetic", p_equation=1.0) if wrong else None
        solution = solution or solve(problem, rng, p_equation=1.0)
        last = solution.first_error if solution.first_error >= 0 else len(solution.steps) - 1
        for index, step in enumerate(solution.steps[: last + 1]):
            if found := EQUATION.search(step):
                slipped = index == solution.first_error
                left, right = found.group().strip().rsplit(" = ", 1)
                # Nobody can predict the operands: in the loss they drown what is to be learnt.
                pieces += [(f"{left} =", 0.0), (f" {right}\n", 0.0 if slipped else 1.0)]
                pieces += [(MARK, settings.mark_weight)] * slipped
    return Document(tuple(pieces) or ((MARK, 0.0),))


def _marked_pieces(steps: tuple[str, ...], first_error: int, settings: PretrainSettings) -> list[Piece]:
    right = [(step + "\n", 1.0) for step in steps[:first_error]]
    return [*right, (steps[first_error] + "\n", 0.0), (MARK, settings.mark_weight)]
