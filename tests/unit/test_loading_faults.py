"""Everything that is wrong with a recipe, told at once, with its line and what was probably meant."""

from pathlib import Path

import pytest

from distill.config import PretrainSettings
from distill.errors import RecipeError
from distill.loading import load_recipe, load_settings

TEN_FAULTS = """\
# line 1
seed: '7'
problems:
  source: file
  count: many
  count: 5
  path: data/none.jsonl
teacher:
  temprature: 0.5
  backend: transformer
  top_p: 1.5
rollouts: 8
dataset:
  decontaminate:
    - no such évaluation.jsonl
evaluation:
  best_of: [1, 0]
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def faults(text: str, *overrides: str) -> list[str]:
    """The lines of the error, without their file."""
    path = Path("my räcipe.yaml")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    head, *lines = str(caught.value).split("\n  ")
    assert head == f"{path} has {len(lines)} fault{'s' if len(lines) > 1 else ''}:"
    return [line.removeprefix(f"{path}:") for line in lines]


def test_ten_faults_of_ten_kinds_are_all_told_with_their_lines(tmp_path: Path) -> None:
    assert faults(TEN_FAULTS) == [
        "1: missing required key 'name' (Names the run folder.)",
        "2: seed: expected a whole number, found '7' (write it without quotes)",
        "5: problems.count: expected a whole number above 0, found 'many'",
        "6: duplicate key 'problems.count' (first on line 5)",
        f"7: problems.path: no file 'data/none.jsonl' in {tmp_path}",
        "9: unknown key 'teacher.temprature'; did you mean 'teacher.temperature'?",
        "10: teacher.backend: expected one of 'transformers', 'vllm', 'openai', 'scripted', found "
        "'transformer'; did you mean 'transformers'?",
        "11: teacher.top_p: expected a number above 0 and up to 1, found 1.5",
        "12: unknown key 'rollouts'; did you mean 'labelling.rollouts'?",
        f"15: dataset.decontaminate[0]: no file 'no such évaluation.jsonl' in {tmp_path}",
        "17: evaluation.best_of[1]: expected a whole number above 0, found 0",
    ]


def test_a_fault_in_a_file_does_not_hide_one_in_an_override() -> None:
    assert faults(
        "name: x\nseed: a\n",
        "labelling.rollouts=many",
        "nonsense",
        "teacher..top_p=1",
        "verifier.lora.r=[1,",
        "teacher.prompt=Q: {question}",
        "teacher.top_p=.inf",
        "cluster.adress=auto",
    ) == [
        "2: seed: expected a whole number, found 'a'",
        "override 'labelling.rollouts=many': labelling.rollouts: "
        "expected a whole number above 0, found 'many'",
        "override 'nonsense': expected key.path=value, such as labelling.rollouts=16",
        "override 'teacher..top_p=1': expected key.path=value, such as labelling.rollouts=16",
        "override 'verifier.lora.r=[1,': cannot read the value: not valid YAML: expected the node content, "
        "but found '<stream end>' (text may need quotes)",
        "override 'teacher.prompt=Q: {question}': cannot read the value: not valid YAML: mapping values are "
        "not allowed here (text may need quotes)",
        "override 'teacher.top_p=.inf': cannot read the value: expected a finite number, found .inf "
        "(text may need quotes)",
        "override 'cluster.adress=auto': unknown key 'cluster.adress'; did you mean 'cluster.address'?",
    ]


def test_an_override_mends_what_it_replaces() -> None:
    path = Path("r.yaml")
    path.write_text("name: x\nseed: a\nlabelling: 5\n")
    recipe = load_recipe(path, ["seed=3", "labelling.rollouts=4"])
    assert (recipe.seed, recipe.labelling.rollouts) == (3, 4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed: 1.5", "seed: expected a whole number, found 1.5"),
        ("seed: true", "seed: expected a whole number, found true"),
        ("seed:", "seed: expected a whole number, found nothing (leave the key out to take its default)"),
        ("runs: 3", "runs: expected text, found 3 (put it in quotes)"),
        ("teacher: {prompt: [a]}", "teacher.prompt: expected text, found a list"),
        ("teacher: fast", "teacher: expected `key: value` settings, found 'fast'"),
        ("completer: 5", "completer: expected `key: value` settings or null, found 5"),
        ("completer: {stop: x}", "completer.stop: expected a list, each item text, found 'x'"),
        ("teacher: {temperature: .nan}", "teacher.temperature: expected a finite number, found .nan"),
        ("labelling: {good_at: -1}", "labelling.good_at: expected a number from 0 to 1, found -1"),
        (
            "labelling: {step_checks: yes}",
            "labelling.step_checks: expected true or false, found 'yes' (write true)",
        ),
        (
            "problems: {columns: {questoin: q}}",
            "unknown key 'problems.columns.questoin'; did you mean 'problems.columns.question'?",
        ),
        ("problems: {source: hub}", "problems: source 'hub' needs a path"),
        (
            "verifier: {lora: {zzz: 1}}",
            "unknown key 'verifier.lora.zzz'; expected one of r, alpha, dropout, targets",
        ),
        ("price: {per_hours: 1}", "unknown key 'price.per_hours'; did you mean 'price.per_hour'?"),
        ("top_p: 1", "unknown key 'top_p'; did you mean 'teacher.top_p' or 'completer.top_p'?"),
        ("12: 1", "unknown key '12'; expected one of name, seed,"),
        ("? [a, b]\n: 1", "expected a plain key, found a list or a mapping as key"),
        (
            "seed: !!python/name:os.system x",
            "seed: the tag !!python/name:os.system has no meaning in a recipe",
        ),
        ("seed: !!int x", "seed: cannot read 'x' as int"),
        (
            'teacher: {prompt: "\\ud800"}',
            "teacher.prompt: expected Unicode text, found half of a surrogate pair",
        ),
        ("teacher: &a {stop: [*a]}", "teacher.stop[0]: an alias may not stand inside what it names"),
        ("teacher: {<<: 3}", "teacher: `<<` expects a mapping, or a list of mappings"),
        ("verifier: {base: ./gone}", "verifier.base: no folder './gone' in "),
        ("teacher: {model: a/b/c}", "teacher.model: no folder 'a/b/c' in "),
        ("teacher: {model: /no/where}", "teacher.model: no folder /no/where"),
        ("chains: {path: ~/x.jsonl}", "chains.path: no file '~/x.jsonl' in "),
        ("chains: {path: .}", "chains.path: expected a file, found a folder: ."),
    ],
)
def test_one_fault_one_sentence(line: str, message: str) -> None:
    (found,) = faults(f"name: x\n{line}\n")
    assert found.startswith(f"2: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: expected settings as `key: value` lines, found nothing"),
        ("- a\n", "1: expected settings as `key: value` lines, found a list"),
        ("just words\n", "1: expected settings as `key: value` lines, found text"),
        ("name: x\n\tseed: 1\n", "2: not valid YAML: found character '\\t' that cannot start any token "),
        (
            "name: x\nseed: [1\n",
            "3: not valid YAML: expected ',' or ']', but got '<stream end>', while",
        ),
        ("name: x\nseed: *gone\n", "2: not valid YAML: found undefined alias 'gone'"),
        ("name: x\n---\nname: y\n", "2: not valid YAML: but found another document"),
        ("name: x\x00\n", "1: not valid YAML: unacceptable character"),
    ],
)
def test_text_that_is_no_mapping(text: str, message: str) -> None:
    (found,) = faults(text)
    assert found.startswith(message)


def test_a_rule_over_two_keys_is_told_beside_a_fault_in_a_third() -> None:
    assert faults("name: x\nproblems:\n  count: 0\n  source: file\n") == [
        "2: problems: source 'file' needs a path",
        "3: problems.count: expected a whole number above 0, found 0",
    ]


def test_a_faulty_key_is_not_also_called_missing() -> None:
    assert faults("name: .inf\n") == ["1: name: expected a finite number, found .inf"]
    assert faults("name: x\nproblems:\n  source: file\n  path: 5\n") == [
        "4: problems.path: expected text or null, found 5 (put it in quotes)"
    ]


def test_lines_hold_with_comments_anchors_flow_and_carriage_returns() -> None:
    text = "# c\n\nname: x  # c\nteacher: &t\n  # c\n  top_p: 2\ncompleter:\n  <<: *t\n  cpus: -1\n"
    expected = [
        "6: completer.top_p: expected a number above 0 and up to 1, found 2",
        "6: teacher.top_p: expected a number above 0 and up to 1, found 2",
        "9: completer.cpus: expected a number of at least 0, found -1",
    ]
    assert faults(text) == expected
    assert faults(text.replace("\n", "\r\n")) == expected


def test_a_file_beside_the_recipe_is_pointed_out() -> None:
    Path("sub dir").mkdir()
    Path("sub dir/chains.jsonl").write_text("")
    Path("sub dir/r.yaml").write_text("name: x\nchains: {path: chains.jsonl}\n")
    with pytest.raises(RecipeError, match="not from the recipe: write sub dir/chains"):
        load_recipe("sub dir/r.yaml")
    assert load_recipe("sub dir/r.yaml", ["chains.path=sub dir/chains.jsonl"]).chains.path


def test_an_unknown_shipped_model_is_told_and_a_known_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generators.weights.builtin_names", lambda: ["arith-base", "arith-teacher"])
    assert faults("name: x\nverifier:\n  base: builtin:arith-bse\n") == [
        "3: verifier.base: no shipped model 'builtin:arith-bse'; did you mean 'builtin:arith-base'?"
    ]
    Path("ok.yaml").write_text(
        "name: x\nverifier: {base: 'builtin:arith-base'}\nteacher: {model: org/hub-name}\n"
    )
    load_recipe("ok.yaml")


def test_a_scripted_teacher_needs_no_model() -> None:
    Path("ok.yaml").write_text("name: x\nteacher: {backend: scripted, model: ./script}\n")
    assert load_recipe("ok.yaml").teacher.model == "./script"


def test_a_source_that_is_not_there_names_the_shipped_ones() -> None:
    with pytest.raises(RecipeError, match=r"recipe at tiny_teachr.*Did you mean 'tiny_teacher'\?"):
        load_recipe("tiny_teachr")
    with pytest.raises(RecipeError, match="Is a directory"):
        load_recipe(".")
    Path("latin.yaml").write_bytes("name: é".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"latin\.yaml is not UTF-8 text \(byte 6\)"):
        load_recipe("latin.yaml")


def test_a_pretraining_recipe_is_recognised() -> None:
    with pytest.raises(RecipeError, match=r"yaml:1: this is a recipe for `distill pretrain`"):
        load_recipe("tiny_teacher")
    assert load_settings("tiny_teacher", PretrainSettings).corpus == "solutions"
    Path("p.yaml").write_text("name: x\nvocab: 5\n")
    with pytest.raises(RecipeError, match=r"p\.yaml:2: unknown key 'vocab'; did you mean 'vocab_size'\?"):
        load_settings("p.yaml", PretrainSettings)
