"""Training text for the tiny models, made on the fly from the exact world.

Two corpora share one stream of problems (split "pretrain", which no recipe labels or tests on):

- *solutions*, for the teacher: worked solutions in which a step slips now and then and the slip is
  carried on, as in what people write. The model learns to slip as well, in more ways than arithmetic.
- *marked*, for the verifier's base: like marked homework. A wrong step is followed by the line `Wrong.`
  and tried again, so that one solution holds many marks. Nothing of a wrong step itself is learnt (its
  tokens are left out of the loss), only to tell that it is wrong.

Either holds a share of *drills*: the bare equations of solutions, many to a document, and of *recitals*:
a question and its facts restated in another order. They teach arithmetic, and finding the number that
belongs to a name, at a fraction of the tokens that it costs inside word problems.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, NamedTuple

from distill.config import PretrainSettings
from distill.records import Problem, derived_seed
from generators.truth import world
from generators.world import attempts, recite, sample_problem, solve

MARK = "Wrong.\n"
EQUATION = re.compile(r"[\d./() +*-]*\d[\d./() +*-]* = -?[\d./]*\d")
NUMBER = re.compile(r" ?\d[\d./]*(?<=\d)")
DRILL_PROBLEMS = 6


class Piece(NamedTuple):
    """Text that is learnt with one weight, and whether the step that it is of has gone wrong by then
    (None: not part of a step, or nobody asks)."""

    text: str
    weight: float
    wrong: bool | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """Text in pieces, each with the weight of its tokens in the loss."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(piece.text for piece in self.pieces)


def documents(
    settings: PretrainSettings, stream: Literal["train", "eval"], start: int = 0, stride: int = 1
) -> Iterator[Document]:
    """Endless documents from number `start` on, every `stride`-th; a function of the settings alone."""
    for index in count(start, stride):
        yield document(settings, derived_seed("pretrain", settings.seed, settings.corpus, stream, index))


def document(settings: PretrainSettings, seed: int) -> Document:
    """One problem with a solution of the corpus' kind, or a drill."""
    rng = random.Random(seed)
    if (name := _world_of(settings, rng)) != "arith":
        known = world(f"{name}-world")
        problem = known.sample_problem(seed, "pretrain")
        return _solution(settings, problem, known.solve(problem, rng, settings.slips).steps)
    kind = rng.random()
    if kind < settings.drill_fraction:
        return _drill(settings, seed, rng)
    problem = sample_problem(seed, "pretrain")
    question = Piece(problem.question + "\n", settings.question_weight)
    if kind < settings.drill_fraction + settings.recital_fraction:
        return Document((question, *_recital(settings, problem, rng)))
    if settings.corpus == "marked":
        tries = attempts(problem, rng, settings.wrong_fraction, settings.stated_fraction)
        return Document(
            (question, *(piece for a in tries for piece in _marked(a.step, a.wrong_at, settings)))
        )
    return _solution(settings, problem, solve(problem, rng, settings.slips, settings.stated_fraction).steps)


def _world_of(settings: PretrainSettings, rng: random.Random) -> str:
    worlds = settings.worlds
    return worlds[0] if len(worlds) == 1 else worlds[int(rng.random() * len(worlds))]


def _solution(settings: PretrainSettings, problem: Problem, steps: Sequence[str]) -> Document:
    question = Piece(problem.question + "\n", settings.question_weight)
    return Document((question, *(Piece(step + "\n", 1.0) for step in steps)))


def _marked(text: str, wrong_at: int | None, settings: PretrainSettings) -> list[Piece]:
    """A right line to be learnt, or a wrong one of which only the mark is."""
    if wrong_at is None:
        return [Piece(text + "\n", 1.0, False)]
    cut = max(text.rfind(" ", 0, wrong_at + 1), 0)  # the tokenizer always splits before a blank
    right, wrong = Piece(text[:cut], 0.0, False), Piece(text[cut:] + "\n", 0.0, True)
    return [right, wrong, Piece(MARK, settings.mark_weight)][not cut :]


def _recital(settings: PretrainSettings, problem: Problem, rng: random.Random) -> list[Piece]:
    """Every fact restated; in the marked corpus, wrong ones are marked."""
    p_wrong = settings.wrong_fraction if settings.corpus == "marked" else 0.0
    pieces: list[Piece] = []
    for attempt in recite(problem, rng, p_wrong):
        number = NUMBER.search(attempt.step)
        if not attempt.right or number is None:
            pieces += _marked(attempt.step, attempt.wrong_at, settings)
            continue
        # Which fact comes next cannot be told, what its number is can.
        before, after = attempt.step[: number.start()], attempt.step[number.end() :] + "\n"
        pieces += [Piece(before, settings.question_weight, False)] * bool(before)
        pieces += [Piece(number.group(), 1.0, False), Piece(after, settings.question_weight, False)]
    return pieces


def _drill(settings: PretrainSettings, seed: int, rng: random.Random) -> Document:
    """The equations of a few problems, one a line; in the marked corpus, wrong ones are marked."""
    p_wrong = settings.wrong_fraction if settings.corpus == "marked" else 0.0
    pieces: list[Piece] = []
    for i in range(DRILL_PROBLEMS):
        problem = sample_problem(derived_seed("drill", seed, i), "pretrain")
        for attempt in attempts(problem, rng, p_wrong, p_equation=1.0, kind="arithmetic"):
            if found := EQUATION.search(attempt.step):
                left, right = found.group().strip().rsplit(" = ", 1)
                # Nobody can predict the operands: in the loss they drown what is to be learnt.
                pieces.append(Piece(f"{left} =", 0.0, False))
                pieces += _marked(f" {right}", None if attempt.right else 0, settings)
    return Document(tuple(pieces) or (Piece(MARK, 0.0),))
