"""Charts, wording and views on their own."""

import math
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from distill.report import charts, progress, results, wording
from distill.report.wording import Figure


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.683, 0.996), (0, 88), (3, 3), (0, 0), (-0.4, 12_000), (1e-6, 3e-6)]
)
def test_ticks_are_round_even_and_cover_the_data(low, high):
    ticks = charts.nice_ticks(low, high)
    assert ticks[0] <= low + 1e-12
    assert ticks[-1] >= high - 1e-12
    steps = [after - before for before, after in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps))
    assert 2 <= len(ticks) <= 8


def test_labels_are_pushed_apart_but_stay_inside():
    places = charts.spread([20, 21, 22, 255, 256], 15, 18, 256)
    assert all(after - before >= 15 - 1e-9 for before, after in pairwise(places))
    assert places[-1] <= 256
    assert places[0] >= 18
    assert charts.spread([], 15, 0, 100) == []


def parse(markup):
    return ElementTree.fromstring(str(markup))


def test_a_line_chart_places_points_by_value():
    line = charts.Series("<b>", ((1, 0.5), (2, 0.6), (8, 1.0)), "t-default", ((1, 0.4, 0.6), (8, 0.9, 1.0)))
    svg = parse(charts.line_chart("T & x", [line], x_label="n", y_label="%", x_log=True, percent=True))
    dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in svg.iter("circle")]
    assert dots[0][0] < dots[1][0] < dots[2][0]
    assert dots[0][1] > dots[1][1] > dots[2][1]
    assert dots[1][0] - dots[0][0] == pytest.approx((dots[2][0] - dots[0][0]) / 3, abs=0.2)
    assert "<b>" in [text.text for text in svg.iter("text")]
    assert "100" in [text.text for text in svg.iter("text")]


def test_charts_without_data_are_nothing():
    assert charts.line_chart("t", [charts.Series("a", ())], x_label="", y_label="") == ""
    assert charts.histogram("t", {}, x_label="", y_label="") == ""
    assert charts.reliability("t", []) == ""
    assert charts.stacked_bar([("a", 0, "good")]) == ""


def test_a_single_point_is_drawn():
    one = charts.line_chart("t", [charts.Series("a", ((1, 0.7),))], x_label="n", y_label="y", x_log=True)
    assert "nan" not in one
    assert len(list(parse(one).iter("circle"))) == 1


def test_histogram_bars_are_as_high_as_their_counts():
    svg = parse(charts.histogram("t", {"1": 10, "2": 20}, x_label="x", y_label="y"))
    first, second = (float(bar.get("height")) for bar in svg.iter("rect"))
    assert second == pytest.approx(2 * first, abs=0.2)


def test_reliability_dots_sit_at_confidence_and_accuracy():
    bins = [
        {"low": 0, "high": 0.1, "confidence": 0.05, "accuracy": 0.5, "count": 4},
        {"low": 0.9, "high": 1, "confidence": 0.95, "accuracy": 0.95, "count": 400},
    ]
    svg = parse(charts.reliability("t", bins))
    small, large = svg.iter("circle")
    assert float(small.get("r")) < float(large.get("r"))
    gap = [path for path in svg.iter("path") if path.get("class") == "gap"]
    assert len(gap) == 2


def test_a_stacked_bar_has_shares_that_add_up():
    bar = str(charts.stacked_bar([("a", 3, "good"), ("b", 1, "bad"), ("c", 0, "warn")]))
    assert "flex-grow:0.750000" in bar
    assert "flex-grow:0.250000" in bar
    assert "warn" not in bar


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (0.5, Figure(0.5)),
        ({"value": 0.5, "low": 0.4, "high": 0.6}, Figure(0.5, 0.4, 0.6)),
        ({"value": 0.5}, Figure(0.5)),
        ({"value": None, "low": 0, "high": 1}, None),
        ({"f1": 0.5}, None),
        (math.nan, None),
        (True, None),
        ("0.5", None),
        (None, None),
    ],
)
def test_figures(node, expected):
    assert wording.figure(node) == expected


