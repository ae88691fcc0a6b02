"""What a run is measured on is never what it was trained on."""

import pytest
from dataset_samples import labelled

from distill.dataset import BuiltDataset
from distill.errors import DataError
from distill.records import Outcome, ScoredChain
from distill.stages.verifier import _require_apart

BUILT = BuiltDataset([labelled("How many eggs?", "+-")], [labelled("How many geese?", "++")], {})


def held_out(*questions: str) -> list[ScoredChain]:
    return [ScoredChain(q, q, ("a",), "", Outcome.CORRECT, None, question=q) for q in questions]


@pytest.mark.parametrize("question", ["how  many EGGS?", "How many geese?"])
def test_a_held_out_question_that_was_trained_or_validated_on_is_refused(question: str) -> None:
    with pytest.raises(DataError, match=r"found 1 that were"):
        _require_apart(BUILT, held_out("Others?", question))


def test_other_questions_are_let_through() -> None:
    _require_apart(BUILT, held_out("How many ducks?"))
    _require_apart(BUILT, [])
