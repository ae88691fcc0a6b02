"""`distill eval`: what is read, what is refused, and what counts as cost; with a tiny untrained verifier."""

import json
import time
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from tiny_model import make_tiny_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from typer.testing import CliRunner

from distill import proving
from distill.cli import app
from distill.dataset.imports import SourceSettings, load_source
from distill.errors import ArtifactError, DataError, VerifierError
from distill.proving import prove
from distill.stages.evaluation import _figures
from distill.verifier import ChainFormat, Verifier
from distill.verifier.card import loading_lines
from distill.verifier.model import load_classifier, load_tokenizer
from distill.verifier.package import Package, write_package


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, folder = (tmp_path_factory.mktemp(name) for name in ("base", "verifier"))
    make_tiny_model(base)
    torch.manual_seed(0)
    AutoModelForTokenClassification.from_pretrained(base, num_labels=2).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    write_package(folder, Package("merged", ChainFormat()))
    return folder


def chains(name: str, count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"{name} {i}?", "steps": ["1 + 1 = 2", "2 + 2 = 5"], "label": 1 if i % 2 else -1}
        for i in range(count)
    ]


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    write(tmp_path / "labelled" / "train.jsonl", chains("T", 8))
    return write(tmp_path / "labelled" / "dev.jsonl", chains("D", 4)).parent


@pytest.mark.parametrize("benchmark", ["steps", "adversarial", "processbench", "best-of-n", "prmbench"])
def test_a_folder_of_several_splits_is_refused_without_one(
    verifier: Path, splits: Path, benchmark: str
) -> None:
    with pytest.raises(DataError, match=r"the name of one split, found dev, train; name one"):
        prove(verifier, benchmark, str(splits), show=len)


def test_the_split_that_is_named_is_measured_and_no_other(verifier: Path, splits: Path) -> None:
    assert prove(verifier, "steps", str(splits), show=len, split="dev")["n_chains"] == 4
    subsets = prove(verifier, "processbench", str(splits), show=len, split="dev")["subsets"]
    assert list(subsets) == ["dev"]
    with pytest.raises(DataError, match=r"expected the split 'test', found dev, train"):
        prove(verifier, "steps", str(splits), show=len, split="test")


def test_what_is_fitted_on_has_a_split_too(verifier: Path, splits: Path, tmp_path: Path) -> None:
    data = str(write(tmp_path / "other.jsonl", chains("O", 4)))
    with pytest.raises(DataError, match="the name of one split"):
        prove(verifier, "steps", data, fit=str(splits), show=len)
    found = prove(verifier, "steps", data, fit=str(splits), fit_split="dev", show=len)
    assert found["fitted_on"] == str(splits)


def test_the_command_takes_the_split(verifier: Path, splits: Path) -> None:
    asked = ["eval", str(verifier), "--benchmark", "steps", "--data", str(splits)]
    assert isinstance(CliRunner().invoke(app, asked).exception, DataError)
    done = CliRunner().invoke(app, [*asked, "--split", "dev"])
    assert done.exit_code == 0, done.output
    assert "'chains': 4" in done.output


def test_one_split_needs_no_name_and_training_never_reads_another(tmp_path: Path) -> None:
    folder = write(tmp_path / "test-00000-of-00001.jsonl", chains("Q", 3)).parent
    assert load_source(SourceSettings(path=str(folder), split=None))[1].chains == 3
    with pytest.raises(DataError, match="expected the split 'train', found test"):
        load_source(SourceSettings(path=str(folder)))


