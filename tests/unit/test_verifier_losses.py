"""Losses by hand-made numbers, pairs, packing without cross-contamination, and windows."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_model import draw_head, make_tiny_model
from transformers import AutoModelForTokenClassification, EvalPrediction

from distill.config import LoraSettings, VerifierSettings
from distill.errors import VerifierError
from distill.records import Chain, LabelledChain, Outcome, Problem, StepLabel, StepStatus
from distill.verifier import Example, Verifier, examples, train_verifier
from distill.verifier.collate import Collator, pack
from distill.verifier.data import ChainFormat, encode_windows, soft_target
from distill.verifier.encoded_set import encode_set
from distill.verifier.losses import hard_cross_entropy, outcome_labels, pairwise_ranking, soft_cross_entropy
from distill.verifier.model import load_classifier, load_tokenizer
from distill.verifier.package import Package, read_package, write_package
from distill.verifier.pairs import Pair, pairs_of
from distill.verifier.training_parts import first_error_metrics

CPU = torch.device("cpu")
LOGITS = torch.tensor([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
FORMAT = ChainFormat()


def log1pexp(x: float) -> float:
    return math.log1p(math.exp(x))


def test_hard_cross_entropy_sums_labelled_positions_only() -> None:
    found = hard_cross_entropy(LOGITS, torch.tensor([1, 1, -100]))
    assert float(found) == pytest.approx(log1pexp(-2) + log1pexp(1))


def test_soft_cross_entropy_is_the_hard_one_at_certainty_and_weighs_evidence() -> None:
    hard = hard_cross_entropy(LOGITS, torch.tensor([1, 0, -100]))
    certain = soft_cross_entropy(LOGITS, torch.tensor([1.0, 0.0, 0.3]), torch.tensor([1.0, 1.0, 0.0]))
    assert float(certain) == pytest.approx(float(hard))
    half = soft_cross_entropy(LOGITS, torch.tensor([0.75, 0.0, 0.0]), torch.tensor([0.5, 0.0, 0.0]))
    assert float(half) == pytest.approx(0.5 * (0.75 * log1pexp(-2) + 0.25 * log1pexp(2)))


def test_the_ranking_prefers_the_good_step() -> None:
    right = pairwise_ranking(LOGITS, torch.tensor([[0, 1]]))
    wrong = pairwise_ranking(LOGITS, torch.tensor([[1, 0]]))
    assert float(right) == pytest.approx(log1pexp(-3))
    assert float(wrong) == pytest.approx(log1pexp(3))


def test_the_outcome_labels_the_last_step_only() -> None:
    assert outcome_labels(3, 1) == (-100, -100, 1)
    assert outcome_labels(2, None) == (-100, -100)
    assert outcome_labels(0, 1) == ()


@pytest.mark.parametrize(
    ("label", "target"),
    [
        (StepLabel(StepStatus.GOOD), (1.0, 1.0)),
        (StepLabel(StepStatus.UNDETERMINED), (0.5, 0.0)),
        (StepLabel(StepStatus.GOOD, soft=0.9, low=0.9, high=0.9), (0.9, 1.0)),
        (StepLabel(StepStatus.GOOD, 6, 2, 0, 0.72, 0.4, 0.9), (0.72, 0.5)),
        (StepLabel(StepStatus.GOOD, 0, 1, 0, 0.25, 0.0, 0.9), (1.0, 1.0)),
        (StepLabel(StepStatus.BAD, 1, 0, 0, 0.75, 0.1, 1.0, "refuted"), (0.0, 1.0)),
        (StepLabel(StepStatus.BAD, 1, 1, 0, 0.5, 0.1, 0.9, "refuted"), (0.0, 1.0)),
        (StepLabel(StepStatus.GOOD, 6, 2, 0, 0.72, 0.4, 0.9, "refuted"), (0.72, 0.5)),
        (StepLabel(StepStatus.BAD, 3, 1, 0, 0.7, 0.3, 0.9, review="Ada"), (0.0, 1.0)),
        (StepLabel(StepStatus.GOOD, 1, 3, 0, 0.3, 0.1, 0.7, review="Ada"), (1.0, 1.0)),
    ],
)
def test_soft_targets(label: StepLabel, target: tuple[float, float]) -> None:
    assert soft_target(label) == pytest.approx(target)


def test_examples_carry_soft_targets_and_the_outcome() -> None:
    good, bad = StepLabel(StepStatus.GOOD, soft=0.9, low=0.9, high=0.9), StepLabel(StepStatus.BAD)
    chain = Chain("c", "p", ("a", "b", "c"), Outcome.CORRECT)
    [item] = examples([LabelledChain(Problem("p", "Q", ""), chain, (good, bad, bad), 1, "")], True)
    assert item.soft == (0.9, 0.0, 0.0)
    assert item.evidence == (1.0, 1.0, 0.0)
    assert item.outcome == 1


def test_the_last_step_before_a_wrong_answer_is_certain() -> None:
    label = StepLabel(StepStatus.BAD, 1, 3, 0, 0.3, 0.1, 0.7)
    found = {}
    for outcome in (Outcome.INCORRECT, Outcome.UNDECIDED):
        chain = Chain("c", "p", ("a",), outcome)
        [item] = examples([LabelledChain(Problem("p", "Q", ""), chain, (label,), 0, "")], True)
        found[outcome] = (item.labels, *item.soft, *item.evidence)
    assert found[Outcome.INCORRECT] == ((0,), 0.0, 1.0)
    assert found[Outcome.UNDECIDED] == ((0,), 0.3, pytest.approx(0.4))


def test_pairs_share_the_longest_prefix_and_no_chain_is_in_two() -> None:
    items = [
        Example("Q", ("a", "b", "c"), (1, 1, 1)),
        Example("Q", ("a", "b", "x"), (1, 1, 0)),
        Example("Q", ("y", "z"), (0, -100)),
        Example("Q", ("w",), (1,)),
        Example("R", ("a", "b"), (1, 1)),
    ]
    assert pairs_of(items) == [Pair(0, 1, 2), Pair(3, 2, 0)]


def test_packing_keeps_every_chain_and_no_row_is_longer_than_the_longest() -> None:
    lengths = [7, 2, 3, 5, 4, 7, 1]
    rows = pack(lengths)
    assert sorted(i for row in rows for i in row) == list(range(7))
    assert all(sum(lengths[i] for i in row) <= 7 for row in rows)
    assert len(rows) == 5


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("base"), hidden=64, context=256)


ITEMS = [
    Example("How many?", tuple(f"{i} + {j} = {i + j}" for j in range(n)), (1,) * n)
    for i, n in enumerate((1, 7, 3, 2, 4, 1, 5))
]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("quantise", [False, True])
def test_packed_and_unpacked_logits_are_equal(base: Path, attention: str, quantise: bool) -> None:
    """Chain by chain and step by step: two chains or two steps that changed places would differ."""
    model = draw_head(load_classifier(str(base), quantise, CPU)).eval()
    model.set_attn_implementation(attention)
    rows = encode_set(load_tokenizer(str(base)), ITEMS, FORMAT, 256).rows
    lines = pack([len(row["input_ids"]) for row in rows])
    assert len(lines) < len(rows)
    padded = logits_of_steps(model, Collator(0)(rows), rows, [[i] for i in range(len(rows))])
    packed = logits_of_steps(model, Collator(0, packed=True)(rows), rows, lines)
    assert [len(padded[i]) for i in range(len(rows))] == [len(item.steps) for item in ITEMS]
    for i, row in enumerate(rows):
        [alone] = logits_of_steps(model, Collator(0)([row]), [row], [[0]]).values()
        assert torch.allclose(padded[i], alone, atol=1e-4)
        assert torch.allclose(packed[i], alone, atol=1e-4)


@pytest.mark.parametrize("packed", [False, True])
def test_chains_of_which_none_shares_a_row_need_no_mask(packed: bool) -> None:
    """Then attention runs by the causal kernels."""
    rows = [{"input_ids": [1] * length, "labels": [-100] * (length - 1) + [1]} for length in (5, 4, 3)]
    assert set(Collator(0, packed)(rows)) == {"input_ids", "labels"}


def logits_of_steps(
    model: Any, batch: dict[str, torch.Tensor], rows: Sequence[Any], lines: Sequence[Sequence[int]]
) -> dict[int, torch.Tensor]:
    """Logits [steps, 2] of every chain, from where it lies: `lines` says which chains a row holds."""
    labels = batch.pop("labels")
    with torch.no_grad():
        logits = model(**batch).logits
    found = {}
    for line, members in enumerate(lines):
        offset = 0
        for index in members:
            length = len(rows[index]["input_ids"])
            own = slice(offset, offset + length)
            assert labels[line, own].tolist() == rows[index]["labels"]
            found[index] = logits[line, own][labels[line, own] != -100]
            offset += length
    return found


def test_a_neighbour_in_the_row_changes_nothing(base: Path) -> None:
    model = draw_head(load_classifier(str(base), False, CPU)).eval()
    rows = encode_set(load_tokenizer(str(base)), ITEMS, FORMAT, 256).rows
    target, others = rows[3], (rows[1], rows[4])
    found = []
    for other in others:  # the longest chain first in a row, the target after it where there is room
        batch = Collator(0, packed=True)([rows[1], target, {**other, "input_ids": other["input_ids"][:5]}])
        batch.pop("labels")
        ids, want = batch["input_ids"], torch.tensor(target["input_ids"])
        line = next(i for i, row in enumerate(ids) if (row[: len(want)] == want).all())
        with torch.no_grad():
            found.append(model(**batch).logits[line, : len(want)])
    assert torch.allclose(found[0], found[1], atol=1e-5)


def test_windows_show_every_step_once_and_score_it(base: Path) -> None:
    tokenizer = load_tokenizer(str(base))
    steps = [f"{i} + {i} = {2 * i}" for i in range(60)]
    windows = encode_windows(tokenizer, "How many?", steps, ChainFormat(windows=True), 128)
    assert [step for window in windows for step, _ in window.positions] == list(range(60))
    assert all(len(window.encoded.ids) <= 128 for window in windows)
    assert all(window.begin < window.fresh for window in windows[1:])
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_pretrained(base, num_labels=2)
    wide, cut = Verifier(model, tokenizer, ChainFormat(windows=True)), Verifier(model, tokenizer, FORMAT)
    [long], [short] = wide.score([("How many?", steps)]), cut.score([("How many?", steps)])
    assert wide.truncated_steps == 0 < cut.truncated_steps
    seen = 60 - cut.truncated_steps
    assert long[:seen] == pytest.approx(short[:seen], abs=1e-5)
    assert all(0 < score < 1 for score in long)
    found = encode_set(tokenizer, [Example("Q", tuple(steps), (1,) * 60)], ChainFormat(windows=True), 128)
    assert (found.labelled_steps, found.truncated_steps) == (60, 0)
    assert encode_set(tokenizer, [Example("Q", tuple(steps), (1,) * 60)], FORMAT, 128).cut_chains == 1


def test_windows_of_a_chain_are_one_chain_in_validation(base: Path) -> None:
    """Two wrong chains whose first windows are clean and one correct chain: all predicted right, or the error
    in a later window of one missed; rows come in any order."""
    steps = tuple(f"{i} + {i} = {2 * i}" for i in range(60))
    wrong = Example("Q", steps, (1,) * 50 + (0,) + (-100,) * 9)
    items = [wrong, Example("R", steps, wrong.labels), Example("Q", steps, (1,) * 60)]
    limits = ChainFormat(windows=True), 128
    found = encode_set(load_tokenizer(str(base)), items, *limits).determined()
    assert found.chains == 3 < len(found)
    assert dict(zip([chain for chain, _ in found.places], found.first_errors)) == {0: 50, 1: 50, 2: -1}
    order = np.random.default_rng(0).permutation(len(found))
    batch = Collator(0)([found[int(i)] for i in order])
    labels, places = batch["labels"].numpy(), batch["places"].numpy()
    margins = np.where(labels == 0, -3.0, 3.0)
    exact = first_error_metrics(EvalPrediction(margins, (labels, places)))
    assert (exact["f1"], exact["accuracy_correct"]) == (1.0, 1.0)
    margins[(places[:, 0] == 1)[:, None] & (labels == 0)] = 3.0
    missed = first_error_metrics(EvalPrediction(margins, (labels, places)))
    assert (missed["accuracy_erroneous"], missed["accuracy_correct"]) == (0.5, 1.0)


def test_training_on_windows_validates_on_whole_chains(base: Path, tmp_path: Path) -> None:
    steps = tuple(f"{i} + {i} = {2 * i}" for i in range(20))
    items = [Example(f"Q{i}", steps, (1,) * 15 + ((0,) if i % 2 else (1,)) * 5) for i in range(4)]
    settings = settings_of(base, max_length=128, long_chains="windows")
    result = train_verifier(items, items, settings, False, tmp_path, 1)
    assert result.windows > 0
    assert result.validation_chains == 4
    assert any("eval_f1" in point for point in result.curve)


def test_bfloat16_trains_a_tiny_model(base: Path, tmp_path: Path) -> None:
    """Mixed precision: the weights that are trained and saved stay float32, and the loss falls."""
    settings = settings_of(base, precision="bfloat16", epochs=6)
    result = train_verifier(chains(8), chains(4), settings, False, tmp_path, 1)
    found = losses(result)
    assert result.mixed_precision == "bf16"
    assert found[-1] < found[0]
    weights = load_file(result.adapter / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_windows_in_scoring_are_those_of_training(base: Path, tmp_path: Path) -> None:
    """No step is scored at a position past `max_length`, though the model's context (256) is longer."""
    asked = VerifierSettings(max_length=128, long_chains="windows")
    write_package(tmp_path, Package("adapter", ChainFormat.of(asked)))
    chain_format = read_package(tmp_path).chain_format
    assert chain_format == ChainFormat.of(asked)
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_pretrained(base, num_labels=2)
    verifier = Verifier(model, load_tokenizer(str(base)), chain_format)
    steps = [f"{i} + {i} = {2 * i}" for i in range(60)]
    windows = encode_windows(verifier.tokenizer, "How many?", steps, chain_format, 128)
    [scores] = verifier.score([("How many?", steps)])
    assert verifier.computed_tokens == sum(len(window.encoded.ids) for window in windows)
    prefix = verifier.begin("How many?")
    grown = [verifier.score_next(prefix, step) for step in steps]
    seen = len(windows[0].encoded.ends)
    assert grown == pytest.approx(scores[:seen] + [0.0] * (60 - seen), abs=1e-5)


