"""Exports for real with a toy verifier: W4A16, NF4 and the adapter, each scored by a fresh process."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from compressed_tensors.quantization import QuantizationArgs
from safetensors.torch import load_file
from test_verifier_models import HELDOUT, TEXTS, TRAIN, VALIDATION, base, trained  # noqa: F401
from torch import nn

from distill.errors import VerifierError
from distill.verifier import Estimate, Verifier, read_package, size_report, train_verifier
from distill.verifier import ship as shipping
from distill.verifier.card import loading_lines, serving_lines
from distill.verifier.gptq import Integers, NormalFloat, body_layers, input_products, quantise_weight
from distill.verifier.model import load_classifier
from distill.verifier.reload import margins_afresh
from distill.verifier.ship import Trained, require_same, ship
from distill.verifier.w4a16 import weight_args

ARGS = QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=32, symmetric=True)


@pytest.fixture(scope="module")
def source(trained: Any) -> Trained:  # noqa: F811
    chains = (TRAIN, VALIDATION, HELDOUT)
    return Trained(trained.nf4, trained.full, *chains, trained.settings, {"recipe": "abc"}, 200)


@pytest.fixture(scope="module")
def w4a16(source: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("w4a16") / "verifier"
    ship(source, "w4a16", folder)
    return folder


def test_gptq_makes_a_layer_answer_better_than_rounding_does() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(400, 64) @ torch.randn(64, 64)
    weight = torch.randn(48, 64)
    found, scales = quantise_weight(weight, inputs.T @ inputs, Integers(ARGS))
    plain, _ = quantise_weight(weight, torch.eye(64), Integers(ARGS))

    def error(candidate: torch.Tensor) -> float:
        return float(((candidate - weight) @ inputs.T).norm())

    assert error(found) < 0.8 * error(plain)
    levels = found.view(48, 2, 32) / scales[..., None]
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert levels.round().min() >= -8
    assert levels.round().max() <= 7
    assert torch.equal(scales, scales.bfloat16().float())


def test_bitsandbytes_finds_every_weight_on_its_grid() -> None:
    """What GPTQ made of a weight survives the library's own quantisation; the weight itself does not, and
    its layer answers worse."""
    torch.manual_seed(0)
    inputs = torch.randn(400, 128) @ torch.randn(128, 128)
    weight = torch.randn(48, 128)
    found, _ = quantise_weight(weight, inputs.T @ inputs, NormalFloat())

    def by_library(given: torch.Tensor) -> torch.Tensor:
        return dequantize_4bit(*quantize_4bit(given, blocksize=64, quant_type="nf4"))

    def error(candidate: torch.Tensor) -> float:
        return float(((candidate - weight) @ inputs.T).norm())

    assert torch.allclose(by_library(found), found, atol=1e-6)
    assert error(found) < 0.8 * error(by_library(weight))


def test_inputs_that_were_never_seen_are_rounded_plainly() -> None:
    weight = torch.randn(8, 64)
    found, _ = quantise_weight(weight, torch.zeros(64, 64), Integers(ARGS))
    assert torch.isfinite(found).all()
    assert float((found - weight).abs().max()) < 0.3


def test_input_products_are_those_of_the_layer(base: Path) -> None:  # noqa: F811
    model = load_classifier(str(base), False, torch.device("cpu"))
    layers = {"q": body_layers(model)["model.layers.0.self_attn.q_proj"]}
    normed = []
    norm = model.get_submodule("model.layers.0.input_layernorm")
    handle = norm.register_forward_hook(lambda module, inputs, output: normed.append(output[0]))
    [product] = input_products(model, layers, [(5, 6, 7), (8, 9)]).values()
    handle.remove()
    assert torch.allclose(product, sum(x.T @ x for x in normed), atol=1e-4)
    assert not layers["q"]._forward_pre_hooks


def test_the_group_is_what_the_layers_allow() -> None:
    assert weight_args({"a": nn.Linear(256, 8), "b": nn.Linear(128, 8)}).group_size == 128
    assert weight_args({"a": nn.Linear(576, 8), "b": nn.Linear(1536, 8)}).group_size == 64
    with pytest.raises(VerifierError, match=r"found \[48\]; ship this base as nf4"):
        weight_args({"a": nn.Linear(48, 8)})


def test_w4a16_is_packed_as_the_library_wants_it(w4a16: Path) -> None:
    config = json.loads((w4a16 / "config.json").read_text())["quantization_config"]
    assert config["quant_method"] == "compressed-tensors"
    assert config["format"] == "pack-quantized"
    assert config["quantization_status"] == "compressed"
    assert config["ignore"] == ["score"]
    weights = load_file(w4a16 / "model.safetensors")
    packed = weights["model.layers.0.mlp.down_proj.weight_packed"]
    assert (packed.dtype, packed.shape) == (torch.int32, (128, 256 // 8))
    assert weights["model.layers.0.mlp.down_proj.weight_scale"].shape == (128, 2)
    assert weights["score.weight"].shape == (2, 128)
    assert size_report(w4a16).quantised_fraction < 0.30


def test_w4a16_scores_near_the_model_as_trained_and_keeps_its_calibration(w4a16: Path) -> None:
    package = read_package(w4a16)
    figures = package.figures["forms"]["w4a16"]
    assert figures["chains"] == len(HELDOUT)
    assert 0 < figures["mean_change"] < 0.05
    assert figures["f1_change"]["value"] >= -0.01
    assert package.calibration.temperature == figures["temperature"]
    assert Verifier.from_pretrained(w4a16).threshold == figures["threshold"]
    card = (w4a16 / "README.md").read_text()
    assert f"| {figures['mean_change']:.5f} | {figures['max_change']:.4f} |" in card
    assert serving_lines("path/to/this/folder")[0] in card


@pytest.mark.parametrize("quantised", [False, True], ids=["float32", "nf4"])
def test_the_adapter_is_the_model_as_trained(
    source: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantised: bool
) -> None:
    if not quantised:
        monkeypatch.setattr(shipping, "margins_afresh", in_this_process)
    folder = tmp_path / "adapter"
    package = ship(replace(source, full_precision=None) if quantised else source, "adapter", folder)
    assert package.figures["forms"]["lora"]["max_change"] < 1e-4
    assert package.base is not None
    assert package.base.quantised == quantised
    assert read_package(folder) == package
    assert scored_by_the_card(folder) == pytest.approx(scored_by_us(folder), abs=1e-4)


@pytest.fixture(scope="module")
def shallow(source: Trained, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained on the first of the base's two layers."""
    folder = tmp_path_factory.mktemp("shallow")
    asked = source.settings.model_copy(update={"layers": 1, "epochs": 1.0})
    made = train_verifier(TRAIN, VALIDATION, asked, True, folder, 7)
    return replace(source, quantised=made, full_precision=None, settings=asked)


