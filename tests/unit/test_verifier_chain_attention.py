"""Attention chain by chain against `transformers`' own masked rows: same scores, same gradients."""

from pathlib import Path

import pytest
import torch
from tiny_model import draw_head, make_tiny_model
from transformers import AutoModelForTokenClassification, MistralConfig

from distill.verifier.chain_attention import NAME, chain_attention
from distill.verifier.model import load_classifier

CPU = torch.device("cpu")
LENGTHS = ((20, 40), (60,), (10, 30, 20))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("attention") / "base"
    make_tiny_model(folder, hidden=64, context=256, spread=0.05)
    loaded = load_classifier(str(folder), False, CPU).train()
    draw_head(loaded)
    return loaded


def learnt(model, asked: dict[str, torch.Tensor], counts: torch.Tensor):
    """Logits, and the gradient of every parameter when only tokens that count are in the loss."""
    model.zero_grad()
    logits = model(**asked).logits
    (logits.pow(2).sum(-1) * counts).sum().backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def packed() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    positions = torch.stack([torch.cat([torch.arange(n) for n in row]) for row in LENGTHS])
    return {"input_ids": ids(), "position_ids": positions}, torch.ones(3, 60)


def padded() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    mask = torch.ones(3, 60, dtype=torch.long)
    mask[1, 40:], mask[2, 30:] = 0, 0
    return {"input_ids": ids(), "attention_mask": mask}, mask.float()


def ids() -> torch.Tensor:
    return torch.randint(5, 60, (3, 60), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("batch", [packed, padded])
def test_the_same_numbers_as_behind_a_mask(model, batch) -> None:
    asked, counts = batch()
    logits, gradients = learnt(model, asked, counts)
    with chain_attention(model) as does:
        assert does
        own_logits, own_gradients = learnt(model, asked, counts)
    real = counts.bool()
    assert logits[real].abs().max() > 0.1
    torch.testing.assert_close(own_logits[real], logits[real], rtol=1e-4, atol=1e-4)
    for name, gradient in gradients.items():
        assert (own_gradients[name] - gradient).norm() <= 1e-4 * gradient.norm(), name
    assert model.config._attn_implementation == "sdpa"


def test_a_chain_does_not_see_the_one_before_it(model) -> None:
    asked, _ = packed()
    with chain_attention(model), torch.no_grad():
        before = model(**asked).logits
        asked["input_ids"][0, :20] = 7
        after = model(**asked).logits
    assert torch.equal(before[0, 20:], after[0, 20:])
    assert not torch.equal(before[0, :20], after[0, :20])


def test_a_window_of_attention_is_left_to_transformers() -> None:
    config = MistralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=8,
    )  # fmt: skip
    other = AutoModelForTokenClassification.from_config(config)
    with chain_attention(other) as does:
        assert not does
        assert other.config._attn_implementation != NAME
