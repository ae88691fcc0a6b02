"""What must be seen of the labelling methods, and whether it is, by three definitions of accuracy.

A method that labels fewer chains may look more accurate for it. So each claim is held against

- `own chains`: each method on the chains that it labels itself, whichever these are;
- `both label`: the chains that both methods label;
- `all chains`: every chain, an undetermined one counted as wrong.

Differences are in points, with 95% intervals from a paired bootstrap that draws whole problems: both
methods replay the same chains, and chains of a problem are not independent. `holds` goes by the point.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from labelling_replay import Found, Replayed

DEFINITIONS = ("own chains", "both label", "all chains")
RIVALS = ("math_shepherd", "math_shepherd +outcome", "omegaprm")
EVERY = "adaptive, every chain labelled"
STANDARD_K, OURS = 8, 1  # K and the place of our default among its budgets
RESAMPLES, SEED = 2000, 5
Row = dict[str, Any]


def standard(family: Sequence[Replayed], name: str) -> Replayed:
    """A method as it is compared: the default of ours, else K=8 or the greatest K below it that there is."""
    if name == "adaptive":
        return family[OURS]
    return [tried for tried in family if tried.figures["rollouts"] <= STANDARD_K][-1]


def difference(ours: Replayed, theirs: Replayed, wrong_only: bool = False) -> dict[str, Row]:
    """First-error accuracy of ours less theirs in points, by each definition: `value`, `low`, `high` (None
    without chains), and the chains `n` of ours and theirs that it rests on. `wrong_only`: over chains that
    truly have an error."""
    pairs = zip(ours.found, theirs.found, strict=True)
    counts = np.array([_counts(a, b, wrong_only) for a, b in pairs], dtype=float)
    draws = np.random.default_rng(SEED).multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES
    )
    resampled = np.einsum("rp,pdk->rdk", draws, counts)
    point, spread = _points(counts.sum(axis=0)), _points(resampled)
    found = {}
    for d, name in enumerate(DEFINITIONS):
        seen = spread[:, d][np.isfinite(spread[:, d])]
        low, high = np.quantile(seen, [0.025, 0.975]) if len(seen) else (math.nan, math.nan)
        n = counts.sum(axis=0)[d, [1, 3]].astype(int).tolist()
        found[name] = {"value": _number(point[d]), "low": _number(low), "high": _number(high), "n": n}
    return found


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _counts(ours: Sequence[Found], theirs: Sequence[Found], wrong_only: bool) -> list[list[int]]:
    """For one problem and each definition: our right ones, our chains, their right ones, their chains."""
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.truth >= 0 or not wrong_only]
    both = [(a, b) for a, b in pairs if a.named is not None and b.named is not None]
    ours_named = [a for a, _ in pairs if a.named is not None]
    theirs_named = [b for _, b in pairs if b.named is not None]
    sides = [(ours_named, theirs_named)]
    sides += [([a for a, _ in two], [b for _, b in two]) for two in (both, pairs)]
    return [[n for side in two for n in (_right(side), len(side))] for two in sides]


def _right(found: Sequence[Found]) -> int:
    return sum(item.named == item.truth for item in found)


def _points(counts: Any) -> Any:
    """Differences in points from counts (..., definition, 4); not finite where a side has no chain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * (counts[..., 0] / counts[..., 1] - counts[..., 2] / counts[..., 3])


def claims(
    without: Mapping[str, Sequence[Replayed]], with_checks: Mapping[str, Sequence[Replayed]]
) -> list[Row]:
    """Token ratios at no less accuracy than Math-Shepherd's K=8 as published, that accuracy where every chain
    has a label, and accuracy on wrong chains at its K=1 budget (of our budgets that cost no more, the one
    that is best on its own chains)."""
    rows = []
    base, one = standard(without["math_shepherd"], "math_shepherd"), without["math_shepherd"][0]
    for kind, family, wanted in (
        ("without step checks", without, (12, 4, 2)),
        ("with step checks", with_checks, (20, 6, 4)),
    ):
        ours = standard(family["adaptive"], "adaptive")
        against = difference(ours, base)
        for name, times in zip(RIVALS, wanted, strict=True):
            rival = standard(without[name], name)
            ratio = rival.tokens / ours.tokens if ours.tokens else math.inf
            text = f"{kind}: 1/{times} of {name} K={rival.figures['rollouts']}'s tokens"
            text += f" at the accuracy of math_shepherd K={base.figures['rollouts']}"
            rows.append(_row(text, f"1/{ratio:.1f}", against, 0, ratio >= times))
        for every in family.get(EVERY, ()):
            text = f"{kind}: every chain labelled, at the accuracy of "
            text += f"math_shepherd K={base.figures['rollouts']}"
            rows.append(_row(text, _cost(every, base), difference(every, base), 0))
        afford = [tried for tried in family["adaptive"] if tried.tokens <= one.tokens]
        text = f"{kind}: 10 points more on wrong chains at math_shepherd K=1's tokens"
        if afford:
            best = max(afford, key=lambda tried: tried.figures["accuracy_wrong"]["value"] or 0)
            rows.append(_row(text, _cost(best, one), difference(best, one, True), 10))
        else:
            rows.append({"claim": text, "tokens": "more"} | dict.fromkeys(DEFINITIONS))
    return rows


def repair_claims(worlds: Mapping[str, Mapping[str, Replayed]]) -> list[Row]:
    """With completers that repair: against the fixed K that is best by the same definition, among those
    that take at most a tenth more tokens than ours, and among all."""
    rows = []
    for name in ("repairs 10%", "repairs 30%"):
        ours = worlds[name]["adaptive"]
        rivals = [tried for n, tried in worlds[name].items() if n.startswith("math_shepherd")]
        equal = [tried for tried in rivals if tried.tokens <= 1.1 * ours.tokens]
        for wrong_only, said in ((False, "all kinds"), (True, "wrong chains")):
            for which, others in (("equal tokens", equal), ("any tokens", rivals)):
                found = [difference(ours, tried, wrong_only) for tried in others]
                least = {d: min((f[d] for f in found), key=_value) for d in DEFINITIONS}
                text = f"{name}: 5 points above the best fixed K at {which}, {said}"
                rows.append(_row(text, "–", least, 5))
    return rows


def _row(text: str, tokens: str, found: Mapping[str, Row], least: float, cheap: bool = True) -> Row:
    """A claim with its token ratio, and by each definition the points and whether it holds."""
    judged = {d: f | {"holds": cheap and _value(f) >= least} for d, f in found.items()}
    return {"claim": text, "tokens": tokens} | judged


def _cost(ours: Replayed, theirs: Replayed) -> str:
    return f"1/{theirs.tokens / ours.tokens:.1f}" if ours.tokens else "none"


def _value(found: Row) -> float:
    return -math.inf if found["value"] is None else float(found["value"])


def table(rows: Sequence[Row]) -> str:
    """Markdown: one claim a line."""
    head = ["claim", "tokens", *(f"{d}: points" for d in DEFINITIONS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    cells = ([row["claim"], row["tokens"], *(_cell(row[d]) for d in DEFINITIONS)] for row in rows)
    return "\n".join([*lines, *("| " + " | ".join(cell) + " |" for cell in cells)])


def _cell(found: Row | None) -> str:
    if found is None or found["value"] is None:
        return "–"
    held = "holds" if found["holds"] else "**no**"
    return f"{found['value']:+.1f} [{found['low']:+.1f}, {found['high']:+.1f}] {held}"