def test_folders_without_a_window_length_and_cut_chains_use_the_context(tmp_path: Path) -> None:
    write_package(tmp_path, Package("adapter", ChainFormat(windows=True)))
    record = json.loads((tmp_path / "verifier.json").read_text())
    del record["chain_format"]["max_length"]
    (tmp_path / "verifier.json").write_text(json.dumps(record))
    assert read_package(tmp_path).chain_format.limit(256) == 256
    assert ChainFormat.of(VerifierSettings(max_length=128)).limit(256) == 256
    assert ChainFormat(windows=True, max_length=512).limit(256) == 256


def settings_of(base: Path, **changes: object) -> VerifierSettings:
    fixed = {"base": str(base), "epochs": 1, "batch_size": 4, "evaluations": 1, "precision": "float32"}
    lora = LoraSettings(r=4, targets=["q_proj", "v_proj"])
    return VerifierSettings(**(fixed | {"learning_rate": 5e-3, "lora": lora} | changes))


def chains(count: int, steps: int = 3) -> list[Example]:
    """Chains of one length that share their first step and part at the second."""
    made = []
    for i in range(count):
        bad = i % 2
        texts = ("1 + 1 = 2", "2 + 2 = 5" if bad else "2 + 2 = 4", "3 + 3 = 6")
        made.append(Example(f"Q{i // 2}", texts[:steps], (1, 0, -100) if bad else (1, 1, 1), outcome=1 - bad))
    return made


