"""Figures to words for the report: fractions to points, seconds to minutes, names to labels.

A figure that is absent or not finite becomes None, and the page leaves it out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LABELS = {
    "hybrid": "Hybrid",
    "verifier_4bit": "4-bit verifier alone",
    "verifier_full": "Full-precision verifier",
    "verifier_uncalibrated": "4-bit, uncalibrated",
    "step_logprob": "Step log-probability",
    "checker": "Exact checker alone",
    "checker_logprob": "Checker + log-prob.",
    "base_correction": "Base's own mark",
    "majority": "Majority vote",
    "pass_at_1": "pass@1",
    "adapter": "Adapter on the 4-bit base",
    "merged": "Merged, then quantised",
    "full_precision": "Full-precision training, quantised",
    "heldout_problems": "Held-out problems",
    "heldout_chains": "Held-out chains",
    "quantised_bytes": "Quantised layers",
    "quantised_bf16_bytes": "The same layers in bf16",
    "adapter_bytes": "Adapter",
    "folder_bytes": "Whole folder",
    "folder_bf16_bytes": "Whole folder in bf16",
    "f1_4bit": "F1, 4-bit",
    "f1_full": "F1, full precision",
    "in": "In",
    "out": "Out",
    "f1": "F1",
    "auroc": "AUROC",
    "brier": "Brier",
    "ece": "ECE",
    "nf4": "NF4",
    "bf16": "bf16",
    "cpu": "CPU",
    "gpu": "GPU",
    "cuda": "CUDA",
    "accuracy_erroneous": "Wrong chains",
    "accuracy_correct": "Correct chains",
    "weighted_majority": "Weighted vote",
}
MINUS = "−"


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and, where known, its 95% interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ranged(self) -> bool:
        """True when the interval is known."""
        return self.low is not None and self.high is not None


def number(node: Any) -> float | None:
    """`node` as a finite float; None for anything else (bools are not figures)."""
    if isinstance(node, bool) or not isinstance(node, int | float) or not math.isfinite(node):
        return None
    return float(node)


def figure(node: Any) -> Figure | None:
    """A plain number, or `{"value", "low", "high"}`."""
    if not isinstance(node, Mapping):
        value = number(node)
        return None if value is None else Figure(value)
    value = number(node.get("value"))
    if value is None:
        return None
    low, high = number(node.get("low")), number(node.get("high"))
    return Figure(value, low, high) if low is not None and high is not None else Figure(value)


def look(node: Any, *path: str) -> Any:
    """`node[path[0]][path[1]]...`, or None where the path ends early."""
    for key in path:
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return node


def decimal(value: float, digits: int = 1, scale: float = 1.0, sign: bool = False) -> str:
    """`value * scale` with a real minus sign; `sign` also writes the plus."""
    text = f"{value * scale:+.{digits}f}" if sign else f"{value * scale:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def interval(found: Figure, digits: int = 1, scale: float = 1.0, sign: bool = False) -> str:
    """`low to high`, or nothing when the interval is not known."""
    if found.low is None or found.high is None:
        return ""
    return f"{decimal(found.low, digits, scale, sign)} to {decimal(found.high, digits, scale, sign)}"


def count(value: float) -> str:
    """An exact count with thousands separated by commas."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.1f}"


def compact(value: float) -> str:
    """A count in three digits: 950, 12.3 k, 1.24 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(value) >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:.3g} {unit}"
    return count(value)


def duration(seconds: float) -> str:
    """`850 ms`, `12.3 s`, `7 min 12 s` or `2 h 05 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def short_duration(seconds: float) -> tuple[str, str]:
    """(amount, unit) in three digits, for a headline."""
    for unit, factor in (("h", 3600.0), ("min", 60.0)):
        if seconds >= factor:
            return f"{seconds / factor:.1f}", unit
    return f"{seconds:.1f}", "s"


def size(n_bytes: float) -> str:
    """Bytes as B, kB, MB or GB (powers of ten)."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{int(n_bytes)} B"


def label(name: Any) -> str:
    """A key of the summary as a person would say it."""
    text = str(name)
    if text in LABELS:
        return LABELS[text]
    if "." in text or "/" in text or text != text.lower():
        return text
    bare = text.removeprefix("n_").removesuffix("_gib").removesuffix("_bytes").replace("_", " ").strip()
    return bare[:1].upper() + bare[1:]


def plain(key: str, node: Any) -> str | None:
    """Any leaf of the summary as text, its unit taken from its key; None when there is nothing to show."""
    if node is None or node in ("", [], {}):
        return None
    if isinstance(node, bool):
        return "yes" if node else "no"
    found = figure(node)
    if found is None:
        return _joined(node)
    text = _with_unit(key, found.value)
    if found.ranged:
        shown = interval(found, 1, 100) if _is_share(key, found) else interval(found, 4)
        text += f" ({shown})"
    sample = number(node.get("n")) if isinstance(node, Mapping) else None
    return text if sample is None else f"{text}, n {count(sample)}"


def _is_share(key: str, found: Figure) -> bool:
    """True for what the field writes times 100."""
    shares = ("f1", "accuracy", "agreement", "rate", "fraction", "coverage", "precision", "recall")
    return abs(found.value) <= 1 and any(key.startswith(word) or key.endswith(word) for word in shares)


def _with_unit(key: str, value: float) -> str:
    if _is_share(key, Figure(value)):
        return decimal(value, 1, 100)
    if key.endswith("bytes"):
        return size(value)
    if key.startswith("seconds") or key.endswith("seconds"):
        return duration(value)
    if key.endswith("_gib"):
        return f"{value:.2f} GiB"
    if value.is_integer() and abs(value) < 1e15:
        return count(value).replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)


def _joined(node: Any) -> str | None:
    if isinstance(node, float):
        return None
    if isinstance(node, list | tuple):
        return ", ".join(text for item in node if (text := plain("", item))) or None
    if isinstance(node, Mapping):
        pairs = ((name, plain(str(name), item)) for name, item in node.items())
        return ", ".join(f"{label(name).lower()} {text}" for name, text in pairs if text) or None
    return str(node)
