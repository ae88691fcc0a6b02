"""The table at the end of a run, from its summary.json."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from distill.storage import Place

SCORERS = ("step_logprob", "checker", "checker_logprob", "verifier_full", "verifier_4bit", "hybrid")
SHOWN_SET_ASIDE = 5
WITHOUT_TRUTH = (
    "F1 of the verifier is not known: nobody judged the steps of the held-out chains. Give judged ones to\n"
    "`distill eval VERIFIER --benchmark steps --data FILE`; best-of-n needs answers alone.\n"
)


def print_summary(folder: Place, console: Console) -> int:
    """Headline figures, one table of scorers, and where to look next; how many problems were set aside."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    judged = summary.get("evaluation", {}).get("n_judged") != 0
    console.print(_scorers(summary) if judged else WITHOUT_TRUTH, highlight=False)
    for what, figure in _headlines(summary):
        console.print(f"{what:<46}{figure}", highlight=False)
    for line in set_aside_lines(summary):
        console.print(line, highlight=False, markup=False)
    console.print(f"\nreport    {folder / 'report.html'}", highlight=False)
    console.print(f"dataset   {folder / 'dataset' / 'hub'}", highlight=False)
    console.print(f"verifier  {folder / 'export' / 'verifier'}", highlight=False)
    return len(summary.get("set_aside", []))


def set_aside_lines(summary: dict[str, Any]) -> list[str]:
    """What a run that is complete but for some problems says of them; nothing of any other."""
    found = summary.get("set_aside", [])
    if not found:
        return []
    shown = [
        f"  {entry['stage']}: {entry['problem']}: {entry['kind']} in {entry['tries']} tries"
        for entry in found[:SHOWN_SET_ASIDE]
    ]
    more = [f"  and {len(found) - len(shown):,} more"] if len(found) > len(shown) else []
    return ["", f"complete with {len(found):,} set aside (the report says why):", *shown, *more]


def _scorers(summary: dict[str, Any]) -> Table:
    table = Table(title=f"{summary['recipe']['name']}: held-out chains")
    for column in ("scorer", "first-error F1", "95%", "AUROC", "ECE"):
        table.add_column(column, justify="left" if column == "scorer" else "right")
    found = summary.get("evaluation", {}).get("scorers", {})
    for name in SCORERS:
        if name in found:
            f1 = found[name].get("f1") or {}
            table.add_row(
                name,
                _percent(f1.get("value")),
                f"{_percent(f1.get('low'))} to {_percent(f1.get('high'))}" if f1 else "",
                _number(found[name].get("auroc")),
                _number(found[name].get("ece")),
            )
    return table


def _headlines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    best, given = summary.get("best_of_n", {}), summary.get("given_chains")
    rows = [
        ("right among the given chains" if given else "pass@1 of the teacher", _pass_rate(summary)),
        ("first-error accuracy of the labels", _percent(summary.get("label_first_error_accuracy"))),
        ("teacher tokens", f"{summary['teacher_tokens']:,}"),
        ("quantised layers, share of bf16", _percent(_size(summary))),
    ]
    n = best.get("n")
    for key in ("pass_at_1", f"majority_{n}", f"verifier_{n}", f"oracle_{n}", "gap_closed"):
        if key in best:
            rows.append((f"best-of-n on held-out problems: {key}", _percent(best[key])))
    rows.append(("time of all stages", f"{summary['wall_seconds']:.0f} s"))
    if "money" in summary:
        rows.append(("money, by `price`", f"{summary['money']:,.2f}"))
    rows.append(("peak memory", f"{summary['peak_rss_gib']:.2f} GiB"))
    return [(what, figure) for what, figure in rows if figure]


def _pass_rate(summary: dict[str, Any]) -> str:
    rate, undecided = _percent(summary.get("pass_rate")), summary.get("undecided_chains")
    return f"{rate} ({undecided:,} undecided chains left out)" if rate and undecided else rate


def _size(summary: dict[str, Any]) -> float | None:
    return summary.get("verifier", {}).get("sizes", {}).get("quantised_fraction")


def _percent(value: Any) -> str:
    return f"{100 * value:.1f}" if isinstance(value, int | float) else ""


def _number(value: Any) -> str:
    value = value.get("value") if isinstance(value, dict) else value
    return f"{value:.3f}" if isinstance(value, int | float) else ""
