"""The training text of the tiny models: what is learnt, what is not, and how it is cut into tokens."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from distill.config import PretrainSettings
from distill.errors import RecipeError
from generators.tiny import pretrain as training
from generators.tiny.corpus import MARK, Document, documents
from generators.tiny.pretrain import build, encode_document, pretrain, schedule
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


TINY = {"hidden_size": 32, "intermediate_size": 64, "layers": 2, "heads": 2, "vocab_size": 400}


@pytest.fixture(autouse=True)
def few_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "TOKENIZER_DOCUMENTS", 200)
    monkeypatch.setattr(training, "HELDOUT_DOCUMENTS", 16)
    monkeypatch.setattr(training, "POOL_BATCHES", 4)


def test_a_training_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in its third step, the same command takes the steps that are left and no more."""
    asked_of = settings(steps=5, batch_size=2, corpus="marked", exit_layer=1, doubt_weight=1.0, **TINY)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    step, taken = training._train_step, []

    def dies_in_the_third(*args: object) -> tuple[float, int]:
        taken.append(1)
        if len(taken) == 3:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(training, "_train_step", dies_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        pretrain(asked_of, tmp_path)
    figures = pretrain(asked_of, tmp_path)
    assert len(taken) == 3 + 3
    assert figures["tokens"] > 0
    assert 0 < figures["loss"] < 10
    assert sorted(path.name for path in tmp_path.iterdir() if "token" not in path.name) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "training.json",
    ]


def test_surprise_is_the_log_probability_of_each_token_and_of_its_line_so_far() -> None:
    """Lines end after tokens 2 and 4; a token is judged by the prediction made before it."""
    torch.manual_seed(0)
    ids, logits = torch.tensor([[5, 6, 9, 7, 9, 8, 8]]), 4 * torch.randn(1, 7, 32)
    each, mean = training.surprises(logits, ids, newline=9)
    logprobs = logits[0].log_softmax(-1)
    expected = [0.0, *(max(float(logprobs[t - 1, ids[0, t]]), -8.0) for t in range(1, 7))]
    assert each[0].tolist() == pytest.approx(expected, abs=1e-5)
    lines = [range(3), range(3, 5), range(5, 7)]
    means = [sum(expected[line.start : t + 1]) / (t + 1 - line.start) for line in lines for t in line]
    assert mean[0].tolist() == pytest.approx(means, abs=1e-5)


@pytest.mark.parametrize("exit_layer", [0, 1, 2])
def test_surprise_needs_two_blocks_above_the_prediction(exit_layer: int) -> None:
    with pytest.raises(RecipeError, match="expected an exit_layer with two blocks above it"):
        build(settings(**TINY, exit_layer=exit_layer, surprise_weight=1.0))


def test_a_training_with_surprise_saves_a_plain_llama(tmp_path: Path) -> None:
    """What surprise is read off serves the training only; every block learns."""
    shape = {**TINY, "layers": 3, "exit_layer": 1, "corpus": "marked", "steps": 2, "batch_size": 2}
    pretrain(settings(**shape), tmp_path / "first")
    onward = {"start": str(tmp_path / "first"), "surprise_weight": 1.0, "warmup_steps": 0, "seed": 3}
    pretrain(settings(**shape, **onward), tmp_path / "second")
    first, second = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("first", "second")
    )
    assert first.keys() == second.keys()
    matrices = [name for name in first if "mlp" in name]
    assert matrices
    assert not any(torch.equal(first[name], second[name]) for name in matrices)


def test_a_training_can_start_from_another(tmp_path: Path) -> None:
    first = settings(steps=1, batch_size=2, **TINY)
    pretrain(first, tmp_path / "first")
    onward = {"start": str(tmp_path / "first"), "steps": 1, "seed": 9}
    model, tokenizer = build(settings(**TINY, **onward))
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "first", dtype=torch.float32)
    for name, weight in trained.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(tmp_path / "first").get_vocab()
    with pytest.raises(RecipeError, match="of the recipe's own shape, found num_hidden_layers 2"):
        build(settings(**{**TINY, **onward, "layers": 3}))
