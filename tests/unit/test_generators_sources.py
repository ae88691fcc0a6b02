"""Problems from the world, files and datasets: right rows, disjoint parts, messages that name the fault."""

import csv
import gzip
import json
import random

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.config import ProblemSettings
from distill.errors import DataError
from generators.sources import load_problems, normalised

ROWS = [
    {"question": f"What is {i} + {i}?", "answer": f"so {i} + {i} = {2 * i} #### {2 * i}"} for i in range(40)
]


def write(folder, name: str, rows) -> str:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ".csv" in name:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return str(path)


def settings(path: str, **kwargs) -> ProblemSettings:
    defaults = {"source": "file", "path": path, "count": 20, "heldout": 10}
    return ProblemSettings(**(defaults | kwargs))


def questions(problems) -> set[str]:
    return {problem.question for problem in problems}


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.csv", "p.csv.gz", "p.parquet"])
def test_every_format_gives_the_same_problems(tmp_path, name):
    here = settings(write(tmp_path, name, ROWS))
    plain = settings(write(tmp_path, "plain.jsonl", ROWS))
    assert [p.id for p in load_problems(here, 1, "label")] == [p.id for p in load_problems(plain, 1, "label")]
    problem = load_problems(here, 1, "label")[0]
    assert problem.reference == next(r["answer"] for r in ROWS if r["question"] == problem.question)
    assert (problem.domain, problem.source) == ("math", f"file:{here.path}")


def test_parts_are_disjoint_whole_and_independent_of_row_order(tmp_path):
    here = settings(write(tmp_path, "a.jsonl", ROWS))
    label, heldout = (load_problems(here, 3, part) for part in ("label", "heldout"))
    assert (len(label), len(heldout)) == (20, 10)
    assert questions(label).isdisjoint(questions(heldout))
    shuffled = settings(write(tmp_path, "b.jsonl", random.Random(0).sample(ROWS, 40)))
    assert questions(load_problems(shuffled, 3, "heldout")) == questions(heldout)
    assert questions(load_problems(here, 4, "heldout")) != questions(heldout)


def test_more_to_label_never_moves_the_heldout(tmp_path):
    path = write(tmp_path, "a.jsonl", ROWS)
    few, many = settings(path, count=5), settings(path, count=30)
    assert load_problems(few, 0, "heldout") == load_problems(many, 0, "heldout")
    assert load_problems(many, 0, "label")[:5] == load_problems(few, 0, "label")


def test_numbers_stay_as_written(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "q", "answer": 1.50}\n\n{"question": "r", "answer": 18}\n')
    found = load_problems(settings(str(path), count=2, heldout=0), 0, "label")
    assert {p.question: p.reference for p in found} == {"q": "1.50", "r": "18"}
    path = tmp_path / "a.csv"
    path.write_text('question,answer\nq,007\n"r, with a comma",1e5\n')
    found = load_problems(settings(str(path), count=2, heldout=0), 0, "label")
    assert {p.question: p.reference for p in found} == {"q": "007", "r, with a comma": "1e5"}


def test_column_map_and_own_ids(tmp_path):
    rows = [{"uid": f"u{i}", "problem": f"p{i}", "solution": str(i)} for i in range(3)]
    columns = {"question": "problem", "reference": "solution", "id": "uid"}
    here = settings(write(tmp_path, "a.jsonl", rows), columns=columns, count=3, heldout=0, domain="own:check")
    found = sorted(load_problems(here, 0, "label"), key=lambda problem: problem.id)
    assert [(p.id, p.question, p.reference, p.domain) for p in found] == [
        (f"u{i}", f"p{i}", str(i), "own:check") for i in range(3)
    ]


def test_duplicates_are_dropped_and_counted(tmp_path, caplog):
    rows = [*ROWS[:5], {"question": "  what IS 1 +\n1? ", "answer": "2"}]
    here = settings(write(tmp_path, "a.jsonl", rows), count=5, heldout=0)
    assert len(load_problems(here, 0, "label")) == 5
    assert "dropped 1 rows" in caplog.text
    assert normalised("Ａ  b\nC") == "a b c"


