"""Building: the split, the filters and what they count, decontamination, the saved folder."""

import json
from pathlib import Path

import pytest
from dataset_samples import labelled

from distill.config import DatasetSettings
from distill.dataset import BuiltDataset, build_dataset, save
from distill.dataset.build import split_by_problem
from distill.dataset.decontaminate import read_evaluation
from distill.dataset.dedupe import without_near_duplicates
from distill.dataset.text import same_question
from distill.errors import ArtifactError, DataError
from distill.records import LabelledChain

LONG = "A farmer picks 12 apples a day for 7 days and then sells all of them at the market"


def many(n: int, per_problem: int = 2) -> list[LabelledChain]:
    return [
        labelled(f"problem number {i}", "+-", [f"a {i} {k}\n", f"b {i} {k}"])
        for i in range(n)
        for k in range(per_problem)
    ]


def questions(items: list[LabelledChain]) -> set[str]:
    return {item.problem.question for item in items}


def test_no_problem_is_on_both_sides_and_the_share_is_about_right() -> None:
    train, validation = split_by_problem(many(600), 0.2, seed=1)
    assert questions(train).isdisjoint(questions(validation))
    assert len(train) + len(validation) == 1200
    assert 80 < len(questions(validation)) < 160


def test_the_split_is_stable_when_problems_are_added_and_moves_with_the_seed() -> None:
    few, more = (split_by_problem(many(n), 0.3, seed=1) for n in (200, 400))
    assert questions(few[0]) <= questions(more[0])
    assert questions(few[1]) <= questions(more[1])
    assert questions(split_by_problem(many(200), 0.3, seed=2)[1]) != questions(few[1])


def test_one_question_under_two_ids_stays_on_one_side() -> None:
    twins = [labelled(f"  Same {i}", "+", problem_id=f"{i}a") for i in range(50)]
    twins += [labelled(f"same  {i}", "+", problem_id=f"{i}b") for i in range(50)]
    train, validation = split_by_problem(twins, 0.5, seed=0)
    assert {x.problem.id[:-1] for x in train}.isdisjoint({x.problem.id[:-1] for x in validation})


@pytest.mark.parametrize("fraction", [0.01, 0.89])
def test_no_side_is_left_empty(fraction: float) -> None:
    for seed in range(5):
        train, validation = split_by_problem(many(3), fraction, seed)
        assert train
        assert validation


def test_exact_repeats_go_and_the_determined_one_stays() -> None:
    first = labelled("q", "+?", ["One  apple\n", "Two - one"])
    repeat = labelled("q", "+-", ["one apple", "two - one\n"])
    other_operator = labelled("q", "+-", ["one apple", "two + one"])
    other_steps = labelled("q", "+", ["one apple two - one"])
    other_problem = labelled("r", "+-", ["one apple", "two - one"])
    items = [first, repeat, other_operator, other_steps, other_problem]
    assert without_near_duplicates(items, 1.0) == [repeat, other_operator, other_steps, other_problem]


def test_equal_3grams_are_no_exact_repeat() -> None:
    items = [labelled("q", "+", ["a b a b a"]), labelled("q", "+", ["a b a b a b a"])]
    assert without_near_duplicates(items, 1.0) == items
    assert without_near_duplicates(items, 0.99) == items[:1]


def test_near_duplicates_by_similarity() -> None:
    base = "the farmer sells twelve apples and keeps four of them for pie"
    items = [labelled("q", "+", [base]), labelled("q", "+", [base.replace("pie", "jam")])]
    assert len(without_near_duplicates(items, 0.8)) == 1  # 9 of 11 3-grams are shared
    assert len(without_near_duplicates(items, 0.83)) == 2
    assert len(without_near_duplicates([labelled("q", "+", ["a"]), labelled("q", "+", ["b"])], 0.5)) == 2


def settings(**kwargs: object) -> DatasetSettings:
    return DatasetSettings.model_validate(kwargs)


def write_jsonl(path: Path, *rows: object) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return str(path)


def test_contaminated_problems_are_removed_and_counted_by_file_and_reason(tmp_path: Path) -> None:
    first = write_jsonl(tmp_path / "a.jsonl", {"question": "PROBLEM  number 3"}, {"question": "x"})
    second = write_jsonl(
        tmp_path / "b.jsonl", {"problem": f"Once: {LONG.lower()}, he said."}, {"problem": "problem number 3"}
    )
    near = labelled(LONG + " and goes home", "+")
    items = [*many(10), near, labelled(" ".join(LONG.split()[:12]), "+")]
    report = build_dataset(items, settings(decontaminate=[first, second]), seed=0).report
    assert report["decontamination"] == [
        {"path": first, "rows": 2, "exact": 1, "ngram": 0},
        {"path": second, "rows": 2, "exact": 1, "ngram": 1},
    ]
    found = next(entry for entry in report["filters"] if entry["name"] == "contaminated")
    assert found == {"name": "contaminated", "in": 22, "out": 19, "removed": {"exact": 2, "ngram": 1}}
    longer = build_dataset(items, settings(decontaminate=[second], ngram=40), seed=0).report
    assert longer["decontamination"][0]["ngram"] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "a"}\n{"text": "b"}\n', r"row 2: expected a text column 'question' or 'problem'"),
        ('{"question": 3}\n', "row 1"),
        ('{"question": "a"}\n\n{oops\n', "line 3: expected JSON"),
        ("[1]", "row 1.*found int"),
        ("\n", "found none"),
    ],
)
def test_unusable_evaluation_files(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "eval.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        build_dataset(many(2), settings(decontaminate=[str(path)]), seed=0)


def test_a_missing_evaluation_file_and_a_json_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="correct the path"):
        read_evaluation(str(tmp_path / "none.jsonl"), 13)
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{"problem": "a"}, {"problem": "b"}], indent=1))
    assert read_evaluation(str(path), 13).rows == 2


