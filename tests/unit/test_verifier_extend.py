"""Steps scored one by one on a key-value cache: the same scores, and every token computed once."""

from pathlib import Path

import pytest
import torch
from tiny_model import draw_head, make_tiny_model

from distill.verifier import Verifier
from distill.verifier.data import ChainFormat, encode
from distill.verifier.model import load_classifier, load_tokenizer

STEPS = [f"{i} + {i} = {2 * i}" for i in range(12)]


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "nf4"])
def verifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    base: Path = make_tiny_model(tmp_path_factory.mktemp("base"), hidden=64, context=192)
    model = draw_head(load_classifier(str(base), request.param, torch.device("cpu")))
    return Verifier(model, load_tokenizer(str(base)), ChainFormat())


def test_one_by_one_gives_the_scores_of_one_pass_and_computes_each_token_once(verifier: Verifier) -> None:
    [whole] = verifier.score([("How many?", STEPS)])
    began = verifier.computed_tokens
    prefix = verifier.begin("How many?")
    found = [verifier.score_next(prefix, step) for step in STEPS]
    assert found == pytest.approx(whole, abs=1e-4)
    assert prefix.scores == found
    once = verifier.computed_tokens - began
    tokens = len(encode(verifier.tokenizer, "How many?", STEPS, ChainFormat(), 192).ids)
    assert once == prefix.length == tokens


def test_a_fork_goes_its_own_way(verifier: Verifier) -> None:
    prefix = verifier.begin("How many?")
    verifier.score_next(prefix, STEPS[0])
    other = prefix.fork()
    first, second = verifier.score_next(prefix, STEPS[1]), verifier.score_next(other, STEPS[5])
    [[_, one], [_, two]] = verifier.score([("How many?", STEPS[:2]), ("How many?", [STEPS[0], STEPS[5]])])
    assert (first, second) == pytest.approx((one, two), abs=1e-4)


def test_past_the_context_a_step_scores_zero_and_is_counted(verifier: Verifier) -> None:
    prefix = verifier.begin("How many?")
    before = verifier.truncated_steps
    scores = [verifier.score_next(prefix, "1 + 1 = 2") for _ in range(40)]
    assert scores[-1] == 0.0 < scores[0]
    assert verifier.truncated_steps - before == scores.count(0.0)
