"""Charts of one system: its drawing, what it shows in words, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ita.data import VIEWS
from ita.reporting.figures import curves
from ita.reporting.figures.style import COLOURS
from ita.reporting.pages.chart_data import INVENTED, MISSED, LengthBin
from ita.reporting.pages.inline_svg import EDGE, LABEL, MUTED, drawing, to_svg
from ita.significance.calibration import Bin

HEAT = 9
"""Steps of colour of a table of types."""


@dataclass(frozen=True)
class ChartTable:
    """Numbers of a chart as texts."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """A chart of one system with one encoder."""

    name: str
    """Of the system."""
    encoder: str
    drawing: Any
    """Markup."""
    table: ChartTable


@dataclass(frozen=True)
class TypeTable:
    """Gold types by predicted types."""

    name: str
    encoder: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[str, int]]]]
    """Gold type, and of each cell its text and the step of its colour."""


def curve(name: str, encoder: str, number: int, runs: pd.DataFrame, limits: tuple[float, float]) -> Chart:
    """Dev F1 after each epoch, of the seeds and their mean, in each view trained on; ``limits`` of F1 in all charts."""
    views = [view for view in VIEWS if f"dev_f1_{view}" in runs and runs[f"dev_f1_{view}"].notna().any()]
    means = runs.groupby("epoch")[[f"dev_f1_{view}" for view in views]].mean()
    with drawing() as (figure, axis):
        curves.draw_panel(axis, runs)
        axis.set_ylim(limits)
        axis.xaxis.get_major_locator().set_params(integer=True)
        label(axis, "epoch", "dev F1 (%)")
        said = [
            f"{VIEWS[view]} from {values.iloc[0]:.1f} to {values.iloc[-1]:.1f}, highest {values.max():.1f}"
            for view, (_, values) in zip(views, means.items(), strict=True)
        ]
        words = f"{name}: mean dev F1 over {len(means)} epochs: {'; '.join(said)}"
        svg = to_svg(figure, f"curve{number}", words)
    rows = [[str(epoch), *(f"{value:.2f}" for value in values)] for epoch, *values in means.itertuples()]
    return Chart(name, encoder, svg, ChartTable(["epoch", *(f"mean F1, {VIEWS[view]}" for view in views)], rows))


def calibration(name: str, encoder: str, number: int, bins: Sequence[Bin], error: float | None, view: str) -> Chart:
    """Accuracy over confidence of the spans predicted in a view, the area of a dot by the spans in it."""
    colour = COLOURS[view]
    filled = [row for row in bins if row.count]
    most = max((row.count for row in filled), default=1)
    with drawing() as (figure, axis):
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        confidences, accuracies = [row.confidence for row in filled], [row.accuracy for row in filled]
        axis.plot(confidences, accuracies, color=colour, linewidth=1.2)
        sizes = [12 + 110 * row.count / most for row in filled]
        axis.scatter(confidences, accuracies, s=sizes, color=colour, linewidths=0, zorder=3)
        axis.set(xlim=(0, 1.03), ylim=(0, 1.03))
        label(axis, "posterior", "share right")
        ece = "" if error is None else f"ECE {error:.1f} %"
        axis.text(0.97, 0.06, ece, transform=axis.transAxes, fontsize=LABEL, ha="right")
        said = [f"{row.accuracy:.0%} right at {row.confidence:.2f}" for row in filled]
        svg = to_svg(figure, f"calibration{number}", f"{name}: {ece}; {', '.join(said) or 'no spans'}")
    rows = [
        [f"{row.low:.1f}–{row.high:.1f}", f"{row.count:,}", f"{row.confidence:.3f}", f"{row.accuracy:.3f}"]
        for row in filled
    ]
    return Chart(
        name, encoder, svg, ChartTable(["posterior", "spans, all seeds", "mean posterior", "share right"], rows)
    )


def lengths(
    name: str,
    encoder: str,
    number: int,
    bins: Sequence[LengthBin],
    baseline: tuple[str, Sequence[LengthBin]] | None,
    limits: tuple[float, float],
) -> Chart:
    """F1 of posts by the words of their context, with intervals, beside text alone on the same posts.

    Args:
        name: of the system.
        encoder: its name.
        number: of the chart.
        bins: of the system.
        baseline: name of a system on text alone, and its bins of the same posts.
        limits: of F1 in all charts.
    """
    series = [(name, "it", bins), *([(baseline[0], "t", baseline[1])] if baseline else [])]
    with drawing() as (figure, axis):
        for shift, (title, view, shown) in zip((0.08, -0.08), series, strict=False):
            positions = [n + (shift if baseline else 0) for n in range(len(shown))]
            reach = [[row.f1 - row.low for row in shown], [row.high - row.f1 for row in shown]]
            style = {"color": COLOURS[view], "linewidth": 1.1, "marker": "o", "markersize": 3.5, "elinewidth": 1.1}
            axis.errorbar(positions, [row.f1 for row in shown], reach, label=title, capsize=2.5, **style)
        axis.set_xticks(range(len(bins)), [row.name for row in bins])
        axis.set(xlim=(-0.4, len(bins) - 0.6), ylim=limits)
        label(axis, "words in the context", "F1 (%)")
        if baseline:
            axis.legend(
                fontsize=LABEL - 1, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 1), borderpad=0
            )
        said = [f"{row.name} words: {row.f1:.1f} ({row.low:.1f} to {row.high:.1f}, {row.posts} posts)" for row in bins]
        svg = to_svg(figure, f"lengths{number}", f"{name}: F1 by words in the context: {'; '.join(said)}")
    columns = ["words", "posts", "entities", *(part for title, *_ in series for part in (f"F1, {title}", "95 %"))]
    rows = [
        [first.name, f"{first.posts:,}", f"{first.entities:,}"]
        + [part for row in of_bin for part in (f"{row.f1:.2f}", f"{row.low:.1f}–{row.high:.1f}")]
        for first, *rest in zip(*(shown for *_, shown in series), strict=True)
        for of_bin in [(first, *rest)]
    ]
    return Chart(name, encoder, svg, ChartTable(columns, rows))


def confusion(name: str, encoder: str, counts: dict[tuple[str, str], float]) -> TypeTable:
    """Mean number of spans of each gold and predicted type; colour: share of the gold type."""
    types = sorted({entity_type for pair in counts for entity_type in pair} - {MISSED, INVENTED})
    rows = []
    for gold in [*types, INVENTED]:
        columns = types if gold == INVENTED else [*types, MISSED]
        total = sum(counts.get((gold, predicted), 0.0) for predicted in columns)
        cells = [
            (f"{value:,.1f}", round(HEAT * value / total) if total else 0)
            for value in (counts.get((gold, predicted), 0.0) for predicted in columns)
        ]
        rows.append((gold, cells if gold != INVENTED else [*cells, ("", 0)]))
    return TypeTable(name, encoder, [*types, MISSED], rows)


def label(axis: Any, below: str, left: str) -> None:
    """Names both axes."""
    axis.set_xlabel(below, fontsize=LABEL)
    axis.set_ylabel(left, fontsize=LABEL)
    for spine in ("left", "bottom"):
        axis.spines[spine].set_color(EDGE)