def test_a_file_without_candidates_is_refused(verifier: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: expected candidates, found none"):
        prove(verifier, "best-of-n", str(write(tmp_path / "none.jsonl", [])), show=len)


def test_best_of_n_is_written_either_way(verifier: Path, tmp_path: Path) -> None:
    rows = [
        {"question": "Q", "steps": ["1"], "answer": str(i), "correct": i == 1, "scores": [0.1 * i]}
        for i in range(2)
    ]
    data = str(write(tmp_path / "candidates.jsonl", rows))
    found = [prove(verifier, name, data, show=len)["best_of_n"] for name in ("best-of-n", "best_of_n")]
    assert found[0] == found[1]
    assert found[0]["n"] == 2


def test_candidates_without_an_answer_are_judged_by_their_steps(verifier: Path, tmp_path: Path) -> None:
    known = {"question": "Q", "reference": "3", "scores": [0.1, 0.2]}
    rows = [known | {"steps": [f"1 + {n - 1} = {n}", f"Answer: {n}"]} for n in (3, 3, 2)]
    found = prove(verifier, "best-of-n", str(write(tmp_path / "steps.jsonl", rows)), show=len)["best_of_n"]
    assert found["pass_at_1"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["majority_3"] == 1.0
    with pytest.raises(DataError, match="expected `answer` or `steps` to judge"):
        prove(verifier, "best-of-n", str(write(tmp_path / "bare.jsonl", [known])), show=len)


def test_without_any_answer_there_is_no_vote(verifier: Path, tmp_path: Path) -> None:
    rows = [{"question": "Q", "correct": i == 1, "scores": [0.1 * i]} for i in range(2)]
    found = prove(verifier, "best-of-n", str(write(tmp_path / "given.jsonl", rows)), show=len)["best_of_n"]
    assert found["verifier_2"] == 1.0
    assert "majority_2" not in found
    assert not found["majority"]
    assert found["gap_closed_by"].keys() == {"verifier"}


@pytest.mark.parametrize("benchmark", ["steps", "processbench", "adversarial"])
def test_nothing_is_fitted_on_what_is_measured(verifier: Path, tmp_path: Path, benchmark: str) -> None:
    data = str(write(tmp_path / "data.jsonl", chains("Q", 4)))
    mixed = [row | {"question": row["question"].upper()} for row in chains("q", 4)] + chains("Other", 6)
    told: list[str] = []
    prove(verifier, benchmark, data, fit=str(write(tmp_path / "fit.jsonl", mixed)), show=told.append)
    assert f"fit on 6 chains of {tmp_path / 'fit.jsonl'}; 4 measured on left out" in told
    with pytest.raises(DataError, match="found 4, all of questions that are measured on"):
        prove(verifier, benchmark, data, fit=data, show=len)


def test_figures_with_no_place_are_told_before_the_evaluation(verifier: Path, tmp_path: Path) -> None:
    data = str(write(tmp_path / "data.jsonl", chains("Q", 4)))
    where = tmp_path / "data.jsonl" / "out.json"
    ran = CliRunner().invoke(app, ["eval", str(verifier), "--data", data, "--json", str(where)])
    assert isinstance(ran.exception, ArtifactError)
    assert str(ran.exception).startswith(f"cannot write {where}")
    assert not ran.output


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--data", "chains.jsonl", "--base", "somewhere", "--out"],
        ["export", "somewhere"],
        ["eval", "somewhere", "--data", "chains.jsonl", "--json"],
    ],
    ids=lambda command: command[0],
)
def test_a_folder_that_takes_no_file_is_told_before_the_work(command: list[str]) -> None:
    where = "/proc/nothing-can-be-made-here"  # nor by root, whom permissions do not stop
    ran = CliRunner().invoke(app, [*command, where])
    assert isinstance(ran.exception, ArtifactError), ran.output
    assert str(ran.exception).startswith(f"cannot write {where}: ")
    assert "give the same command again" in str(ran.exception)
    assert not ran.output


