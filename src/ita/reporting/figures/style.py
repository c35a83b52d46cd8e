"""What figures share: reproducible matplotlib output, panels, and saving as SVG and PDF."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ita.io.files import atomic

COLOURS = {"t": "#1f77b4", "it": "#d95f02"}
SMALL = 7
"""Points."""


@dataclass(frozen=True)
class ReportFigure:
    """A figure, the numbers in it, its notes and metadata."""

    title: str
    canvas: Any
    """matplotlib's Figure."""
    numbers: pd.DataFrame
    """For the CSV."""
    notes: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    """Seeds, label version, models of the encoders and more, as far as the figure has them."""


def panels(lines: int, columns: int, width: float, height: float, **options: Any) -> tuple[Any, Any]:
    """A figure of ``lines`` x ``columns`` panels, each line ``height`` inches high; options as for plt.subplots."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "ita"  # the same numbers give the same file
    matplotlib.rcParams["text.parse_math"] = False  # a $ in a name is a dollar
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(lines, columns, figsize=(width, height * lines), squeeze=False, **options)
    for axis in axes.flat:
        axis.tick_params(labelsize=SMALL)
        axis.grid(alpha=0.3, linewidth=0.5)
        axis.set_axisbelow(True)
    return figure, axes


def plot_seeds(axis: Any, x: float, seeds: str, **style: Any) -> None:
    """A dot at ``x`` for each seed's value; ``seeds`` is the text that a table's column holds."""
    values = [float(value) for value in seeds.split()]
    axis.plot([x] * len(values), values, ".", **style)


def save(figure: ReportFigure, svg: Path, pdf: Path, title: str, notes: Sequence[str]) -> None:
    """Writes the figure as SVG and PDF, the title above and the notes below the panels."""
    import matplotlib.pyplot as plt

    canvas = figure.canvas
    width, height = canvas.get_size_inches()
    lines = [line for note in notes for line in textwrap.wrap(note, int(width * 22))]
    footer = 0.1 + 0.12 * len(lines)
    canvas.set_size_inches(width, height + footer)
    canvas.suptitle(title, fontsize=9)
    canvas.tight_layout(rect=(0, footer / (height + footer), 1, 1))
    canvas.text(0.02, 0.05 / (height + footer), "\n".join(lines), fontsize=SMALL - 1, color="#444444", va="bottom")
    for path, suffix, metadata in ((pdf, "pdf", {"CreationDate": None}), (svg, "svg", {"Date": None})):
        with atomic(path) as part:
            canvas.savefig(part, format=suffix, metadata=metadata)
    plt.close(canvas)
