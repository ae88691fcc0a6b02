"""The page as a browser parses it: self-contained, escaped, complete, silent about what is missing."""

import base64
import hashlib
import html as html_module
import json
import re
import traceback
from html.parser import HTMLParser

import numpy as np
import pytest

from distill.config import EvaluationSettings
from distill.evaluation import evaluate
from distill.records import Outcome, ScoredChain
from distill.report import render_report
from distill.report.progress import CHAINS_SHOWN

EVIL = "</script></pre></td><script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>"
VOID = {"meta", "input", "br", "hr", "img", "link"}


class Page(HTMLParser):
    """Tags with attributes, visible text outside style and script, and unbalanced tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open, self.faults = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style") and "pre" not in self.open:
            self.text.append(data)

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def evaluation():
    rng = np.random.default_rng(0)
    scored = []
    for index in range(160):
        truth = int(rng.integers(0, 4)) if index % 3 == 0 else -1
        good = np.array([truth == -1 or step < truth for step in range(4)])
        scores = {
            name: tuple(np.clip(np.where(good, 0.8, 0.2) + rng.normal(0, noise, 4), 0, 1).tolist())
            for name, noise in (
                ("hybrid", 0.1),
                ("verifier_4bit", 0.3),
                ("verifier_full", 0.3),
                ("checker", 0.5),
            )
        }
        scores["step_logprob"] = tuple((-rng.random(4)).tolist())
        outcome = Outcome.CORRECT if truth == -1 else Outcome.INCORRECT
        kind = "" if truth == -1 else ("arithmetic", "wrong_operand")[index % 2]
        scored.append(
            ScoredChain(
                f"p{index // 8}", f"c{index}", ("s",) * 4, str(truth), outcome, truth, kind, scores=scores
            )
        )
    thresholds = dict.fromkeys(scored[0].scores, 0.5) | {"step_logprob": -0.5}
    return evaluate(scored, thresholds, EvaluationSettings(bootstrap=100), 0, "hybrid")


def chain(**changes):
    return {
        "question": "How many pencils?",
        "steps": ["3 * 4 = 12\n", "12 - 5 = 8\n"],
        "scores": [0.97, 0.04],
        "labels": ["good", "bad"],
        "evidence": ["7 of 8 rollouts right", "refuted: 12 - 5 = 7"],
        "truth": 1,
        "predicted": 1,
        "outcome": "incorrect",
        "answer": "8",
        "reference": "7",
    } | changes


@pytest.fixture(scope="module")
def summary():
    found = evaluation()
    f1 = {name: figures["f1"]["value"] for name, figures in found["scorers"].items()}
    return {
        "schema_version": 1,
        "recipe": {
            "name": "quickstart",
            "seed": 11,
            "yaml": "name: quickstart\nseed: 11\n",
            "fingerprint": "ab12cd",
        },
        "versions": {"torch": "2.13.0", "bitsandbytes": "0.50.2"},
        "hardware": {"cpu": "Example CPU", "cores": 2, "memory_gib": 15.62},
        "wall_seconds": 431.7,
        "peak_rss_gib": 3.41,
        "teacher_tokens": 1243881,
        "teacher_token_use": {"chains": 93210, "rollouts": 968000, "heldout_chains": 182671},
        "stages": [
            {
                "name": "chains",
                "seconds": 22.4,
                "in": 301,
                "out": 1204,
                "outcomes": {"correct": 802, "incorrect": 395, "undecided": 7},
                "tokens": 93210,
                "shards": 5,
                "retries": 2,
            },
            {"name": "evaluation", "seconds": 0.5, "in": 160, "out": 1, "outcomes": {}},
        ],
        "pass_rate": 0.6683,
        "label_first_error_accuracy": 0.9533,
        "labels": {
            "first_error": {"value": 0.9533, "low": 0.939, "high": 0.9664, "hits": 1144, "n": 1200},
            "step_precision": {"value": None, "low": 0.0, "high": 1.0, "hits": 0, "n": 0},
            "first_error_positions": {"-1": 802, "0": 44, "2": 88},
            "status": {"good": 4831, "bad": 377, "undetermined": 212},
        },
        "dataset": {"train": {"chains": 989}, "near_duplicates": 31},
        "training": {
            "curve": [
                {"step": 10, "loss": 0.9},
                {"step": 20, "loss": 0.4, "eval_f1": 0.71},
                {"step": 40, "f1": 0.83},
            ],
            "curve_full": [{"step": 10, "loss": 0.8}, {"step": 20, "loss": 0.3}],
            "best_step": 40,
        },
        "verifier": {
            "f1_full": f1["verifier_full"],
            "f1_4bit": f1["verifier_4bit"],
            "forms": {"adapter": {"f1": 0.8123, "mean_change": 0.00123}, "merged": {"f1": 0.8076}},
            "sizes": {"quantised_bytes": 1512000, "quantised_bf16_bytes": 5400000, "folder_bytes": 5123456},
            "threshold": 0.412,
            "temperature": 1.31,
        },
        "hybrid": {"f1": f1["hybrid"]},
        "baselines": {"step_logprob": {"f1": f1["step_logprob"]}, "checker": {"f1": f1["checker"]}},
        "evaluation": found,
        "best_of_n": found["best_of_n"],
    }


@pytest.fixture(scope="module")
def text(summary):
    return render_report(
        summary, [chain(), chain(truth=-1, predicted=0), chain(truth=None, scores=[None, 0.5])]
    )


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_it_is_balanced_html_with_one_h1(text, page):
    assert text.startswith("<!doctype html>")
    assert page.faults == []
    assert page.open == []
    assert len(page.named("h1")) == 1
    assert page.named("html") == [{"lang": "en"}]


def test_nothing_is_fetched(text, page):
    links = [
        a[key] for _, a in page.tags for key in ("href", "src", "action", "data", "xlink:href") if key in a
    ]
    assert links
    assert all(link.startswith("#") for link in links)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    assert not re.search(r"url\(|@import|https?:", style)
    assert "http://" not in text
    assert "https://" not in text


def test_the_policy_allows_the_one_script_and_no_other(text, page):
    policy = next(
        a["content"] for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert len(page.named("script")) == 1


def test_every_link_and_label_has_its_target(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for key in ("href", "aria-labelledby"):
            if key in attributes:
                assert attributes[key].removeprefix("#") in ids


def test_every_chart_says_what_it_shows(page):
    charts = page.named("svg")
    assert len(charts) >= 6
    assert all(chart["role"] == "img" and len(chart["aria-label"]) > 20 for chart in charts)


def everywhere_evil(node):
    if isinstance(node, dict):
        return {(key if key in KEPT else key + EVIL): everywhere_evil(item) for key, item in node.items()}
    if isinstance(node, list):
        return [everywhere_evil(item) for item in node]
    return EVIL if isinstance(node, str) else node


KEPT = {
    "recipe",
    "name",
    "seed",
    "yaml",
    "fingerprint",
    "versions",
    "hardware",
    "stages",
    "outcomes",
    "teacher_token_use",
    "labels",
    "status",
    "dataset",
    "training",
    "verifier",
    "forms",
    "sizes",
    "evaluation",
    "scorers",
    "best_of_n",
    "differences",
    "default_scorer",
    "f1",
    "value",
    "low",
    "high",
}


def test_text_cannot_break_out(summary, page):
    evil = chain(
        question=EVIL,
        steps=[EVIL, EVIL],
        evidence=[EVIL, EVIL],
        labels=[EVIL, EVIL],
        outcome=EVIL,
        answer=EVIL,
        reference=EVIL,
    )
    found = Page(render_report(everywhere_evil(summary), [evil]))
    assert found.faults == []
    assert found.open == []
    assert len(found.named("script")) == 1
    assert found.named("img") == []
    assert not [a for _, a in found.tags if any(key.startswith("on") for key in a)]
    assert "alert(1)" in found.words
    assert [a["title"] for a in found.named("i") if "alert" in a.get("title", "")]


def test_the_raw_figures_are_all_there(text, summary):
    raw = re.search(r"summary\.json\)</summary><pre>(.*?)</pre>", text, re.DOTALL).group(1)
    assert json.loads(html_module.unescape(raw)) == json.loads(json.dumps(summary))


def test_headline_figures_can_be_read(page, summary):
    shown = (
        "66.8 %|95.3 %|93.9 to 96.6|1.24 M|1,243,881|7.2 min|3.41 GiB|28.0 %|5.12 MB|968,000|1,204|22.4 s|"
        "undecided 7 1%|4,831|0.412|1.31|Example CPU|15.62 GiB|2.13.0|ab12cd|Merged, then quantised|81.2|"
        "0.00123|989|Chains: work tried again 2|wrong operand"
    )
    assert [figure for figure in shown.split("|") if figure not in page.words] == []
    for figures in summary["evaluation"]["scorers"].values():
        assert f"{figures['f1']['value'] * 100:.1f}" in page.words
    for name in ("pass_at_1", "majority_8", "verifier_8", "oracle_8"):
        assert f"{summary['best_of_n'][name] * 100:.1f}" in page.words


def test_what_was_set_aside_is_shown_with_its_traceback(summary):
    """As a poison that raises leaves it, here one whose text would break the page."""
    try:
        raise ValueError(f"the script raises at {EVIL}")
    except ValueError:
        trace = traceback.format_exc()
    aside = {
        "problem": "p17",
        "question": "How many pencils has Mia?",
        "stage": "chains",
        "tries": 4,
        "kind": "error",
        "reason": trace,
    }
    retried = {"unit": "chains-3 problem 5", "kind": "error", "reason": trace}
    stages = [row | {"faults": [retried]} if row["name"] == "chains" else row for row in summary["stages"]]
    text = render_report(summary | {"set_aside": [aside], "stages": stages}, [chain()])
    found = Page(text)
    assert (found.faults, found.open, found.named("img")) == ([], [], [])
    assert "Complete with 1 problems set aside; the stages below say why." in found.words
    assert "error in 4 tries" in found.words
    assert "p17: How many pencils has Mia?" in found.words
    body = html_module.unescape(text[: text.index("summary.json)</summary>")])
    assert body.count(trace.strip()) == 2, "whole, where it was set aside and where it was tried again"
    assert "test_report_page.py" in body


def test_money_is_shown_where_the_recipe_has_a_price(summary, page):
    assert "Money" not in page.words
    words = Page(render_report(summary | {"money": 1234.5}, [])).words
    assert "Money 1,234.50" in words


def test_every_section_is_linked(page):
    assert [a["href"] for a in page.named("a")][1:] == [
        f"#{name}"
        for name in [
            "scorers",
            "best",
            "calibration",
            "precision",
            "training",
            "labels",
            "dataset",
            "stages",
            "chains",
            "run",
        ]
    ]


def test_an_empty_summary_shows_nothing():
    found = Page(render_report({}, []))
    assert found.faults == []
    assert not re.search(r"\d", found.words)
    assert not re.search(r"None|nan|undefined", found.words)
    assert found.named("svg") == []


@pytest.mark.parametrize(
    "name",
    [
        "recipe",
        "versions",
        "hardware",
        "wall_seconds",
        "peak_rss_gib",
        "teacher_tokens",
        "teacher_token_use",
        "stages",
        "pass_rate",
        "labels",
        "label_first_error_accuracy",
        "dataset",
        "training",
        "verifier",
        "hybrid",
        "baselines",
        "evaluation",
        "best_of_n",
    ],
)
def test_any_part_may_be_there_alone_or_missing(summary, name):
    alone = Page(render_report({name: summary[name]}, []))
    without = Page(render_report({key: node for key, node in summary.items() if key != name}, []))
    for found in (alone, without):
        assert found.faults == []
        assert "None" not in found.words
        assert "nan" not in found.words.split()


def test_a_figure_that_is_none_or_not_finite_is_left_out(summary):
    changed = summary | {
        "pass_rate": None,
        "teacher_tokens": float("nan"),
        "label_first_error_accuracy": None,
    }
    words = Page(render_report(changed, [])).words
    assert "Teacher's pass rate" not in words
    assert "Teacher tokens" not in words
    assert "Label accuracy" not in words


def test_a_run_without_a_full_evaluation_still_has_its_table(summary):
    parts = {key: summary[key] for key in ("verifier", "hybrid", "baselines")}
    found = Page(render_report(parts, []))
    assert "Step log-probability" in found.words
    assert f"{summary['hybrid']['f1'] * 100:.1f}" in found.words


def test_a_chain_shows_score_truth_evidence_and_prediction(text, page):
    assert "First error found" in page.words
    assert "Correct, but accused" in page.words
    assert "refuted: 12 - 5 = 7" in page.words
    cells = [a for a in page.named("i") if a.get("class", "").startswith("cell s") and a.get("title")]
    assert cells[0]["class"] == "cell s10"
    assert cells[1]["class"] == "cell s0 truth said"
    assert "first error by exact truth" in cells[1]["title"]
    assert "P(correct) 0.040" in cells[1]["title"]
    assert "not scored" in cells[4]["title"]


def test_many_chains_are_cut_and_said_so():
    found = Page(render_report({}, [chain()] * (CHAINS_SHOWN + 7)))
    assert len(found.named("details")) == CHAINS_SHOWN + 1
    assert f"The first {CHAINS_SHOWN} of {CHAINS_SHOWN + 7} chains are here." in found.words


def test_odd_chains_do_not_break_it():
    odd = [
        {"steps": []},
        {"question": None, "steps": ["\ud83d\ude00 𝛼"], "scores": [], "truth": 5, "predicted": -1},
    ]
    found = Page(render_report({}, odd))
    assert found.faults == []
    assert "(no question)" in found.words
