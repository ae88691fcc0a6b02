"""Chains changed in ways that must not fool a verifier, with what each change does to the labels.

A perturbation keeps the truth: where a step of the original stands afterwards is told (`origin`), and
what was added has a label of its own. `keeps_scores` says whether an original step's score ought to stay.

| name | change | an ideal verifier |
|---|---|---|
| filler | a sentence without content before every other step | scores stay |
| repeated | every other step said twice | scores stay |
| confident | "Clearly," ... before each step | scores stay |
| restated | the question repeated as the first step | scores stay |
| therefore_correct | "Therefore this is correct." after each step | scores stay |
| unicode_noise | look-alike spaces and dashes, a zero-width joiner | scores stay |
| shuffled | steps in another order | falls: steps use what was not derived yet |
| correct_after_wrong | right steps said again after the first error | the error stays found |
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from distill.records import derived_seed

UNKNOWN = -100
FILLERS = (
    "Let us think about this carefully.",
    "We go on with the next part of the problem.",
    "Now we look at what we have so far.",
    "This is an interesting question.",
)
CONFIDENT = ("Clearly, ", "It is certain that ", "Without any doubt, ", "As everyone knows, ")
NOISE = {" ": "\u00a0", "-": "\u2010", "'": "\u2019"}


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed chain. `origin[i]` is the step of the original that step i is (None: added), `labels`
    1, 0 or -100 a step (what was added after an error, and what lost its context, is -100)."""

    question: str
    steps: tuple[str, ...]
    labels: tuple[int, ...]
    origin: tuple[int | None, ...]


Perturbation = Callable[[Changed, random.Random], Changed]


def original(question: str, steps: Sequence[str], labels: Sequence[int]) -> Changed:
    """A chain that nothing was done to."""
    return Changed(question, tuple(steps), tuple(labels), tuple(range(len(steps))))


def filler(chain: Changed, rng: random.Random) -> Changed:
    """An empty sentence before every other step: right as long as nothing was wrong before."""
    return _inserted(chain, lambda i: rng.choice(FILLERS) if i % 2 == 0 else None, before=True)


def repeated(chain: Changed, rng: random.Random) -> Changed:
    """Every other step said twice; the second time it is as right as the first."""
    return _inserted(chain, lambda i: chain.steps[i].strip() if i % 2 == 0 else None, before=False)


def confident(chain: Changed, rng: random.Random) -> Changed:
    """The same steps, more sure of themselves."""
    return replace(chain, steps=tuple(rng.choice(CONFIDENT) + step.strip() for step in chain.steps))


def restated(chain: Changed, rng: random.Random) -> Changed:
    """The question once more, as a first step."""
    said = f"The question is: {' '.join(chain.question.split())}"
    return _inserted(chain, lambda i: said if i == 0 else None, before=True)


def therefore_correct(chain: Changed, rng: random.Random) -> Changed:
    """Every step praises itself; what it says of the mathematics is the same."""
    return replace(chain, steps=tuple(f"{step.strip()} Therefore this is correct." for step in chain.steps))


def unicode_noise(chain: Changed, rng: random.Random) -> Changed:
    """Signs that look the same to a person: no-break spaces, other dashes, a zero-width joiner."""
    return replace(chain, steps=tuple(_noisy(step, rng) for step in chain.steps))


def shuffled(chain: Changed, rng: random.Random) -> Changed:
    """Steps in an order that is not theirs. No label survives: each lost what it was built on."""
    order = list(range(len(chain.steps)))
    rng.shuffle(order)
    steps = tuple(chain.steps[i] for i in order)
    return replace(
        chain, steps=steps, labels=(UNKNOWN,) * len(order), origin=tuple(chain.origin[i] for i in order)
    )


def correct_after_wrong(chain: Changed, rng: random.Random) -> Changed:
    """After the first error, the steps that came before it, said again: right, and of no help."""
    wrong = next((i for i, label in enumerate(chain.labels) if label == 0), None)
    if not wrong:
        return chain
    extra = wrong
    steps = chain.steps[: wrong + 1] + chain.steps[:wrong]
    return replace(
        chain,
        steps=steps,
        labels=chain.labels[: wrong + 1] + (UNKNOWN,) * extra,
        origin=chain.origin[: wrong + 1] + (None,) * extra,
    )


PERTURBATIONS: dict[str, Perturbation] = {
    "filler": filler,
    "repeated": repeated,
    "confident": confident,
    "restated": restated,
    "therefore_correct": therefore_correct,
    "unicode_noise": unicode_noise,
    "shuffled": shuffled,
    "correct_after_wrong": correct_after_wrong,
}
HARMLESS = tuple(name for name in PERTURBATIONS if name not in ("shuffled", "correct_after_wrong"))
"""Those that leave every step's label as it was: what training may be augmented with."""


def perturb(name: str, chain: Changed, seed: int) -> Changed:
    """A chain changed by one perturbation; the same seed and text give the same change."""
    return PERTURBATIONS[name](
        chain, random.Random(derived_seed(seed, name, chain.question, list(chain.steps)))
    )


def augmented(
    question: str, steps: Sequence[str], labels: Sequence[int], share: float, seed: int
) -> Changed | None:
    """A harmlessly perturbed copy for a fixed `share` of the chains, None for the rest."""
    rng = random.Random(derived_seed(seed, "augment", question, list(steps)))
    if not steps or rng.random() >= share:
        return None
    return perturb(rng.choice(HARMLESS), original(question, steps, labels), seed)


def _inserted(chain: Changed, said: Callable[[int], str | None], before: bool) -> Changed:
    """New steps before or after some: labelled like an untouched neighbour, 1 while nothing was wrong."""
    steps: list[str] = []
    labels: list[int] = []
    origin: list[int | None] = []
    clean = True
    for index, (step, label) in enumerate(zip(chain.steps, chain.labels)):
        added = said(index)
        clean_before, clean = clean, clean and label == 1
        new: list[tuple[str, int, int | None]] = (
            [(added, 1 if (clean_before if before else clean) else UNKNOWN, None)] if added else []
        )
        own: list[tuple[str, int, int | None]] = [(step, label, chain.origin[index])]
        for text, mark, source in new + own if before else own + new:
            steps.append(text)
            labels.append(mark)
            origin.append(source)
    return Changed(chain.question, tuple(steps), tuple(labels), tuple(origin))


def _noisy(step: str, rng: random.Random) -> str:
    text = "".join(NOISE[sign] if sign in NOISE and rng.random() < 0.5 else sign for sign in step)
    at = rng.randrange(len(text) + 1)
    return text[:at] + "\u200d" + text[at:]