RANGED = {"value": 0.9, "low": 0.85, "high": 0.95, "n": 1200}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.decimal(-0.0042, 1, 100, sign=True), "−0.4"),
        (wording.decimal(-0.0001, 1, 100, sign=True), "0.0"),
        (wording.decimal(0.0042, 1, 100, sign=True), "+0.4"),
        (wording.count(1243881), "1,243,881"),
        (wording.compact(1243881), "1.24 M"),
        (wording.compact(93210), "93.2 k"),
        (wording.compact(950), "950"),
        (wording.duration(0.25), "250 ms"),
        (wording.duration(59.95), "60.0 s"),
        (wording.duration(431.7), "7 min 12 s"),
        (wording.duration(7500), "2 h 05 min"),
        (wording.size(5123456), "5.12 MB"),
        (wording.size(12), "12 B"),
        (wording.label("verifier_4bit"), "4-bit verifier alone"),
        (wording.label("n_chains"), "Chains"),
        (wording.label("gsm8k.jsonl"), "gsm8k.jsonl"),
        (wording.plain("memory_gib", 15.62), "15.62 GiB"),
        (wording.plain("seconds", 61), "1 min 01 s"),
        (wording.plain("f1", RANGED), "90.0 (85.0 to 95.0), n 1,200"),
        (wording.plain("mean_change", 0.00123), "0.00123"),
        (wording.plain("gpu", None), None),
        (wording.plain("x", math.nan), None),
        (wording.plain("shipped", True), "yes"),
        (wording.plain("files", ["a", "b"]), "a, b"),
    ],
)  # fmt: skip
def test_wording(text, expected):
    assert text == expected


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        (2, 2, "found"),
        (-1, -1, "passed"),
        (-1, 0, "accused"),
        (2, -1, "missed"),
        (2, 1, "early"),
        (1, 2, "late"),
        (None, 0, "unjudged"),
        (0, None, "unjudged"),
    ],
)
def test_verdicts(truth, predicted, expected):
    assert progress.verdict(truth, predicted) == expected
    assert progress.verdict_words(expected)


def test_shades_follow_scores():
    assert [progress.shade(score) for score in (0.0, 0.04, 0.5, 1.0, 1.2, None)] == [
        *("s0", "s0", "s5", "s10", "s10", "sx"),
    ]


def test_losses_name_only_what_happened():
    summary = {
        "stages": [
            {"name": "chains", "retries": 0, "outcomes": {"correct": 5, "undecided": 0}},
            {"name": "labels", "retries": 3, "outcomes": {"good": 5, "undetermined": 2}},
        ],
        "evaluation": {"n_undecided_outcomes": 4, "scorers": {"hybrid": {"n_unscored_steps": 6}}},
        "training": {"cut_chains": 7, "truncated_steps": 8},
        "verifier": {"truncated_steps": 9},
    }
    assert [amount for _, amount in progress.losses(summary)] == ["3", "2", "4", "7", "8", "9", "6"]
    assert progress.losses({}) == []


def test_first_errors_are_counted_from_step_one_and_chains_without_are_apart():
    chart = progress.first_error_chart({"labels": {"first_error_positions": {"-1": 800, "0": 4, 2: 9}}})
    bars = [title.text for title in parse(chart).iter("title")]
    assert bars == ["1: 4", "3: 9"]


def test_tables_join_the_columns_of_their_rows():
    columns, rows = progress.table(
        {"adapter": {"f1": 0.9}, "merged": {"f1": 0.8, "bytes": 2000}, "note": "x"}
    )
    assert columns == ["F1", "Bytes"]
    assert rows == [("Adapter on the 4-bit base", ["90.0", ""]), ("Merged, then quantised", ["80.0", "2 kB"])]


def test_forest_plots_start_below_every_interval():
    rows = [results.Row("a", "", {"f1": Figure(0.9, 0.87, 0.95)}), results.Row("b", "", {"f1": Figure(0.62)})]
    assert results.lowest(rows, "f1") == pytest.approx(0.6)
    assert results.lowest([], "f1") == 0.0
    assert results.widest([results.Row("a", "", {"f1": Figure(-0.1, -0.3, 0.1)})], "f1") == 0.3
