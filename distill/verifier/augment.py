"""Training examples shown a second time, harmlessly perturbed (`verifier.augmentation`)."""

from collections.abc import Sequence

from distill.perturb import Changed, augmented
from distill.verifier.data import Example


def augmented_examples(items: Sequence[Example], share: float, seed: int) -> list[Example]:
    """The examples and, for a share of them, a perturbed copy with all that is known of each step."""
    made = ((item, augmented(item.question, item.steps, item.labels, share, seed)) for item in items)
    return [*items, *(_copy(item, changed) for item, changed in made if changed is not None)]


def _copy(item: Example, changed: Changed) -> Example:
    """Steps of the original keep their soft target and evidence; an added one is certain where labelled."""
    added = tuple((float(label == 1), float(label in (0, 1))) for label in changed.labels)
    known = tuple(zip(item.soft, item.evidence))
    moved = [added[i] if at is None else known[at] for i, at in enumerate(changed.origin)] if known else []
    soft, evidence = tuple(q for q, _ in moved), tuple(w for _, w in moved)
    return Example(changed.question, changed.steps, changed.labels, soft, evidence, item.outcome, item.domain)