def test_the_report_counts_every_chain() -> None:
    items = [
        *many(20, per_problem=1),
        many(20, per_problem=1)[0],
        labelled("open", "+?-"),
        labelled("unknown", "??"),
        labelled("empty", ""),
        labelled("right", "+++"),
    ]
    built = build_dataset(items, settings(), seed=3)
    report = built.report
    assert (report["in"], report["out"]) == (25, 22)
    assert [(f["name"], f["in"], f["out"], f["removed"]) for f in report["filters"]] == [
        ("unlabelled", 25, 23, {"no_determined_step": 1, "no_steps": 1}),
        ("contaminated", 23, 23, {}),
        ("near_duplicate", 23, 22, {"near_duplicate": 1}),
    ]
    sides = (report["train"], report["validation"])
    assert sum(side["chains"]["with_error"] for side in sides) == 20
    assert sum(side["chains"]["correct"] for side in sides) == 1
    assert sum(side["chains"]["undetermined"] for side in sides) == 1
    assert sum(side["steps"]["good"] for side in sides) == 20 + 1 + 3
    assert sum(side["steps"]["undetermined"] for side in sides) == 1
    assert sum(side["first_error_positions"].get("1", 0) for side in sides) == 20
    assert sum(side["problems"] for side in sides) == 22
    assert len(built.train) + len(built.validation) == report["out"]
    assert json.loads(json.dumps(report)) == report
    assert build_dataset(items, settings(), seed=3) == built


def test_nothing_left_is_an_error_that_says_where_it_went() -> None:
    with pytest.raises(DataError, match=r"none left of 1.*no_determined_step"):
        build_dataset([labelled("q", "??")], settings(), seed=0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[BuiltDataset, Path]:
    built = build_dataset([*many(30), labelled("open | bar", "+?-")], settings(), seed=0)
    folder = tmp_path_factory.mktemp("run") / "dataset" / "hub"
    save(built, folder, {"recipe": "first", "report": built.report})
    save(built, folder, {"recipe": "tiny | test", "license": "apache-2.0", "report": built.report})
    return built, folder


def test_the_folder_loads_both_ways(saved: tuple[BuiltDataset, Path], tmp_path: Path) -> None:
    import datasets

    built, folder = saved
    from_disk = datasets.load_from_disk(str(folder))
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    for split, items in (("train", built.train), ("validation", built.validation)):
        assert from_disk[split].to_list() == loaded[split].to_list()
        assert from_disk[split]["chain_id"][:] == [item.chain.id for item in items]
    rows = from_disk["train"].to_list() + from_disk["validation"].to_list()
    row = next(row for row in rows if row["first_error"] is None)
    assert (row["labels"], row["question"]) == ([1, -100, 0], "open | bar")
    assert row["steps"] == [f"open | bar part {i}" for i in range(3)]
    file = str(folder / "formats" / "trl_stepwise-train.jsonl")
    stepwise = datasets.load_dataset("json", data_files=file, cache_dir=str(tmp_path))["train"]
    assert stepwise.features["labels"].feature.dtype == "bool"
    assert stepwise.num_rows == len(built.train)


def test_formats_and_card_are_written(saved: tuple[BuiltDataset, Path]) -> None:
    built, folder = saved
    names = {path.name for path in (folder / "formats").iterdir()}
    assert "math_shepherd-validation.jsonl" in names
    assert len(names) == 6
    lines = (folder / "formats" / "processbench-train.jsonl").read_text().splitlines()
    assert len(lines) == sum(item.first_error is not None for item in built.train)
    card = (folder / "README.md").read_text()
    assert card.startswith('---\npretty_name: "tiny | test"\n')
    assert 'license: "apache-2.0"' in card
    assert f"| chains: with_error | {built.report['train']['chains']['with_error']} |" in card
    assert "tiny \\| test" in card
    assert "first_error_undetermined: 1" in card
    assert not list(folder.parent.glob("*.partial"))


def test_an_empty_side_and_no_report_can_be_saved(tmp_path: Path) -> None:
    import datasets

    save(BuiltDataset(many(1), [], {}), tmp_path / "d", {})
    assert datasets.load_from_disk(str(tmp_path / "d"))["validation"].num_rows == 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="free space or choose another folder"):
        save(BuiltDataset(many(1), [], {}), tmp_path / "file" / "d", {})


SPELLINGS = [
    ("Janet\u2019s ducks lay {} eggs.", "Janet's ducks lay {} eggs"),
    ("Find $x$ if $x + {} = 2$.", "Find \\(x\\) if \\(x+{}=2\\)"),
    ("What is 3 \u2212 {}?", "What is 3-{} ?"),
]


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_a_question_in_two_spellings_stays_on_one_side(one: str, other: str) -> None:
    twins = [
        labelled(text.format(i), "+", [f"{i}"], f"{i}-{text}") for i in range(50) for text in (one, other)
    ]
    sides = [{x.problem.id.split("-")[0] for x in side} for side in split_by_problem(twins, 0.5, seed=0)]
    assert sides[0].isdisjoint(sides[1])
    assert all(sides)


def test_other_numbers_or_operators_are_other_questions() -> None:
    texts = ["3 - 2?", "3 + 2?", "3 * 2?", "32?", "3 > 2?", "3.2?"]
    assert len({same_question(text) for text in texts}) == 6
    assert same_question(" ?! ") != ""
