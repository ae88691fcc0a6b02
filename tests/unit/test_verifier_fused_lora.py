"""The fused LoRA layers against peft's own: same outputs, same gradients, and nothing left behind."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_model import make_tiny_model

from distill.config import LoraSettings
from distill.verifier.fused_lora import fused_lora
from distill.verifier.model import load_classifier, lora_config

CPU = torch.device("cpu")
IDS = torch.randint(5, 60, (3, 40), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fused") / "base"
    make_tiny_model(folder, hidden=64, context=256, spread=0.05)
    return folder


def adapted(base: Path, config: LoraConfig | None = None, quantise: bool = False):
    """A model whose adapters and head are not zero."""
    torch.manual_seed(0)
    model = get_peft_model(
        load_classifier(str(base), quantise, CPU), config or lora_config(LoraSettings())
    ).train()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "lora_A" not in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def learnt(model, mixed: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits and the gradient of every trained parameter."""
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        logits = model(input_ids=IDS).logits
    logits.float().pow(2).mean().backward()
    return logits.detach().float(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("mixed", "bound"), [(False, 1e-5), (True, 0.05)])
def test_outputs_and_gradients_are_peft_s(base: Path, mixed: bool, bound: float, checkpointing: bool) -> None:
    model = adapted(base)
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    logits, gradients = learnt(model, mixed)
    with fused_lora(model) as layers:
        fused_logits, fused_gradients = learnt(model, mixed)
    assert layers == len(LoraSettings().targets) * model.config.num_hidden_layers
    torch.testing.assert_close(fused_logits, logits, rtol=bound, atol=bound)
    assert fused_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert gradient.norm() > 0
        assert (fused_gradients[name] - gradient).norm() <= bound * gradient.norm(), name
    assert all("forward" not in vars(layer) for layer in model.modules())


def test_a_bias_of_the_base_is_added(base: Path) -> None:
    model = adapted(base)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    layer.base_layer.bias = torch.nn.Parameter(torch.randn(layer.out_features), requires_grad=False)
    x = torch.randn(5, layer.in_features)
    plain = layer(x)
    with fused_lora(model):
        torch.testing.assert_close(layer(x), plain)


@pytest.mark.parametrize("changes", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_other_kinds_are_left_to_peft(base: Path, changes: dict[str, object]) -> None:
    config = lora_config(LoraSettings())
    with fused_lora(adapted(base, LoraConfig(**(config.to_dict() | changes)))) as layers:
        assert layers == 0


def test_four_bit_layers_are_left_to_peft(base: Path) -> None:
    with fused_lora(adapted(base, quantise=True)) as layers:
        assert layers == 0
