"""The part of the page that says how the run went: stages, tokens, labels, training, losses, chains."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from distill.report import charts
from distill.report.wording import count, figure, label, look, number, plain

CHAINS_SHOWN = 400
_GOOD = {"correct", "good", "ok", "done", "kept", "written", "labelled", "scored"}
_BAD = {"incorrect", "bad", "wrong"}
_LOST = {
    "undecided",
    "undetermined",
    "truncated",
    "dropped",
    "failed",
    "skipped",
    "lost",
    "length",
    "timeout",
}
_LOST |= {"unparsable", "duplicate", "duplicates", "contaminated", "empty", "cut_off"}
_VERDICTS = {
    "found": "First error found",
    "passed": "Correct, passed",
    "accused": "Correct, but accused",
    "missed": "Error not seen",
    "early": "Accused too early",
    "late": "Accused too late",
    "unjudged": "No exact truth",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A row of the stage table; a figure that the stage did not report is None."""

    name: str
    entered: float | None
    left: float | None
    outcomes: Markup
    seconds: float | None
    share: float
    tokens: float | None
    shards: float | None
    retries: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a shown chain. `shade` is the css class of its score."""

    text: str
    score: float | None
    shade: str
    label: str
    evidence: str
    is_truth: bool
    is_predicted: bool

    @property
    def hover(self) -> str:
        """What a pointer over the step shows."""
        parts = [f"P(correct) {self.score:.3f}" if self.score is not None else "not scored"]
        parts += [f"label: {self.label}"] if self.label else []
        parts += [self.evidence] if self.evidence else []
        parts += ["first error by exact truth"] if self.is_truth else []
        parts += ["called the first error"] if self.is_predicted else []
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class ShownChain:
    """One chain of the browser; `verdict` says how the prediction compares with the truth."""

    question: str
    steps: tuple[Step, ...]
    outcome: str
    answer: str
    reference: str
    verdict: str


def stages(summary: Mapping[str, Any]) -> list[Stage]:
    """The stage table."""
    rows = summary.get("stages") or []
    longest = max((number(row.get("seconds")) or 0.0 for row in rows), default=0.0) or 1.0
    return [_stage(row, longest) for row in rows]


def _stage(row: Mapping[str, Any], longest: float) -> Stage:
    found = {key: number(row.get(key)) for key in ("in", "out", "seconds", "tokens", "shards", "retries")}
    return Stage(
        name=label(row.get("name", "?")),
        entered=found["in"],
        left=found["out"],
        outcomes=outcome_bar(row.get("outcomes") or {}),
        seconds=found["seconds"],
        share=(found["seconds"] or 0.0) / longest,
        tokens=found["tokens"],
        shards=found["shards"],
        retries=found["retries"],
    )


def outcome_bar(outcomes: Mapping[str, Any]) -> Markup:
    """Counts by outcome as a bar: green for good, orange for wrong, yellow for lost or undecided."""
    parts = []
    for index, (name, amount) in enumerate(outcomes.items()):
        if (value := number(amount)) is not None:
            parts.append((label(name).lower(), value, _outcome_css(str(name), index)))
    return charts.stacked_bar(parts)


def _outcome_css(name: str, index: int) -> str:
    for names, css in ((_GOOD, "good"), (_BAD, "bad"), (_LOST, "warn")):
        if name.lower() in names:
            return css
    return f"c{index % 6 + 1}"


def losses(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, how many) for everything that was retried, undecided, cut off or left out."""
    found: list[tuple[str, str]] = []
    for row in summary.get("stages") or []:
        name = label(row.get("name", "?"))
        if retries := number(row.get("retries")):
            found.append((f"{name}: work tried again", f"{count(retries)}{_kinds(row)}"))
        if before := number(row.get("shards_before")):
            found.append((f"{name}: shards kept from a command that was cut short", count(before)))
        for outcome, amount in (row.get("outcomes") or {}).items():
            if str(outcome).lower() in _LOST and (lost := number(amount)):
                found.append((f"{name}: {label(outcome).lower()}", count(lost)))
    for path, text in (
        (
            ("evaluation", "n_undecided_outcomes"),
            "Held-out chains without a decided answer (no part in best-of-n)",
        ),
        (("training", "cut_chains"), "Training chains cut off at the verifier's length limit"),
        (("training", "truncated_steps"), "Labelled steps past that limit, not trained on"),
        (("verifier", "truncated_steps"), "Measured steps past the verifier's context, which score 0"),
    ):
        if lost := number(look(summary, *path)):
            found.append((text, count(lost)))
    for name, figures in (look(summary, "evaluation", "scorers") or {}).items():
        if lost := number(look(figures, "n_unscored_steps")):
            found.append((f"Held-out steps without a score: {label(name)}", count(lost)))
    return found