def test_a_file_to_score_in_another_encoding_is_told(verifier: Path, tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes('{"question": "Café?"}'.encode("latin-1"))
    ran = CliRunner().invoke(app, ["score", str(verifier), str(tmp_path / "latin.jsonl"), "--no-checks"])
    assert isinstance(ran.exception, DataError)
    assert "is not UTF-8 text" in str(ran.exception)


def test_an_f1_without_bounds_has_figures() -> None:
    assert _figures({"f1": {"value": 0.5}}) == {"f1": 0.5, "f1_interval": [None, None]}


def test_cost_is_that_of_scoring(verifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second to read the data and half a second for the intervals, which no chain costs."""
    load, evaluate = proving.load_source, proving.evaluate

    def slowly(call: Any) -> Any:
        def wrapped(*args: Any) -> Any:
            time.sleep(0.5)
            return call(*args)

        return wrapped

    monkeypatch.setattr(proving, "load_source", slowly(load))
    monkeypatch.setattr(proving, "evaluate", slowly(evaluate))
    data, began = str(write(tmp_path / "rows.jsonl", chains("Q", 4))), time.perf_counter()
    cost = prove(verifier, "steps", data, show=len)["cost"]
    seconds = time.perf_counter() - began
    assert cost["chains"] == 4
    assert 0 < cost["milliseconds_per_chain"] * 4 / 1000 < seconds - 0.9


HUB = {"train": chains("T", 6), "test": chains("D", 2)}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A hub with one dataset, `us/labelled`, and what was asked of it."""
    asked: list[tuple[Any, ...]] = []

    def load_dataset(name: str, config: str | None, split: str) -> datasets.Dataset:
        asked.append((name, config, split))
        if name != "us/labelled" or split not in HUB:
            raise ValueError(f'Unknown split "{split}". Should be one of {list(HUB)}.')
        return datasets.Dataset.from_list(HUB[split])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(
        datasets, "get_dataset_split_names", lambda name, config: ["test"] if config == "one" else list(HUB)
    )
    return asked


def test_hub_names_are_read_by_split_and_configuration(hub: list[tuple[Any, ...]]) -> None:
    found, report = load_source(SourceSettings(path="us/labelled"))
    assert (report.format, len(found), found[0].problem.question) == ("first_error", 6, "T 0?")
    found, _ = load_source(SourceSettings(path="us/labelled:small", split="test"))
    assert [item.problem.question for item in found] == ["D 0?", "D 1?"]
    assert hub == [("us/labelled", None, "train"), ("us/labelled", "small", "test")]


def test_hub_faults_name_dataset_split_and_row(
    hub: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"dataset 'us/labelled' with a split 'dev', found: Unknown split"):
        load_source(SourceSettings(path="us/labelled", split="dev"))
    monkeypatch.setitem(HUB, "test", [{"question": "Q?", "steps": ["a"], "label": 7}])
    with pytest.raises(DataError, match=r"us/labelled \(test\), row 1"):
        load_source(SourceSettings(path="us/labelled", split="test"))


def test_a_hub_dataset_of_several_splits_is_measured_on_the_one_that_is_named(
    verifier: Path, hub: list[tuple[Any, ...]]
) -> None:
    with pytest.raises(DataError, match=r"us/labelled: expected the name of one split, found train, test"):
        prove(verifier, "steps", "us/labelled", show=len)
    assert prove(verifier, "steps", "us/labelled", show=len, split="test")["n_chains"] == 2
    assert prove(verifier, "steps", "us/labelled:one", show=len)["n_chains"] == 2


@pytest.mark.parametrize("label", [-1, 1])
def test_chains_of_one_kind_fit_no_threshold(verifier: Path, tmp_path: Path, label: int) -> None:
    data = str(write(tmp_path / "data.jsonl", chains("Q", 4)))
    alike = [row | {"label": label} for row in chains("Other", 6)]
    with pytest.raises(DataError, match=r"chains with and chains without an error to fit on"):
        prove(verifier, "steps", data, fit=str(write(tmp_path / "fit.jsonl", alike)), show=len)


def test_a_judged_candidate_without_answer_votes_with_that_of_its_steps(
    verifier: Path, tmp_path: Path
) -> None:
    said = [("4", True), ("4", True), ("5", False)]
    rows = [
        {
            "question": "2 + 2?",
            "steps": ["We add.", f"Answer: {answer}"],
            "correct": right,
            "scores": [0.5, s],
        }
        for (answer, right), s in zip(said, (0.1, 0.2, 0.9))
    ]
    found = prove(verifier, "best-of-n", str(write(tmp_path / "given.jsonl", rows)), show=len)["best_of_n"]
    assert found["majority_3"] == 1.0


def test_a_verifier_whose_weights_are_nan_scores_nothing(verifier: Path, tmp_path: Path) -> None:
    broken = Verifier.from_pretrained(verifier)
    with torch.no_grad():
        broken.model.score.weight.fill_(torch.nan)
    with pytest.raises(VerifierError, match=r"found nan in 1 of 1 chains: .*lower learning rate"):
        broken.score([("Q?", ["a", "b"])])
    with pytest.raises(VerifierError, match="found nan"):
        broken.score_next(broken.begin("Q?"), "a")


def test_a_base_that_cannot_be_one_is_told_with_what_to_give(verifier: Path, tmp_path: Path) -> None:
    reward = AutoModelForSequenceClassification.from_pretrained(
        verifier, num_labels=1, ignore_mismatched_sizes=True
    )
    reward.save_pretrained(tmp_path / "reward")
    with pytest.raises(VerifierError, match="found: a classifier of other labels; give the causal model"):
        load_classifier(str(tmp_path / "reward"), False, torch.device("cpu"))
    with pytest.raises(
        VerifierError, match=r"as the base '/no/such/base', found: .*; give a folder or hub name"
    ):
        load_tokenizer("/no/such/base")


@pytest.mark.parametrize(
    "prompt", ["{question}\n", "Q: {question}\nAgain: {question}\n", "{question}{question}"]
)
def test_the_lines_of_the_card_show_a_prompt_as_we_do(verifier: Path, prompt: str) -> None:
    ours = Verifier.from_pretrained(verifier)
    ours.chain_format = ChainFormat(prompt=prompt)
    found: dict[str, Any] = {"question": "2 + 2?", "steps": ["2 + 2 = 4", "Answer: 4"]}
    exec(loading_lines(str(verifier), ours.chain_format, 1.0), found)
    scores = ours.score([(found["question"], found["steps"])])[0]
    assert found["scores"].tolist() == pytest.approx(scores, abs=1e-5)
