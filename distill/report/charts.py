"""Charts as inline SVG (and one as HTML): no library, no network, coloured by the page's own CSS.

Every chart is a `Markup` whose text is escaped, with a title and a description for screen readers.
Marks carry a `<title>`, which browsers show on hover.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT, SQUARE = 520, 300, 310
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 44
_LABEL_GAP = 15


@dataclass(frozen=True, slots=True)
class Series:
    """A named line. `css` chooses colour and dash; `band` holds (x, low, high) of its intervals."""

    name: str
    points: tuple[tuple[float, float], ...]
    css: str = ""
    band: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """Data coordinates to pixels. `right` leaves room for labels at the ends of lines."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    x_log: bool = False
    right: int = RIGHT
    width: int = WIDTH

    def x(self, value: float) -> float:
        """Pixels from the left edge."""
        low, high = self._x(self.x_low), self._x(self.x_high)
        share = (self._x(value) - low) / (high - low) if high > low else 0.5
        return round(LEFT + share * (self.width - LEFT - self.right), 1)

    def y(self, value: float) -> float:
        """Pixels from the top edge."""
        share = (value - self.y_low) / (self.y_high - self.y_low) if self.y_high > self.y_low else 0.5
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def _x(self, value: float) -> float:
        return math.log2(value) if self.x_log else value


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_log: bool = False,
    percent: bool = False,
    from_zero: bool = False,
) -> Markup:
    """Lines with bands and labels at their right ends; `percent` shows fractions as 0 to 100."""
    drawn = [line for line in series if line.points]
    if not drawn:
        return Markup("")
    frame = _frame(drawn, x_log, from_zero, percent)
    xs = sorted({x for line in drawn for x, _ in line.points}) if x_log else None
    body = [_axes(frame, x_label, y_label, percent, xs)]
    body += [_band(frame, line) for line in drawn]
    body += [_line(frame, line, percent) for line in drawn]
    body.append(_end_labels(frame, drawn))
    return _svg(title, "; ".join(_spoken(line, percent) for line in drawn), body)


def histogram(title: str, counts: Mapping[str, float], *, x_label: str, y_label: str) -> Markup:
    """Bars in the order given, each with its count above it."""
    if not counts:
        return Markup("")
    frame = Frame(0, len(counts), 0, nice_ticks(0, max(*counts.values(), 1))[-1])
    step = frame.x(1) - frame.x(0)
    bars = []
    for index, (name, amount) in enumerate(counts.items()):
        x, y = frame.x(index) + step * 0.12, frame.y(amount)
        bars.append(
            Markup(
                '<g class="bar"><title>{}: {}</title>'
                '<rect x="{:.1f}" y="{}" width="{:.1f}" height="{:.1f}" rx="2"/>'
                '<text x="{:.1f}" y="{:.1f}" class="mid value">{}</text>'
                '<text x="{:.1f}" y="{}" class="mid">{}</text></g>'
            ).format(
                *(name, f"{amount:g}", x, y, step * 0.76, frame.y(0) - y),
                *(x + step * 0.38, y - 5, f"{amount:g}", x + step * 0.38, HEIGHT - BOTTOM + 17, name),
            )
        )
    spoken = ", ".join(f"{name}: {amount:g}" for name, amount in counts.items())
    return _svg(title, spoken, [_axes(frame, x_label, y_label, False, []), *bars])


