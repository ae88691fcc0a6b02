"""Training, scoring and exporting a toy verifier for real: NF4, LoRA, plain `transformers`."""

import json
import random
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file
from tiny_model import draw_head
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from distill.config import LoraSettings, VerifierSettings
from distill.errors import VerifierError
from distill.verifier import (
    Example,
    HeldoutChain,
    Verifier,
    export,
    finish,
    fit_hybrid,
    read_package,
    size_report,
    step_logprobs,
    train_verifier,
)
from distill.verifier.card import loading_lines
from distill.verifier.data import ChainFormat
from distill.verifier.export import choose
from distill.verifier.forms import replace_by_dequantised
from distill.verifier.model import four_bit_layers, hold_unpacked, load_classifier, lora_config
from distill.verifier.train import last_checkpoint
from generators.tiny.tokenizer import train_tokenizer

CPU = torch.device("cpu")


def toy_chains(count, seed):
    """A step is wrong when it says so; enough for a verifier to learn in seconds."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        wrong = rng.choice([None, 0, 1, 2])
        steps = tuple(
            f"{rng.randint(0, 9)} {'minus' if i == wrong else 'plus'} {rng.randint(0, 9)}" for i in range(3)
        )
        labels = tuple(1 if wrong is None or i < wrong else 0 if i == wrong else -100 for i in range(3))
        made.append(Example(f"Question {rng.randint(0, 9)}?", steps, labels))
    return made


TRAIN, VALIDATION, TEST = toy_chains(160, 0), toy_chains(40, 1), toy_chains(40, 2)
TEXTS = [(item.question, item.steps) for item in TEST]
HELDOUT = [HeldoutChain(e.question, e.steps, e.first_error, str(i // 2)) for i, e in enumerate(TEST)]


def settings_of(base, **changes):
    return VerifierSettings(
        base=str(base),
        batch_size=16,
        evaluations=4,
        lora=LoraSettings(r=4),
        **({"learning_rate": 1e-3} | changes),
    )


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "base"
    tokenizer = train_tokenizer(["Question 1? plus minus\n 7 plus 8\n"] * 3, 300)
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=128, **shape)
    LlamaForCausalLM(config).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def trained(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    points = []
    settings = settings_of(base)
    nf4 = train_verifier(
        TRAIN, VALIDATION, settings, True, folder / "nf4", 7, lambda *point: points.append(point)
    )
    full = train_verifier(TRAIN, VALIDATION, settings, False, folder / "full", 7)
    return SimpleNamespace(nf4=nf4, full=full, points=points, settings=settings)


@pytest.fixture(scope="session")
def shipped(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "verifier"
    provenance = {"recipe": "abc", "train_chains": len(TRAIN)}
    return export(
        trained.nf4, trained.full, VALIDATION, HELDOUT, trained.settings, folder, provenance, resamples=200
    )


def test_training_learns_reports_and_records_its_curve(trained):
    for result in (trained.nf4, trained.full):
        assert result.best_f1 > 0.9
        assert any("loss" in point for point in result.curve)
        assert sum("eval_f1" in point for point in result.curve) >= 2
        assert {p.name for p in result.folder.iterdir()} == {"adapter", "training.json"}
    assert trained.nf4.quantised
    assert not trained.full.quantised
    steps, totals, figures = zip(*trained.points)
    assert max(steps) <= totals[0]
    assert any("eval_f1" in point for point in figures)


def test_a_finished_training_is_not_done_again(trained):
    seen = []
    again = train_verifier(
        [], [], trained.settings, True, trained.nf4.folder, 7, lambda *point: seen.append(point)
    )
    assert again == trained.nf4
    assert not seen


def test_a_head_is_not_fitted_again_after_a_death(base, trained, tmp_path):
    seen = []

    def die_when_training(step, total, figures):
        seen.append("head" in figures)
        if not seen[-1]:
            raise KeyboardInterrupt

    for fitted in (True, False):
        with pytest.raises(KeyboardInterrupt):
            train_verifier(TRAIN, VALIDATION, trained.settings, True, tmp_path, 7, die_when_training)
        assert any(seen) == fitted
        assert last_checkpoint(tmp_path) is None
        seen.clear()
    fitted_head = load_file(tmp_path / "head.safetensors")["weight"]
    ended = train_verifier(TRAIN, VALIDATION, trained.settings, True, tmp_path, 7)
    stays = load_file(ended.adapter / "adapter_model.safetensors")["base_model.model.score.weight"]
    assert torch.equal(stays, fitted_head)
    assert (ended.head_loss, ended.curve) == (trained.nf4.head_loss, trained.nf4.curve)
    assert {p.name for p in tmp_path.iterdir()} == {"adapter", "training.json"}


def test_adapters_that_only_do_harm_are_taken_out(base, trained, tmp_path):
    harmful = settings_of(base, learning_rate=1.0, epochs=1.0)
    result = train_verifier(TRAIN, VALIDATION, harmful, True, tmp_path, 7)
    [begun, *later] = [point["eval_f1"] for point in result.curve if "eval_f1" in point]
    assert begun > max(later)
    assert (result.best_step, result.best_f1) == (0, begun)
    assert trained.nf4.curve[0] == result.curve[0]
    weights = load_file(result.adapter / "adapter_model.safetensors")
    assert not any(weight.any() for name, weight in weights.items() if "lora_B" in name)
    assert weights["base_model.model.score.weight"].any()


def test_a_training_that_dies_goes_on_and_ends_the_same(base, trained, tmp_path):
    def die_at_12(step, total, figures):
        if step >= 12 and "head" not in figures:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_verifier(TRAIN, VALIDATION, trained.settings, True, tmp_path, 7, die_at_12)
    whole = last_checkpoint(tmp_path)
    assert whole is not None
    torn = tmp_path / "checkpoint-999"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step": 9')
    resumed = train_verifier(TRAIN, VALIDATION, trained.settings, True, tmp_path, 7)
    assert resumed.resumed_from == int(whole.name.split("-")[1])
    assert resumed.steps == trained.nf4.steps
    assert resumed.head_loss == trained.nf4.head_loss
    ours, theirs = (
        load_file(result.adapter / "adapter_model.safetensors") for result in (resumed, trained.nf4)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_new_head_begins_at_zero_and_one_that_is_there_is_kept(base, tmp_path):
    model = load_classifier(str(base), False, CPU)
    assert not model.score.weight.any()
    torch.nn.init.ones_(model.score.weight)
    model.save_pretrained(tmp_path)
    kept = load_classifier(str(tmp_path), False, CPU).score.weight
    assert torch.equal(kept, torch.ones_like(kept))


def test_the_first_layers_alone_are_the_whole_model_stopped_after_them(tmp_path):
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = Qwen2Config(vocab_size=20, num_key_value_heads=2, **shape)
    config.layer_types = ["full_attention"] * 3  # one a layer: a config of fewer layers must have fewer
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "base")
    ids = torch.tensor([[1, 7, 3, 9]])
    whole, cut = (load_classifier(str(tmp_path / "base"), False, CPU, layers).model for layers in (None, 2))
    seen = []
    whole.layers[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    whole(ids)
    torch.testing.assert_close(cut(ids).last_hidden_state, whole.norm(seen[0]))
    cut.save_pretrained(tmp_path / "cut")
    assert AutoConfig.from_pretrained(tmp_path / "cut").num_hidden_layers == len(cut.layers) == 2
    with pytest.raises(VerifierError, match=r"verifier.layers of at most 3, those of the base .* found 4"):
        load_classifier(str(tmp_path / "base"), False, CPU, 4)


def test_nothing_to_train_on_is_an_error_with_advice(base, tmp_path):
    with pytest.raises(VerifierError, match="label more problems"):
        train_verifier([], VALIDATION, settings_of(base), True, tmp_path, 0)


def test_only_the_layers_are_quantised_and_an_evaluation_does_not_repack_them(base):
    model = load_classifier(str(base), True, CPU)
    layers = four_bit_layers(model)
    assert len(layers) == 14
    assert all(layer.weight.quant_state.nested for layer in layers.values())
    assert isinstance(model.score, torch.nn.Linear)
    assert model.score.weight.dtype == model.get_input_embeddings().weight.dtype == torch.float32
    before = {name: layer.weight.data.clone() for name, layer in layers.items()}
    with torch.no_grad():
        model.eval()(torch.tensor([[1, 2, 3]]))
    assert all(torch.equal(layer.weight.data, before[name]) for name, layer in layers.items())


def test_a_base_held_unpacked_is_the_same_function_and_learns_the_same(base):
    packed, plain = (load_classifier(str(base), True, CPU) for _ in range(2))
    hold_unpacked(plain, torch.float32)
    assert not four_bit_layers(plain)
    ids = torch.tensor([[1, 7, 3, 9]])
    gradients = []
    for model in (packed, plain):
        adapted = get_peft_model(draw_head(model), lora_config(LoraSettings()))
        adapted(input_ids=ids).logits[..., 1].sum().backward()
        gradients.append({n: p.grad for n, p in adapted.named_parameters() if p.requires_grad})
    assert gradients[0].keys() == gradients[1].keys()
    assert sum(gradient.abs().sum() for gradient in gradients[0].values()) > 0
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


def test_repacked_weights_are_noticed_before_a_merge(base):
    quantised = load_classifier(str(base), True, CPU)
    layer = next(iter(four_bit_layers(quantised).values()))
    layer.weight.data = layer.weight.data.flip(0)
    with pytest.raises(VerifierError, match="repacked"):
        replace_by_dequantised(load_classifier(str(base), False, CPU), quantised)


def test_every_form_is_measured_and_the_least_drifting_one_is_shipped(shipped):
    assert set(shipped.figures) == {"adapter", "merged", "full_precision"}
    nearest = min(shipped.figures.values(), key=lambda item: item.mean_change_to_full_precision)
    assert shipped.form == nearest.form
    ours = shipped.figures[shipped.form]
    assert ours.mean_change < 0.02
    assert ours.f1.value > 0.9
    assert ours.f1.low <= ours.f1.value <= ours.f1.high
    assert ours.f1_change_to_full_precision is not None
    assert not shipped.folder.with_name("verifier.forms").exists()


def test_the_shipped_folder_holds_package_card_and_safetensors_only(shipped):
    names = {path.name for path in shipped.folder.iterdir()}
    assert {"verifier.json", "README.md", "config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    package = read_package(shipped.folder)
    assert package == shipped.package
    assert package.provenance["recipe"] == "abc"
    assert package.provenance["libraries"]["transformers"]
    card = (shipped.folder / "README.md").read_text()
    assert "| form |" in card
    assert "each form has the temperature and threshold of the training that it was made from" in card
    assert "## Limits" in card
    assert f"{package.figures['validation']['nll_after']:.4f} after" in card
    assert loading_lines("path/to/this/folder", package.chain_format, package.calibration.temperature) in card


def test_every_form_has_the_threshold_of_the_training_that_it_was_made_from(shipped):
    for form, figures in shipped.figures.items():
        source = shipped.full_precision if form == "full_precision" else shipped.as_trained
        assert figures.threshold == source.fit.calibration.threshold
        assert figures.temperature == source.fit.calibration.temperature


def test_the_quantised_layers_are_small(shipped):
    size = size_report(shipped.folder)
    assert size.quantised_fraction <= 0.30
    assert size.folder_bytes == sum(p.stat().st_size for p in shipped.folder.iterdir() if p.is_file())


def test_plain_transformers_scores_as_we_do_without_our_packages(shipped):
    package = read_package(shipped.folder)
    question, steps = TEXTS[0]
    program = "\n".join(
        [
            "import sys",
            "class Blocked:",
            "    def find_spec(self, name, path=None, target=None):",
            "        if name.split('.')[0] in ('distill', 'generators', 'checkers'): raise ImportError(name)",
            "sys.meta_path.insert(0, Blocked())",
            f"question, steps = {question!r}, {list(steps)!r}",
            loading_lines(str(shipped.folder), package.chain_format, package.calibration.temperature),
            "assert model.is_loaded_in_4bit",
            "assert not {'distill', 'generators', 'checkers'} & set(sys.modules)",
            "print(scores.tolist())",
        ]
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [ours] = Verifier.from_pretrained(shipped.folder).score([(question, steps)])
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(ours, abs=1e-5)


def test_scores_do_not_depend_on_batch_or_neighbours(shipped):
    verifier = Verifier.from_pretrained(shipped.folder, CPU)
    together = verifier.score([*TEXTS, *TEXTS[:3]], batch_size=7)
    assert together[:3] == together[-3:]
    alone = [verifier.score([text])[0] for text in TEXTS[:5]]
    for one, other in zip(alone, together):
        assert one == pytest.approx(other, abs=5e-3)
    assert verifier.threshold == shipped.package.calibration.threshold
    assert verifier.score([("Question?", ())]) == [[]]


def test_a_step_past_the_context_scores_zero_and_is_counted(shipped):
    verifier = Verifier.from_pretrained(shipped.folder, CPU)
    [scores] = verifier.score([("Question 1?", ["1 plus 2"] * 60)])
    assert len(scores) == 60
    assert verifier.truncated_steps > 0
    assert scores[-verifier.truncated_steps :] == [0.0] * verifier.truncated_steps
    assert scores[0] > 0.0


def test_a_form_that_loses_more_than_a_point_is_refused_with_figures(shipped):
    from dataclasses import replace

    from distill.verifier import Estimate

    worse = Estimate(-0.02, -0.03, -0.011)
    spoilt = {form: replace(item, f1_change=worse) for form, item in shipped.figures.items()}
    with pytest.raises(VerifierError, match=r"adapter: mean .* F1 change -2\.00"):
        choose(spoilt)
    with pytest.raises(VerifierError) as told:
        choose(spoilt)
    assert "cannot tell" not in str(told.value)
    blind = {form: replace(item, f1_change=None, agreement=0.9) for form, item in shipped.figures.items()}
    with pytest.raises(VerifierError, match=r"agreement 0\.900"):
        choose(blind)


def test_a_form_that_passes_is_shipped_where_the_nearest_one_fails(shipped):
    from dataclasses import replace

    from distill.verifier import Estimate

    lost, same = Estimate(-0.02, -0.03, -0.011), Estimate(0.0, -0.01, 0.01)
    told = {"full_precision": (0.001, lost), "merged": (0.01, same), "adapter": (0.005, same)}
    figures = {
        form: replace(shipped.figures[form], mean_change_to_full_precision=drift, f1_change=change)
        for form, (drift, change) in told.items()
    }
    assert choose(figures) == "adapter"
    del figures["adapter"]
    assert choose(figures) == "merged"


def test_a_refusal_on_few_chains_says_that_they_cannot_tell(shipped):
    from dataclasses import replace

    from distill.verifier import Estimate

    few = replace(shipped.figures["full_precision"], f1_change=Estimate(-0.0929, -0.255, 0.0), chains=23)
    with pytest.raises(VerifierError, match=r"-9\.29 \[-25\.50, 0\.00\]; 23 chains cannot tell") as told:
        choose({"full_precision": few})
    assert "--check-data" in str(told.value)
    assert "quantise: true" in str(told.value)
    adapter = replace(few, form="adapter")
    with pytest.raises(VerifierError) as told:
        choose({"full_precision": few, "adapter": adapter})
    assert "quantise: true" not in str(told.value)


def test_hybrid_and_final_figures_are_added_to_the_folder(shipped):
    statuses = [["undecided"] * len(item.steps) for item in VALIDATION]
    labels = [item.labels for item in VALIDATION]
    params = fit_hybrid(shipped.shipped.validation_scores, statuses, labels)
    package = finish(shipped.folder, params, {"hybrid_f1": 0.9})
    assert read_package(shipped.folder) == package
    assert package.hybrid == params
    card = (shipped.folder / "README.md").read_text()
    assert "hybrid_f1" in card
    assert "`distill eval` measures them" in card
    own = {"f1": {"value": 0.9, "low": 0.8, "high": 0.95}, "auroc": {"value": 0.97}, "ece": {"value": 0.03}}
    finish(shipped.folder, params, {"heldout": {"hybrid": own, "chains": 7}})
    card = (shipped.folder / "README.md").read_text()
    assert "On 7 held-out chains" in card
    assert "| hybrid | 90.00 [80.00, 95.00] | 0.970 | 0.030 |" in card
    finish(shipped.folder, params, {"heldout": None})
    assert "forms" in package.figures


def test_a_folder_that_is_no_verifier_is_named(tmp_path):
    with pytest.raises(VerifierError, match=r"verifier\.json"):
        Verifier.from_pretrained(tmp_path)
    (tmp_path / "verifier.json").write_text('{"schema": 99}')
    with pytest.raises(VerifierError, match="found 99"):
        Verifier.from_pretrained(tmp_path)


def test_step_logprobs_are_those_of_the_causal_model(base):
    chains = [("Question 1?", ("7 plus 8", "8 minus 1")), ("Question 2?", ("1 plus 1",))]
    found = step_logprobs(str(base), chains, ChainFormat(), device=CPU)
    model, tokenizer = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32), train_tokenizer([""], 258)
    tokenizer = type(tokenizer).from_pretrained(base)
    prefix, step = (tokenizer(text)["input_ids"] for text in ("Question 1?\n7 plus 8\n", "8 minus 1\n"))
    with torch.no_grad():
        rows = model(torch.tensor([prefix + step])).logits[0].log_softmax(-1)
    expected = [float(rows[len(prefix) + i - 1, token]) for i, token in enumerate(step)]
    assert found.mean[0][1] == pytest.approx(sum(expected) / len(expected), abs=1e-3)
    assert found.lowest[0][1] == pytest.approx(min(expected), abs=1e-3)
    assert found.total[0][1] == pytest.approx(sum(expected), abs=1e-3)
    assert [len(row) for row in found.mean] == [2, 1]
