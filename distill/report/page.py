"""Put the page together: headline figures, sections, and the shell that lets no text escape.

Every text goes through Jinja's autoescape. A content security policy with the hash of the page's one
script allows nothing else to run and nothing to be fetched, so that a model's text cannot act even if
it were to slip through.
"""

import base64
import functools
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from distill.report import progress, results, wording
from distill.report.wording import Figure, decimal, figure, interval, look, number

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, slots=True)
class Card:
    """A headline figure with its unit, its interval and what to compare it with."""

    title: str
    value: str
    unit: str = ""
    range: str = ""
    note: str = ""
    tone: str = ""


def render_report(summary: Mapping[str, Any], chains: Sequence[Mapping[str, Any]]) -> str:
    """The report of a run as one HTML page that needs no network.

    Args: `summary` is what `summary.json` holds (fractions 0 to 1); a figure that is missing is not
    shown. `chains` are rows of `question, steps, scores, labels, evidence, truth, predicted, outcome,
    answer, reference`; the first `progress.CHAINS_SHOWN` can be browsed.
    """
    script = (ASSETS / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    shown = progress.shown_chains(chains)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            summary=summary,
            style=Markup((ASSETS / "page.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_hash=digest,
            lead=lead(summary),
            cards=cards(summary),
            results=results.results(summary),
            chains=shown,
            n_chains=len(chains),
            raw=_raw(summary),
        )
        .lstrip()
    )


def _raw(summary: Mapping[str, Any]) -> Markup:
    """The summary as JSON text, its quotes left readable in the page's source."""
    return Markup(html.escape(json.dumps(summary, indent=1, ensure_ascii=False, default=str), quote=False))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"progress": progress, "w": wording, "look": look}
    environment.globals |= {"widest": results.widest, "lowest": results.lowest}
    return environment


def lead(summary: Mapping[str, Any]) -> list[str]:
    """The run in a few sentences, made of the figures that are there."""
    evaluation = summary.get("evaluation") or {}
    verifier = _verifier_f1(summary)
    hybrid = figure(look(evaluation, "scorers", "hybrid", "f1") or look(summary, "hybrid", "f1"))
    sentences = []
    if left_out := len(summary.get("set_aside") or []):
        sentences.append(f"Complete with {left_out:,} problems set aside; the stages below say why.")
    if verifier:
        held_out = _held_out(evaluation)
        sentence = (
            f"{held_out}the 4-bit verifier alone finds the first wrong step with F1 {_points(verifier)}"
        )
        sentence += f"; together with the exact step checks, {_points(hybrid)}." if hybrid else "."
        sentences.append(sentence[0].upper() + sentence[1:])
    best = _best(summary)
    n = best.get("n", 8)
    chosen, vote, single = (figure(best.get(key)) for key in (f"verifier_{n}", f"majority_{n}", "pass_at_1"))
    if chosen and vote and single:
        sentences.append(
            f"Choosing among {n} chains by score answers {_points(chosen)}% of the problems, a majority vote "
            f"{_points(vote)}%, a single chain {_points(single)}%."
        )
    return sentences


def _held_out(evaluation: Mapping[str, Any]) -> str:
    problems, chains = number(evaluation.get("n_problems")), number(evaluation.get("n_chains"))
    if problems is None or chains is None:
        return ""
    return f"On {wording.count(chains)} held-out chains of {wording.count(problems)} problems "


def cards(summary: Mapping[str, Any]) -> list[Card]:
    """Headline figures, most wanted first; one that is missing has no card."""
    groups = (_verifier_cards(summary), _best_cards(summary), _label_cards(summary), _cost_cards(summary))
    return [card for group in groups for card in group]


def _verifier_cards(summary: Mapping[str, Any]) -> list[Card]:
    scorers = look(summary, "evaluation", "scorers") or {}
    found = []
    hybrid = figure(look(scorers, "hybrid", "f1") or look(summary, "hybrid", "f1"))
    if hybrid:
        note = _against(summary, "checker_logprob", "checker + log-probability")
        found.append(_f1_card("Hybrid scorer", hybrid, note, "t-default"))
    if verifier := _verifier_f1(summary):
        note = _against(summary, "step_logprob", "log-probability of its base")
        found.append(_f1_card("4-bit verifier alone", verifier, note, "t-verifier"))
    full = figure(look(scorers, "verifier_full", "f1") or look(summary, "verifier", "f1_full"))
    if verifier and full:
        paired = figure(look(summary, "evaluation", "differences", "verifier_4bit - verifier_full", "f1"))
        change = paired or Figure(verifier.value - full.value)
        value, span = decimal(change.value, 1, 100, sign=True), interval(change, 1, 100, sign=True)
        found.append(
            Card("4-bit against full", value, "F1", span, f"full precision: {_points(full)}", "t-full")
        )
    return found