def reliability(title: str, bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Share of correct steps against mean score, dots sized by the number of steps."""
    if not bins:
        return Markup("")
    frame = Frame(0.0, 1.0, 0.0, 1.0, width=SQUARE)
    most = max(row["count"] for row in bins)
    points = [(row["confidence"], row["accuracy"]) for row in bins]
    dots = [
        Markup(
            '<circle class="dot" cx="{}" cy="{}" r="{:.1f}"><title>scores {:.2f} to {:.2f}: mean {:.3f}, '
            "correct {:.3f}, {} steps</title></circle>"
        ).format(
            *(frame.x(row["confidence"]), frame.y(row["accuracy"]), 3 + 7 * math.sqrt(row["count"] / most)),
            *(row["low"], row["high"], row["confidence"], row["accuracy"], f"{row['count']:,}"),
        )
        for row in bins
    ]
    diagonal = Markup('<path class="ideal" d="M{} {}L{} {}"/>').format(
        frame.x(0), frame.y(0), frame.x(1), frame.y(1)
    )
    gaps = [
        Markup('<path class="gap" d="M{0} {1}L{0} {2}"/>').format(frame.x(x), frame.y(x), frame.y(y))
        for x, y in points
    ]
    spoken = "; ".join(f"score {x:.2f}, correct {y:.2f}" for x, y in points)
    axes = _axes(frame, "Score, P(step correct)", "Share that is correct", False, None)
    return _svg(title, spoken, [axes, diagonal, *gaps, _path(frame, points, "line thin"), *dots], SQUARE)


def stacked_bar(parts: Sequence[tuple[str, float, str]], *, legend: bool = True) -> Markup:
    """Shares of a whole as one HTML bar; `parts` are (name, amount, css class)."""
    total = sum(amount for _, amount, _ in parts)
    if total <= 0:
        return Markup("")
    shown = [(name, amount, css) for name, amount, css in parts if amount > 0]
    pieces = Markup("").join(
        Markup('<span class="{}" style="flex-grow:{:.6f}" title="{}: {} ({:.1%})"></span>').format(
            css, amount / total, name, f"{amount:,.0f}", amount / total
        )
        for name, amount, css in shown
    )
    keys = Markup("").join(
        Markup('<li><i class="{}"></i>{} <b>{}</b> <small>{:.0%}</small></li>').format(
            css, name, f"{amount:,.0f}", amount / total
        )
        for name, amount, css in shown
    )
    spoken = ", ".join(f"{name} {amount:,.0f}" for name, amount, _ in shown)
    bar = Markup('<div class="stack" role="img" aria-label="{}">{}</div>').format(spoken, pieces)
    return bar + Markup('<ul class="legend">{}</ul>').format(keys) if legend else bar


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values that cover low..high in steps of 1, 2, 2.5 or 5 times a power of ten."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


# Pieces


def _frame(drawn: Sequence[Series], x_log: bool, from_zero: bool, percent: bool) -> Frame:
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    ys += [bound for line in drawn for _, low, high in line.band for bound in (low, high)]
    ticks = nice_ticks(0.0 if from_zero else min(ys), max(ys))
    top = min(ticks[-1], 1.0) if percent and max(ys) <= 1 else ticks[-1]
    right = 12 + max(7 * len(line.name) for line in drawn)
    return Frame(min(xs), max(xs), ticks[0], top, x_log, min(right, WIDTH // 3))


def _axes(frame: Frame, x_label: str, y_label: str, percent: bool, xs: Sequence[float] | None) -> Markup:
    """Grid, tick labels and axis names; `xs` gives the x ticks (None: round ones)."""
    right, bottom = frame.width - frame.right, HEIGHT - BOTTOM
    scale = 100 if percent else 1
    rows = [
        Markup('<path class="grid" d="M{0} {1}H{2}"/><text x="{3}" y="{4}" class="end">{5:g}</text>').format(
            LEFT, frame.y(tick), right, LEFT - 7, frame.y(tick) + 4, tick * scale
        )
        for tick in nice_ticks(frame.y_low, frame.y_high)
        if frame.y_low <= tick <= frame.y_high + 1e-9
    ]
    ticks = nice_ticks(frame.x_low, frame.x_high) if xs is None else xs
    rows += [
        Markup('<text x="{}" y="{}" class="mid">{}</text>').format(frame.x(tick), bottom + 17, f"{tick:g}")
        for tick in ticks
        if frame.x_low <= tick <= frame.x_high
    ]
    names = Markup(
        '<path class="axis" d="M{0} {1}H{2}"/><text x="{3}" y="{4}" class="mid name">{5}</text>'
        '<text transform="translate(13 {6}) rotate(-90)" class="mid name">{7}</text>'
    ).format(
        *(LEFT, bottom, right, (LEFT + right) / 2, HEIGHT - 8, x_label, (TOP + bottom) / 2, y_label),
    )
    return Markup("").join([*rows, names])


def _path(frame: Frame, points: Sequence[tuple[float, float]], css: str) -> Markup:
    steps = "L".join(f"{frame.x(x)} {frame.y(y)}" for x, y in points)
    return Markup('<path class="{}" d="M{}"/>').format(css, steps)


def _line(frame: Frame, line: Series, percent: bool) -> Markup:
    scale, unit = (100, "%") if percent else (1, "")
    dots = Markup("").join(
        Markup('<circle class="dot" cx="{}" cy="{}" r="3"><title>{}, {:g}: {:.4g}{}</title></circle>').format(
            frame.x(x), frame.y(y), line.name, x, y * scale, unit
        )
        for x, y in line.points
    )
    path = _path(frame, line.points, "line")
    return Markup('<g class="{}">{}{}</g>').format(line.css, path, dots if len(line.points) <= 16 else "")


def _band(frame: Frame, line: Series) -> Markup:
    if len(line.band) < 2:
        return Markup("")
    upper = [f"{frame.x(x)} {frame.y(high)}" for x, _, high in line.band]
    lower = [f"{frame.x(x)} {frame.y(low)}" for x, low, _ in reversed(line.band)]
    return Markup('<g class="{}"><path class="band" d="M{}Z"/></g>').format(line.css, "L".join(upper + lower))


def _end_labels(frame: Frame, drawn: Sequence[Series]) -> Markup:
    """Names beside the last points, pushed apart so that none covers another."""
    wanted = sorted((frame.y(line.points[-1][1]), index) for index, line in enumerate(drawn))
    places = spread([y for y, _ in wanted], _LABEL_GAP, TOP + 4, HEIGHT - BOTTOM)
    return Markup("").join(
        Markup('<text class="tag {}" x="{}" y="{:.1f}">{}</text>').format(
            drawn[index].css, frame.x(drawn[index].points[-1][0]) + 8, place + 4, drawn[index].name
        )
        for place, (_, index) in zip(places, wanted)
    )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending positions at least `gap` apart, near the ascending `wanted`, inside low..high."""
    places: list[float] = []
    for position in wanted:
        places.append(max(position, places[-1] + gap) if places else max(position, low))
    limit = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - gap
    return places


def _spoken(line: Series, percent: bool) -> str:
    first, last = line.points[0], line.points[-1]
    scale = 100 if percent else 1
    return f"{line.name}: {first[1] * scale:.4g} at {first[0]:g}, {last[1] * scale:.4g} at {last[0]:g}"


def _svg(title: str, description: str, body: Sequence[Markup], width: int = WIDTH) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}. {}">{}</svg>').format(
        width, HEIGHT, title, description, Markup("").join(body)
    )
