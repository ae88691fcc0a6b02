"""The head that is fitted before the adapters: an optimum by another solver, on a real base."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from tiny_model import draw_head, make_tiny_model

from distill.verifier import Example
from distill.verifier import head as heads
from distill.verifier.data import ChainFormat
from distill.verifier.encoded_set import encode_set
from distill.verifier.head import Features, features, fit_head
from distill.verifier.model import load_classifier, load_tokenizer

CPU = torch.device("cpu")
CHAINS = [
    Example(f"How many {i}?", ("1 + 1 = 2", "2 + 2 = 5" if i % 2 else "2 + 2 = 4"), (1, 1 - i % 2))
    for i in range(24)
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head") / "base"
    make_tiny_model(folder, hidden=64, context=256, spread=0.05)
    return folder


def encoded(base: Path, chains: list[Example], loss: str = "hard"):
    return encode_set(load_tokenizer(str(base)), chains, ChainFormat(), 256, loss)


def validation_loss(model, rows) -> float:
    """Mean cross-entropy a labelled step by the model's own forward pass."""
    losses = []
    for row in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0]
        losses.append(
            torch.nn.functional.cross_entropy(logits, torch.tensor(row["labels"]), reduction="none")
        )
    kept = [loss[torch.tensor(row["labels"]) != -100] for loss, row in zip(losses, rows, strict=True)]
    return float(torch.cat(kept).mean())


def test_the_head_is_set_to_what_it_says_it_is(base: Path) -> None:
    model = load_classifier(str(base), False, CPU)
    rows = encoded(base, CHAINS)
    seen: list[tuple[int, int]] = []
    fit = fit_head(model, rows, rows, 5, 0, False, lambda done, total: seen.append((done, total)))
    assert fit is not None
    assert fit.steps == 48
    assert validation_loss(model, rows.rows) == pytest.approx(fit.validation_loss, rel=1e-4)
    assert fit.validation_loss < 0.9 * validation_loss(load_classifier(str(base), False, CPU), rows.rows)
    assert seen[-1] == (48, 48)
    assert not model.training  # as it came
    weights = model.score.weight
    assert torch.allclose(weights[0], -weights[1])


def test_features_are_the_head_s_own_input_at_the_labelled_steps(base: Path) -> None:
    model = load_classifier(str(base), False, CPU).eval()
    draw_head(model)
    rows = encoded(base, CHAINS[:7])
    with torch.no_grad():
        found = features(model, rows.rows, 3, 0, lambda done: None)
        by_head = model.score(found.hidden_SH)
        one = [model(input_ids=torch.tensor([row["input_ids"]])).logits[0] for row in rows.rows]
    ends = [torch.tensor(row["labels"]) != -100 for row in rows.rows]
    expected = torch.cat([logits[at] for logits, at in zip(one, ends, strict=True)])
    assert sorted(by_head[:, 1].tolist()) == pytest.approx(sorted(expected[:, 1].tolist()), abs=1e-5)
    assert found.target_S.sum() == sum(sum(y == 1 for y in item.labels) for item in CHAINS[:7])


def test_the_regression_ends_where_another_solver_ends() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(200, 5)) * [1, 10, 0.1, 1, 1] + [0, 5, 0, 0, 3]
    target = (rng.random(200) < 1 / (1 + np.exp(-hidden[:, 0]))).astype(float)
    weight = rng.random(200)
    data = Features(*(torch.tensor(x, dtype=torch.float32) for x in (hidden, target, weight)))
    standard = (hidden - hidden.mean(0)) / hidden.std(0, ddof=1)

    def objective(x: np.ndarray) -> float:
        margins = standard @ x[:5] + x[5]
        losses = np.logaddexp(0, -margins) * target + np.logaddexp(0, margins) * (1 - target)
        return float((weight * losses).sum() / weight.sum() + 0.05 * (x[:5] ** 2).sum())

    best = minimize(objective, np.zeros(6)).x
    found, bias = heads._regression(
        torch.tensor(standard, dtype=torch.float32), data, 0.1, torch.zeros(5), torch.zeros(())
    )
    assert [*found.tolist(), float(bias)] == pytest.approx(best.tolist(), abs=1e-3)


def test_soft_labels_are_targets_with_weights(base: Path) -> None:
    soft = [replace(item, soft=(0.9, 0.2), evidence=(1.0, 0.5)) for item in CHAINS]
    model = load_classifier(str(base), False, CPU).eval()
    with torch.no_grad():
        found = features(model, encoded(base, soft, "soft").rows, 4, 0, lambda done: None)
    assert sorted(set(found.target_S.tolist())) == pytest.approx([0.2, 0.9])
    assert sorted(set(found.weight_S.tolist())) == pytest.approx([0.5, 1.0])


def test_labels_of_one_kind_leave_the_head_alone(base: Path) -> None:
    model = load_classifier(str(base), False, CPU)
    rows = encoded(base, CHAINS[::2])
    assert fit_head(model, rows, rows, 5, 0, False) is None
    assert not model.score.weight.any()


def test_of_many_labels_rows_are_taken_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MAX_STEPS", 10)
    rows = [{"input_ids": [i, i], "labels": [-100, 1]} for i in range(25)]
    assert [row["input_ids"][0] for row in heads._spread(rows)] == [*range(0, 25, 3)]