@pytest.mark.parametrize("made_as", ["nf4", "w4a16", "adapter"])
def test_a_verifier_of_the_first_layers_is_shipped_with_those_alone(
    shallow: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_as: Any
) -> None:
    monkeypatch.setattr(shipping, "margins_afresh", in_this_process)
    monkeypatch.setattr(
        shipping, "require_kept", lambda figures: None
    )  # one epoch: what 4 bits cost is noise
    package = ship(shallow, made_as, tmp_path / made_as)
    assert package.provenance["layers"] == 1
    names = [path.name for path in (tmp_path / made_as).glob("*.safetensors")]
    weights = [name for file in names for name in load_file(tmp_path / made_as / file)]
    assert any("layers.0." in name for name in weights)
    assert not any("layers.1." in name for name in weights)
    assert scored_by_the_card(tmp_path / made_as) == pytest.approx(scored_by_us(tmp_path / made_as), abs=1e-4)


def test_the_lines_of_the_card_score_w4a16_as_we_do(w4a16: Path) -> None:
    assert scored_by_the_card(w4a16) == pytest.approx(scored_by_us(w4a16), abs=1e-5)


def in_this_process(folder: Path, texts: Any, engine: str) -> list[list[float]]:
    """Where the fresh process is not what is tested: it takes seconds to start."""
    return Verifier.from_pretrained(folder).margins(texts)


def scored_by_us(folder: Path) -> list[float]:
    return Verifier.from_pretrained(folder).score(TEXTS[:1])[0]


def scored_by_the_card(folder: Path) -> list[float]:
    package = read_package(folder)
    how = package.chain_format, package.calibration.temperature, package.base
    question, steps = TEXTS[0]
    assert loading_lines("path/to/this/folder", *how) in (folder / "README.md").read_text()
    names: dict[str, Any] = {"question": question, "steps": steps}
    exec(loading_lines(str(folder), *how), names)
    return list(names["scores"].tolist())


def test_nf4_is_scored_again_by_a_fresh_process(source: Trained, tmp_path: Path) -> None:
    package = ship(source, "nf4", tmp_path / "nf4")
    assert package.form in ("adapter", "merged", "full_precision")
    assert [path.name for path in tmp_path.iterdir()] == ["nf4"]
    assert (tmp_path / "nf4" / "README.md").exists()


def test_an_export_that_fails_its_check_leaves_nothing(
    source: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = shipping.form_figures

    def worse(*told: Any) -> Any:
        return replace(honest(*told), f1_change=Estimate(-0.031, -0.05, -0.012))

    monkeypatch.setattr(shipping, "margins_afresh", in_this_process)
    monkeypatch.setattr(shipping, "form_figures", worse)
    with pytest.raises(VerifierError, match=r"w4a16: mean .* largest .* F1 change -3\.10 \[-5\.00, -1\.20\]"):
        ship(source, "w4a16", tmp_path / "refused")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_an_engine_cannot_load_is_refused_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(VerifierError, match=r"expected transformers to load(.|\n)*verifier\.json"):
        margins_afresh(tmp_path, TEXTS[:1], "transformers")


def test_scores_that_differ_in_a_fresh_process_are_refused() -> None:
    require_same([[0.0, 1.0]], [[0.0, 1.0001]])
    with pytest.raises(VerifierError, match=r"found 0\.0"):
        require_same([[0.0, 1.0]], [[0.0, 1.1]])
    with pytest.raises(VerifierError, match="found nan"):
        require_same([[0.0]], [[float("nan")]])


def test_a_folder_that_is_there_is_not_overwritten(source: Trained, tmp_path: Path) -> None:
    with pytest.raises(VerifierError, match="delete it or give another"):
        ship(source, "adapter", tmp_path)