def losses(result: object) -> list[float]:
    return [point["loss"] for point in result.curve if "loss" in point]


def test_packing_and_accumulation_do_not_change_the_loss(base: Path, tmp_path: Path) -> None:
    data = chains(8)
    variants = [{}, {"packing": True}, {"accumulation": 2}, {"gradient_checkpointing": True}]
    curves = []
    for number, changes in enumerate(variants):
        settings = settings_of(base, **changes)
        result = train_verifier(data, chains(4), settings, False, tmp_path / str(number), 1)
        assert result.labelled_steps == sum(label != -100 for item in data for label in item.labels)
        curves.append(losses(result))
    assert len(curves[0]) >= 2
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], rel=2e-3)


@pytest.mark.parametrize("loss", ["soft", "contrastive", "outcome"])
def test_every_loss_trains(base: Path, tmp_path: Path, loss: str) -> None:
    settings = settings_of(base, loss=loss, packing=loss == "contrastive", epochs=6)
    result = train_verifier(chains(8), chains(4), settings, False, tmp_path, 1)
    found = losses(result)
    assert found[-1] < found[0]
    assert result.pairs == (4 if loss == "contrastive" else 0)
    assert result.train_chains == 8
    assert result.labelled_steps == {"outcome": 8}.get(loss, 20)


def test_without_pairs_the_contrastive_loss_says_so(base: Path, tmp_path: Path) -> None:
    alike = [Example(f"Q{i}", ("a", "b"), (1, 1)) for i in range(4)]
    with pytest.raises(VerifierError, match="share a prefix"):
        train_verifier(alike, [], settings_of(base, loss="contrastive"), False, tmp_path, 1)


def test_a_batch_that_does_not_divide_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(VerifierError, match="accumulation = 3"):
        train_verifier(chains(4), [], settings_of(base, accumulation=3), False, tmp_path, 1)


def test_validation_chains_that_are_all_cut_are_told(base: Path, tmp_path: Path) -> None:
    long = [Example("Q" * 200, ("1 + 1 = 2",), (1,))]
    with pytest.raises(VerifierError, match=r"within 128 tokens, found none; raise verifier\.max_length"):
        train_verifier(chains(4), long, settings_of(base, max_length=128), False, tmp_path, 1)