def _kinds(row: Mapping[str, Any]) -> str:
    """Why work was tried again: " (2 worker died, 1 stalled)"."""
    kinds = Counter(str(fault.get("kind", "?")) for fault in row.get("faults") or [])
    return f" ({', '.join(f'{n:,} {kind}' for kind, n in kinds.most_common())})" if kinds else ""


def faults(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(stage, unit, kind, reason) of all that was tried again, as far as the summary lists it."""
    return [
        (
            label(row.get("name", "?")),
            str(fault.get("unit")),
            str(fault.get("kind")),
            str(fault.get("reason")),
        )
        for row in summary.get("stages") or []
        for fault in row.get("faults") or []
    ]


def set_aside(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(stage, problem, how it failed, reason or traceback) of every problem that was given up."""
    return [
        (
            label(entry.get("stage", "?")),
            f"{entry.get('problem', '')}: {str(entry.get('question', ''))[:200]}",
            f"{entry.get('kind', '?')} in {entry.get('tries', '?')} tries",
            str(entry.get("reason", "")),
        )
        for entry in summary.get("set_aside") or []
    ]


def token_bar(summary: Mapping[str, Any]) -> Markup:
    """Where the teacher's tokens went."""
    use = summary.get("teacher_token_use") or {}
    parts = [
        (label(name), value, f"c{index % 6 + 1}")
        for index, (name, node) in enumerate(use.items())
        if (value := number(node)) is not None
    ]
    return charts.stacked_bar(parts)


def first_error_chart(summary: Mapping[str, Any]) -> Markup:
    """Histogram of labelled first errors by position, steps counted from 1; chains without one apart."""
    positions = look(summary, "labels", "first_error_positions") or {}
    counts = {
        int(position): value
        for position, node in positions.items()
        if _is_int(position) and (value := number(node)) is not None
    }
    bars = {str(position + 1): counts[position] for position in sorted(counts) if position >= 0}
    return charts.histogram(
        "Where first errors are", bars, x_label="Step of the first error", y_label="Chains"
    )


def _is_int(text: Any) -> bool:
    return str(text).removeprefix("-").isdigit()


def label_facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every other figure about the labels."""
    labels = summary.get("labels") or {}
    return facts(
        {key: node for key, node in labels.items() if key not in ("first_error_positions", "status")}
    )


def training_facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Figures of the training runs that are not curves."""
    training = summary.get("training") or {}
    return facts({key: node for key, node in training.items() if not key.startswith("curve")})


def verifier_facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Figures of the verifier that have no table or chart of their own."""
    shown = ("forms", "sizes", "reliability_before", "reliability_after")
    return facts({key: node for key, node in (summary.get("verifier") or {}).items() if key not in shown})


def facts(node: Mapping[str, Any] | None, path: str = "", as_is: bool = False) -> list[tuple[str, str]]:
    """A nested dict as (name, text) pairs in reading order, absent values left out.

    `as_is` keeps the keys as they are written (names of packages).
    """
    rows: list[tuple[str, str]] = []
    for key, item in (node or {}).items():
        words = str(key) if as_is else label(key)
        name = f"{path} · {words.lower()}" if path else words
        if isinstance(item, Mapping) and figure(item) is None:
            rows += [] if "value" in item else facts(item, name, as_is)
        elif (text := plain(str(key), item)) is not None:
            rows.append((name, text))
    return rows


def fact_groups(node: Mapping[str, Any] | None, title: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The same by top-level key: what is not nested comes first, under `title`."""
    every = node or {}
    nested = {key: item for key, item in every.items() if isinstance(item, Mapping) and not figure(item)}
    groups = [(title, facts({key: item for key, item in every.items() if key not in nested}))]
    groups += [(label(key), facts(item)) for key, item in nested.items()]
    return [group for group in groups if group[1]]


def table(records: Mapping[str, Any] | None) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """A dict of dicts as (columns, rows); a cell that is absent is empty. Nested dicts are flattened."""
    flat = {
        name: dict(facts(row)) for name, row in (records or {}).items() if isinstance(row, Mapping) and row
    }
    columns = list(dict.fromkeys(column for row in flat.values() for column in row))
    return columns, [(label(name), [row.get(column, "") for column in columns]) for name, row in flat.items()]


def training_charts(summary: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """Loss, and first-error F1 on validation chains, against optimiser steps."""
    training = summary.get("training") or {}
    curves = (("4-bit", "t-verifier", training.get("curve")), ("Full", "t-full", training.get("curve_full")))
    wanted = (
        ("Training loss", ("loss", "train_loss"), False),
        ("Validation loss", ("eval_loss", "validation_loss"), False),
        ("Validation first-error F1", ("f1", "eval_f1", "validation_f1"), True),
    )
    found = []
    for title, keys, percent in wanted:
        series = [charts.Series(name, _points(rows or [], keys), css) for name, css, rows in curves]
        y_label = f"{title} × 100" if percent else title
        chart = charts.line_chart(
            title, series, x_label="Optimiser step", y_label=y_label, percent=percent, from_zero=not percent
        )
        if chart:
            found.append((title, chart))
    return found


def _points(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> tuple[tuple[float, float], ...]:
    points = []
    for row in rows:
        step = number(row.get("step"))
        value = next((found for key in keys if (found := number(row.get(key))) is not None), None)
        if step is not None and value is not None:
            points.append((step, value))
    return tuple(points)


def shown_chains(chains: Sequence[Mapping[str, Any]]) -> list[ShownChain]:
    """The first `CHAINS_SHOWN` chains, ready for the browser."""
    return [_shown(row) for row in chains[:CHAINS_SHOWN]]


def _shown(row: Mapping[str, Any]) -> ShownChain:
    truth, predicted = row.get("truth"), row.get("predicted")
    columns = [list(row.get(key) or []) for key in ("scores", "labels", "evidence")]
    steps = []
    for index, text in enumerate(row.get("steps") or []):
        score, status, evidence = (column[index] if index < len(column) else None for column in columns)
        steps.append(
            Step(
                text=str(text).strip("\n"),
                score=number(score),
                shade=shade(number(score)),
                label=str(status) if status is not None else "",
                evidence=str(evidence) if evidence else "",
                is_truth=truth == index,
                is_predicted=predicted == index,
            )
        )
    return ShownChain(
        question=_text(row, "question").strip(),
        steps=tuple(steps),
        outcome=_text(row, "outcome"),
        answer=_text(row, "answer"),
        reference=_text(row, "reference"),
        verdict=verdict(truth, predicted),
    )


def _text(row: Mapping[str, Any], key: str) -> str:
    return "" if row.get(key) is None else str(row[key])


def shade(score: float | None) -> str:
    """Css class of a score: s0 (surely wrong) to s10 (surely correct), sx when there is none."""
    return "sx" if score is None else f"s{round(min(max(score, 0.0), 1.0) * 10)}"


def verdict(truth: int | None, predicted: int | None) -> str:
    """How a predicted first error compares with the true one."""
    if truth is None or predicted is None:
        return "unjudged"
    if truth == predicted:
        return "passed" if truth == -1 else "found"
    if truth == -1:
        return "accused"
    if predicted == -1:
        return "missed"
    return "early" if predicted < truth else "late"


def verdict_names(chains: Sequence[ShownChain]) -> list[tuple[str, str, int]]:
    """(key, words, count) of the verdicts that occur, for the browser's filter."""
    return [
        (key, words, amount)
        for key, words in _VERDICTS.items()
        if (amount := sum(chain.verdict == key for chain in chains))
    ]


def verdict_words(key: str) -> str:
    """A verdict as words."""
    return _VERDICTS[key]
