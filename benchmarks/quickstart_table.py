"""The quickstart's result table as Markdown, from the `summary.json` of a run.

    python benchmarks/quickstart_table.py                 # runs/quickstart
    python benchmarks/quickstart_table.py runs/other-run

Prints the table and writes it to benchmarks/results/, with the same figures as JSON beside it. Every
figure carries its 95% interval where the run measured one, and the table ends with the command, the
hardware and the versions behind it. A figure that the run did not measure is a dash, never a zero.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DEFAULT_RUN = ROOT / "runs" / "quickstart"
ABSENT = "–"
SCORERS = {
    "step_logprob": "step log-probability of the verifier's base",
    "checker": "exact checks alone",
    "checker_logprob": "exact checks + log-probability",
    "verifier_full": "verifier trained in full precision",
    "verifier_4bit": "**4-bit verifier, as shipped**",
    "hybrid": "**hybrid: 4-bit verifier + exact checks**",
}
COMPARISONS = (
    ("verifier_4bit", "verifier_full", "4-bit against full precision"),
    ("verifier_4bit", "step_logprob", "4-bit verifier against its base's log-probability"),
    ("hybrid", "checker", "hybrid against exact checks alone"),
    ("hybrid", "checker_logprob", "hybrid against exact checks + log-probability"),
)

Figures = Mapping[str, Any]


def render(summary: Figures) -> str:
    """The whole block: scorers, differences, best-of-n and costs, and what it was measured on."""
    parts = [_scorers(summary), _differences(summary), _best_of_n(summary), _costs(summary), _origin(summary)]
    return "\n".join(parts)


def extract(summary: Figures) -> dict[str, Any]:
    """The figures that the table shows, as JSON."""
    evaluation = summary["evaluation"]
    keys = ("versions", "hardware", "wall_seconds", "peak_rss_gib", "teacher_tokens", "teacher_token_use")
    scorers = {
        name: {key: found[key] for key in ("f1", "auroc", "brier", "ece") if key in found}
        for name, found in evaluation.get("scorers", {}).items()
    }
    return {
        "recipe": summary["recipe"]["name"],
        "fingerprint": summary["recipe"]["fingerprint"],
        **{key: summary[key] for key in keys if key in summary},
        "n_problems": evaluation.get("n_problems"),
        "n_chains": evaluation.get("n_chains"),
        "scorers": scorers,
        "differences": evaluation.get("differences", {}),
        "best_of_n": evaluation.get("best_of_n", {}).get("intervals", {}),
        "label_first_error": summary["labels"].get("first_error"),
        "sizes": summary["verifier"].get("sizes"),
    }


def _scorers(summary: Figures) -> str:
    evaluation = summary["evaluation"]
    best = evaluation.get("best_of_n", {})
    n = best.get("n", 8)
    head = ["scorer", "first-error F1", "found in wrong chains", "right chains passed", "AUROC", "ECE"]
    rows = []
    for name, shown in SCORERS.items():
        found = evaluation.get("scorers", {}).get(name)
        if found:
            figures = [_points(found.get(key)) for key in ("f1", "accuracy_erroneous", "accuracy_correct")]
            rows.append([shown, *figures, _plain(found.get("auroc")), _plain(found.get("ece"))])
            rows[-1].append(_points(_curve(best, name, n)))
    counts = (
        f"{evaluation.get('n_chains', 0):,} held-out chains of {evaluation.get('n_problems', 0):,} problems, "
        f"{evaluation.get('n_erroneous', 0):,} of them with an error. Points out of 100 with 95% bootstrap "
        "intervals over problems."
    )
    return f"{counts}\n\n{_table([*head, f'best-of-{n}'], rows)}\n"


def _curve(best: Figures, scorer: str, n: int) -> Any:
    by_how = best.get("curves", {}).get(scorer, {})
    return by_how.get(best.get("aggregation", "min"), {}).get(str(n))


def _differences(summary: Figures) -> str:
    found = summary["evaluation"].get("differences", {})
    rows = [
        [shown, _points(found.get(f"{first} - {second}", {}).get("f1"), signed=True)]
        for first, second, shown in COMPARISONS
    ]
    majority = summary["evaluation"].get("best_of_n", {}).get("differences", {}).get("hybrid - majority")
    rows.append(["best-of-n by hybrid against majority vote", _points(majority, signed=True)])
    return _table(["difference (the same resamples on both sides)", "points"], rows) + "\n"


def _best_of_n(summary: Figures) -> str:
    best = summary["evaluation"].get("best_of_n", {})
    found, n = best.get("intervals", {}), best.get("n", 8)
    shown = {
        "pass_at_1": "pass@1 of the teacher",
        f"majority_{n}": f"majority of {n}",
        f"verifier_{n}": f"best of {n} by {best.get('scorer', 'hybrid')}",
        f"oracle_{n}": f"oracle: any of {n} is right",
        "gap_closed": "gap from pass@1 to oracle that is closed",
    }
    return (
        _table(["answers", "points"], [[text, _points(found.get(key))] for key, text in shown.items()]) + "\n"
    )


def _costs(summary: Figures) -> str:
    use, sizes = summary.get("teacher_token_use", {}), summary["verifier"].get("sizes", {})
    tokens = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in use.items())
    rows = [
        ["first error that the labels name, right", _points(summary["labels"].get("first_error"))],
        ["teacher tokens", f"{summary.get('teacher_tokens', 0):,} ({tokens})"],
        ["quantised layers, share of bf16", _points(sizes.get("quantised_fraction"))],
        ["whole verifier folder, share of bf16", _points(sizes.get("folder_fraction"))],
        ["time of all stages", f"{summary.get('wall_seconds', 0) / 60:.1f} min"],
        ["peak memory, all processes", f"{summary.get('peak_rss_gib', 0):.2f} GiB"],
    ]
    return _table(["labels, size and cost", "figure"], rows) + "\n"


def _origin(summary: Figures) -> str:
    machine = summary.get("hardware", {})
    gpus = ", ".join(machine.get("gpus", [])) or "no GPU"
    versions = ", ".join(f"{name} {number}" for name, number in summary.get("versions", {}).items())
    recipe = summary["recipe"]
    return (
        f"Command: `distill run {recipe['name']}` (seed {recipe['seed']}, fingerprint "
        f"`{recipe['fingerprint']}`). Hardware: {machine.get('cpu') or 'unknown CPU'}, "
        f"{machine.get('cores')} cores, {machine.get('memory_gib')} GiB, {gpus}. Versions: {versions}."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _points(estimate: Any, signed: bool = False) -> str:
    """A fraction as points out of 100, with its interval when it has one."""
    return _figure(estimate, 100.0, f"{'+' if signed else ''}.1f")


def _plain(estimate: Any) -> str:
    return _figure(estimate, 1.0, ".3f")


def _figure(estimate: Any, scale: float, form: str) -> str:
    if not isinstance(estimate, Mapping):
        estimate = {"value": estimate}
    value, low, high = (estimate.get(key) for key in ("value", "low", "high"))
    if value is None:
        return ABSENT
    text = format(scale * value, form)
    if low is None or high is None:
        return text
    return f"{text} [{format(scale * low, form)}, {format(scale * high, form)}]"


def main(arguments: Sequence[str]) -> int:
    """Render the run named by the one argument, or the quickstart's own if there is one."""
    run = Path(arguments[0]) if arguments else DEFAULT_RUN
    path = run / "summary.json"
    if not path.is_file():
        print(f"no finished run at {run}: give `make quickstart`, or the folder of a run", file=sys.stderr)
        return 2 if arguments else 0  # `make bench` goes on where no quickstart was run
    summary = json.loads(path.read_text(encoding="utf-8"))
    text = render(summary)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "quickstart.md").write_text(text + "\n", encoding="utf-8")
    record = json.dumps(extract(summary), indent=1, ensure_ascii=False)
    (RESULTS / "quickstart.json").write_text(record + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