@pytest.mark.parametrize(
    ("rows", "kwargs", "message"),
    [
        (ROWS, {"count": 35}, r"at least 45 different problems.*found 40"),
        (ROWS, {"columns": {"question": "problem"}}, r"problem \(for question\).*found question, answer"),
        (ROWS, {"columns": {"reference": "result"}}, r"result \(for reference\).*found question, answer"),
        ([*ROWS, {"question": " ", "answer": "1"}, {"answer": "1"}], {}, "2 of 42 rows: 41, 42"),
        ([*ROWS, {"question": "q", "answer": None}], {}, "expected a reference.*1 of 41 rows: 41"),
        ([{"question": "", "answer": "1"}] * 30, {}, "30 of 30 rows: 1, 2, .* and 20 more"),
        ([], {}, "no rows"),
        ([[1, 2]], {}, "line 1, found list"),
    ],
)
def test_faults_of_the_data_are_named(tmp_path, rows, kwargs, message):
    with pytest.raises(DataError, match=message):
        load_problems(settings(write(tmp_path, "a.jsonl", rows), **kwargs), 0, "label")


def test_ids_must_be_unique(tmp_path):
    rows = [{"question": f"q{i}", "answer": "1", "id": "same"} for i in range(2)]
    columns = {"question": "question", "reference": "answer", "id": "id"}
    here = settings(write(tmp_path, "a.jsonl", rows), columns=columns, count=2, heldout=0)
    with pytest.raises(DataError, match="'same' in rows 1 and 2"):
        load_problems(here, 0, "label")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"question": "q"}\n{"question": \n', "line 2"),
        ("a.jsonl", b"\xff\xfe\xfd", "utf-8"),
        ("a.jsonl.gz", b"not gzip", "readable"),
        ("a.parquet", b"not parquet", "readable"),
        ("a.csv", b"question,answer\nq,1,2\n", "row 1"),
        ("a.csv", b'question,answer\n"q,1\n', "CSV"),
        ("a.json", b'{"question": "q", "answer": "1"}', "one list of JSON objects"),
        ("a.json", b'[{"question": ', "readable"),
        ("a.xlsx", b"", r"\.csv, \.json, \.jsonl, \.parquet"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_problems(settings(str(tmp_path / name)), 0, "label")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"no-such\.jsonl"):
        load_problems(settings(str(tmp_path / "no-such.jsonl")), 0, "label")


class TestHub:
    def test_rows_and_configuration(self, monkeypatch):
        asked = []

        def load_dataset(name, config, split):
            asked.append((name, config, split))
            return datasets.Dataset.from_list(ROWS)

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        here = settings("openai/gsm8k:main", source="hub", split="test")
        assert len(load_problems(here, 0, "label")) == 20
        assert asked == [("openai/gsm8k", "main", "test")]

    def test_what_the_library_says_is_passed_on(self, monkeypatch):
        def load_dataset(name, config, split):
            raise FileNotFoundError("no such dataset on the hub")

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        with pytest.raises(DataError, match=r"'nobody/nothing'.*no such dataset on the hub"):
            load_problems(settings("nobody/nothing", source="hub"), 0, "label")


class TestWorld:
    def test_exact_counts_distinct_and_disjoint(self):
        world = ProblemSettings(count=60, heldout=40)
        label, heldout = (load_problems(world, 7, part) for part in ("label", "heldout"))
        assert (len(questions(label)), len(questions(heldout))) == (60, 40)
        assert questions(label).isdisjoint(questions(heldout))
        assert label == load_problems(world, 7, "label")
        assert questions(label) != questions(load_problems(world, 8, "label"))
        assert all(":distil" in p.source for p in label)
        assert all(":test" in p.source for p in heldout)

    def test_a_small_world_says_so(self, monkeypatch):
        import generators.world
        from distill.records import Problem

        monkeypatch.setattr(generators.world, "sample_problem", lambda seed, split: Problem("x", "q", "1"))
        with pytest.raises(DataError, match=r"expected 3 different problems.*found 1"):
            load_problems(ProblemSettings(count=3), 0, "label")
