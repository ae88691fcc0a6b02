"""A verifier folder with its hybrid: scores and exact step checks as one, fitted on validation chains."""

from collections.abc import Sequence
from pathlib import Path

import checkers
from distill.domains import common_domain, judged, step_check
from distill.verifier import Example, Package, Verifier, finish, fit_hybrid


def with_checks(folder: Path, validation: Sequence[Example]) -> Package:
    """Fit the hybrid of a folder's own scores and exact checks, and add it to the folder.

    Raises:
        VerifierError: the labelled steps of `validation` are all of one kind.
    """
    texts = [(item.question, list(item.steps)) for item in validation]
    asked = [step_check(item.domain, item.question, item.steps) for item in validation]
    with checkers.Pool(workers=1) as pool:
        statuses = [[verdict.status.value for verdict in chain] for chain in judged(pool, asked)]
    scores = Verifier.from_pretrained(folder).score(texts)
    hybrid = fit_hybrid(scores, statuses, [item.labels for item in validation])
    return finish(folder, hybrid, {}, common_domain(validation))