def _f1_card(title: str, found: Figure, note: str, tone: str) -> Card:
    return Card(title, _points(found), "F1", interval(found, 1, 100), note, tone)


def _against(summary: Mapping[str, Any], name: str, words: str) -> str:
    node = look(summary, "evaluation", "scorers", name, "f1") or look(summary, "baselines", name, "f1")
    found = figure(node)
    return f"{words}: {_points(found)}" if found else ""


def _verifier_f1(summary: Mapping[str, Any]) -> Figure | None:
    node = look(summary, "evaluation", "scorers", "verifier_4bit", "f1")
    return figure(node or look(summary, "verifier", "f1_4bit"))


def _best(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Best-of-n figures, those of the evaluation filled in by the summary's own; intervals where known."""
    found = {**(look(summary, "evaluation", "best_of_n") or {}), **(summary.get("best_of_n") or {})}
    return {**found, **(found.get("intervals") or {})}


def _best_cards(summary: Mapping[str, Any]) -> list[Card]:
    best = _best(summary)
    n, found = best.get("n", 8), []
    if chosen := figure(best.get(f"verifier_{n}")):
        others = (("majority", f"majority_{n}"), ("pass@1", "pass_at_1"), ("oracle", f"oracle_{n}"))
        notes = [f"{words} {_points(other)}" for words, key in others if (other := figure(best.get(key)))]
        found.append(
            Card(
                f"Best of {n}", _points(chosen), "%", interval(chosen, 1, 100), ", ".join(notes), "t-default"
            )
        )
    if gap := figure(best.get("gap_closed")):
        note = "from pass@1 to oracle"
        found.append(Card("Gap closed", _points(gap), "%", interval(gap, 1, 100), note, "t-default"))
    return found


def _label_cards(summary: Mapping[str, Any]) -> list[Card]:
    found = []
    accuracy = figure(summary.get("label_first_error_accuracy"))
    if accuracy:
        ranged = figure(look(summary, "labels", "first_error"))
        accuracy = ranged if ranged and abs(ranged.value - accuracy.value) < 1e-6 else accuracy
        note = "first error, against exact truth"
        found.append(Card("Label accuracy", _points(accuracy), "%", interval(accuracy, 1, 100), note))
    if rate := figure(summary.get("pass_rate")):
        title = "Given chains that are right" if summary.get("given_chains") else "Teacher's pass rate"
        undecided = number(summary.get("undecided_chains"))
        note = "chains that answer right" + (
            f"; {wording.count(undecided)} undecided left out" if undecided else ""
        )
        found.append(Card(title, _points(rate), "%", interval(rate, 1, 100), note))
    return found


def _cost_cards(summary: Mapping[str, Any]) -> list[Card]:
    found = _size_cards(summary)
    if (tokens := number(summary.get("teacher_tokens"))) is not None:
        value, _, unit = wording.compact(tokens).partition(" ")
        found.append(Card("Teacher tokens", value, unit, note=f"{wording.count(tokens)} generated"))
    if (seconds := number(summary.get("wall_seconds"))) is not None:
        peak = number(summary.get("peak_rss_gib"))
        note = f"at most {peak:.2f} GiB of memory" if peak is not None else ""
        value, unit = wording.short_duration(seconds)
        found.append(Card("Time of all stages", value, unit, note=note))
    if (spent := number(summary.get("money"))) is not None:
        found.append(
            Card("Money", f"{spent:,.2f}", "", note="teacher tokens and hours, by the recipe's price")
        )
    return found


def _size_cards(summary: Mapping[str, Any]) -> list[Card]:
    sizes = look(summary, "verifier", "sizes")
    small, large = (number(look(sizes, key)) for key in ("quantised_bytes", "quantised_bf16_bytes"))
    if small is None or not large:
        return []
    folder = number(look(sizes, "folder_bytes"))
    note = f"of their bf16 size; whole folder {wording.size(folder)}" if folder else "of their bf16 size"
    return [Card("Quantised layers", decimal(small / large, 1, 100), "%", note=note, tone="t-verifier")]


def _points(found: Figure) -> str:
    return decimal(found.value, 1, 100)
