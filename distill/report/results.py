"""The part of the page that says how good the verifier is: tables and charts of the evaluation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from distill.report import charts
from distill.report.wording import Figure, decimal, figure, label, look, number

GOOD, BAD, WARN = "good", "bad", "warn"
_TONES = {"verifier_4bit": "t-verifier", "verifier_full": "t-full"}
_WRONG = (
    ("hit", "right step", GOOD),
    ("early", "too early", WARN),
    ("late", "too late", "c6"),
    ("missed", "not at all", BAD),
)
_DIAGRAMS = 3
_SHORT = {"verifier_4bit": "4-bit", "step_logprob": "Log-prob."}
_RIGHT = (("passed", "passed", GOOD), ("accused", "accused", BAD))


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table of figures. `tone` is the colour of its scorer."""

    name: str
    tone: str
    figures: Mapping[str, Figure | None]
    note: str = ""
    bars: tuple[Markup, ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """A heat table: one row a group, one column a scorer, with how many chains are behind each row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Figure | None, ...]], ...]


def results(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Everything of the results sections, by name; empty where the summary has no such figure."""
    evaluation = summary.get("evaluation") or {}
    best = {**(evaluation.get("best_of_n") or {}), **(summary.get("best_of_n") or {})}
    default = evaluation.get("default_scorer") or best.get("scorer") or "hybrid"
    scorers = evaluation.get("scorers") or {}
    rows = scorer_rows(scorers, default) or summary_rows(summary, default)
    return {
        "scorers": rows,
        "thresholds": any(row.note for row in rows),
        "columns": [
            name
            for name in ("accuracy_erroneous", "accuracy_correct", "auroc", "brier", "ece")
            if any(row.figures.get(name) for row in rows)
        ],
        "differences": difference_rows(evaluation.get("differences") or {}, default),
        "by_kind": grid(scorers, default, "by_kind"),
        "by_length": grid(scorers, default, "by_length"),
        "best_chart": best_chart(best, default),
        "best_rows": best_rows(best, default),
        "best_hows": [
            how
            for how in ("min", "product", "last", "mean", "weighted_majority")
            if any(how in by_how for by_how in (best.get("curves") or {}).values())
        ],
        "best": best,
        "reliability": reliability_charts(scorers, summary, default),
    }


def tone(name: str, default: str) -> str:
    """Css class of a scorer's colour."""
    return "t-default" if name == default else _TONES.get(name, "t-base")


def by_f1(scorers: Mapping[str, Any]) -> list[str]:
    """Scorer names, best F1 first, those without one last."""
    return sorted(scorers, key=lambda name: -(number(look(scorers, name, "f1", "value")) or -1.0))


def scorer_rows(scorers: Mapping[str, Any], default: str) -> list[Row]:
    """One row a scorer, with bars of where its predictions fall."""
    rows = []
    for name in by_f1(scorers):
        found = scorers[name]
        figures = {key: figure(node) for key, node in found.items() if isinstance(node, Mapping)}
        threshold = number(found.get("threshold"))
        note = "" if threshold is None else decimal(threshold, 3)
        bars = tuple(
            charts.stacked_bar(
                [(text, look(found, "confusion", key) or 0, css) for key, text, css in parts], legend=False
            )
            for parts in (_WRONG, _RIGHT)
        )
        if any(figures.values()):
            rows.append(Row(label(name), tone(name, default), figures, note, bars if all(bars) else ()))
    return rows


def summary_rows(summary: Mapping[str, Any], default: str) -> list[Row]:
    """The same from the summary's own headline figures, for a run without a full evaluation."""
    found = {
        "hybrid": look(summary, "hybrid", "f1"),
        "verifier_4bit": look(summary, "verifier", "f1_4bit"),
        "verifier_full": look(summary, "verifier", "f1_full"),
    }
    found |= {name: look(node, "f1") for name, node in (summary.get("baselines") or {}).items()}
    rows = [Row(label(n), tone(n, default), {"f1": f}) for n, node in found.items() if (f := figure(node))]
    return sorted(rows, key=lambda row: -getattr(row.figures["f1"], "value", 0.0))


def difference_rows(differences: Mapping[str, Any], default: str) -> list[Row]:
    """`a - b` pairs as rows."""
    rows = []
    for name, found in differences.items():
        first, _, second = name.partition(" - ")
        figures = {key: figure(node) for key, node in found.items()}
        if any(figures.values()):
            rows.append(Row(f"{label(first)} − {label(second)}", tone(first, default), figures))
    return rows


def lowest(rows: Sequence[Row], key: str) -> float:
    """Where a forest plot of fractions starts: the tenth below every interval, at most 0.9."""
    bounds = [
        found.value if found.low is None else found.low for row in rows if (found := row.figures.get(key))
    ]
    return min(max(math.floor(min(bounds, default=0.0) * 10) / 10, 0.0), 0.9)


def widest(rows: Sequence[Row], key: str) -> float:
    """Largest absolute bound of a figure: half the width of a forest plot around zero."""
    bounds = [
        abs(bound)
        for row in rows
        if (found := row.figures.get(key))
        for bound in (found.value, found.low, found.high)
        if bound is not None
    ]
    return max(bounds, default=0.0) or 1.0


def grid(scorers: Mapping[str, Any], default: str, key: str) -> Grid | None:
    """First-error F1 by group (`by_kind` or `by_length`) and scorer."""
    names = [name for name in by_f1(scorers) if scorers[name].get(key)]
    if not names:
        return None
    groups: dict[str, Any] = {}
    for name in names:
        for group, found in scorers[name][key].items():
            groups.setdefault(group, found)
    rows = []
    for group, found in groups.items():
        cells = tuple(figure(look(scorers, name, key, group, "f1")) for name in names)
        wrong, right = found.get("n_erroneous", 0), found.get("n_correct", 0)
        note = f"{wrong:,} wrong" if key == "by_kind" else f"{wrong:,} wrong, {right:,} correct"
        if any(cells):
            rows.append((group.replace("_", " ") if key == "by_kind" else f"{group} steps", note, cells))
    return Grid(tuple(label(name) for name in names), tuple(rows)) if rows else None


def best_chart(best: Mapping[str, Any], default: str) -> Markup:
    """Accuracy against n: the default scorer and the verifier, between pass@1, the vote and the oracle."""
    how, curves = best.get("aggregation", "min"), best.get("curves") or {}
    lines = [("Oracle", "t-oracle", best.get("oracle"))]
    for name in dict.fromkeys([default, "verifier_4bit", "step_logprob"]):
        lines.append((_SHORT.get(name, label(name)), tone(name, default), look(curves, name, how)))
    lines.append(("Majority", "t-majority", best.get("majority")))
    series = [_curve(name, css, node) for name, css, node in lines if node]
    base = figure(best.get("pass_at_1"))
    if base and series:
        xs = [x for x, _ in series[0].points]
        series.append(charts.Series("pass@1", ((xs[0], base.value), (xs[-1], base.value)), "t-pass"))
    return charts.line_chart(
        "Best-of-n accuracy",
        series,
        x_label="n, chains to choose from",
        y_label="Problems answered right, %",
        x_log=True,
        percent=True,
    )


def _curve(name: str, css: str, by_n: Mapping[str, Any]) -> charts.Series:
    found = sorted((int(n), f) for n, node in by_n.items() if (f := figure(node)))
    band = tuple((float(n), f.low, f.high) for n, f in found if f.low is not None and f.high is not None)
    shaded = band if css == "t-default" else ()
    return charts.Series(name, tuple((float(n), f.value) for n, f in found), css, shaded)


def best_rows(best: Mapping[str, Any], default: str) -> list[Row]:
    """At the largest n: every scorer by aggregation, with the share of the gap closed."""
    curves, gaps = best.get("curves") or {}, best.get("gap_closed_by") or {}
    rows = []
    for name, by_how in curves.items():
        figures = {how: _last(by_n) for how, by_n in by_how.items()}
        rows.append(Row(label(name), tone(name, default), figures | {"gap": figure(gaps.get(name))}))
    main = str(best.get("aggregation", "min"))
    rows.sort(key=lambda row: -(found.value if (found := row.figures.get(main)) else -1.0))
    if vote := _last(best.get("majority") or {}):
        rows.append(Row(label("majority"), "t-majority", {main: vote, "gap": figure(gaps.get("majority"))}))
    return rows


def _last(by_n: Mapping[str, Any]) -> Figure | None:
    return figure(by_n[max(by_n, key=int)]) if by_n else None


def reliability_charts(
    scorers: Mapping[str, Any], summary: Mapping[str, Any], default: str
) -> list[tuple[str, str, str, Markup]]:
    """(name, tone, note, diagram): the verifier before and after calibration, the hybrid, full precision."""
    found: list[tuple[str, str, str, Any]] = []
    for when in ("before", "after"):
        if bins := look(summary, "verifier", f"reliability_{when}"):
            found.append((f"Verifier {when} calibration", tone("verifier_4bit", default), "", bins))
    for name in ("verifier_uncalibrated", "verifier_4bit", "hybrid", "verifier_full"):
        if bins := look(scorers, name, "reliability"):
            note = _ece_note(look(scorers, name, "ece"))
            found.append((label(name), tone(name, default), note, bins))
    return [
        (name, css, note, charts.reliability(f"Reliability of {name}", bins))
        for name, css, note, bins in found[:_DIAGRAMS]
    ]


def _ece_note(node: Any) -> str:
    found = figure(node)
    return f"ECE {found.value:.3f}" if found else ""
