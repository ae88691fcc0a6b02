"""The training text of the tiny models: what is learnt, what is not, and how it is cut into tokens."""

from itertools import islice

import pytest

from distill.config import PretrainSettings
from generators.tiny.corpus import MARK, Document, documents
from generators.tiny.pretrain import encode_document, schedule
from generators.tiny.tokenizer import train_tokenizer


def settings(**changes: object) -> PretrainSettings:
    mixed = {"drill_fraction": 0.3, "recital_fraction": 0.3, "wrong_fraction": 0.4}
    return PretrainSettings.model_validate({"name": "x", **mixed, **changes})


def drawn(count: int = 120, **changes: object) -> list[Document]:
    return list(islice(documents(settings(**changes), "train"), count))


@pytest.mark.parametrize("corpus", ["solutions", "marked"])
def test_documents_are_a_function_of_the_settings(corpus: str) -> None:
    assert drawn(20, corpus=corpus) == drawn(20, corpus=corpus)
    assert drawn(20, corpus=corpus) != drawn(20, corpus=corpus, seed=1)


@pytest.mark.parametrize("corpus", ["solutions", "marked"])
def test_pieces_are_cut_where_tokens_end(corpus: str) -> None:
    docs = drawn(corpus=corpus)
    tokenizer = train_tokenizer((doc.text for doc in docs), 600)
    for doc in docs:
        ids, weights, doubts = encode_document(tokenizer, doc)
        assert ids == [*tokenizer(doc.text)["input_ids"], tokenizer.eos_token_id]
        assert len(weights) == len(doubts) == len(ids)
        assert tokenizer.decode(ids[:-1]) == doc.text


def test_a_wrong_step_is_marked_and_never_learnt() -> None:
    marks = 0
    for doc in drawn(corpus="marked", mark_weight=3.0):
        for piece, following in zip(doc.pieces, doc.pieces[1:]):
            assert (following.text == MARK) == bool(piece.wrong), (piece, doc)
            if piece.wrong:
                assert (piece.weight, following.weight) == (0.0, 3.0)
                marks += 1
    assert marks > 100
    assert not any(MARK in doc.text for doc in drawn(corpus="solutions"))


def test_a_recital_is_learnt_by_its_numbers() -> None:
    docs = drawn(drill_fraction=0.0, recital_fraction=1.0, corpus="solutions", question_weight=0.1)
    for doc in docs:
        assert doc.pieces[0].weight == 0.1
        for piece in doc.pieces[1:]:
            assert (piece.weight == 1.0) == any(c.isdigit() for c in piece.text), piece


def test_the_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    known = settings(steps=1000, warmup_steps=50)
    assert schedule(25, known) == pytest.approx(0.501)
    assert schedule(50, known) == schedule(399, known) == 1.0
    assert schedule(700, known) == pytest.approx(0.5)
    assert schedule(1000, known) == 0.0
