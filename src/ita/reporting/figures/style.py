"""What figures share: matplotlib set up so that the same numbers give the same files, panels, and the two forms."""

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
    """A figure, the numbers in it, and what must be known to read it."""

    title: str
    figure: Any
    numbers: pd.DataFrame
    about: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def panels(lines: int, columns: int, width: float, height: float, **more: Any) -> tuple[Any, Any]:
    """A figure of ``lines`` x ``columns`` panels, each line ``height`` inches."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "ita"  # the same numbers give the same file
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(lines, columns, figsize=(width, height * lines), squeeze=False, **more)
    for axis in axes.flat:
        axis.tick_params(labelsize=SMALL)
        axis.grid(alpha=0.3, linewidth=0.5)
        axis.set_axisbelow(True)
    return figure, axes


def save(drawn: ReportFigure, svg: Path, pdf: Path, title: str, notes: Sequence[str]) -> None:
    """Writes the figure as SVG and PDF, the title above and the notes below the panels."""
    import matplotlib.pyplot as plt

    figure = drawn.figure
    width, height = figure.get_size_inches()
    lines = [line for note in notes for line in textwrap.wrap(note, int(width * 22))]
    below = 0.1 + 0.12 * len(lines)
    figure.set_size_inches(width, height + below)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout(rect=(0, below / (height + below), 1, 1))
    figure.text(0.02, 0.05 / (height + below), "\n".join(lines), fontsize=6, color="#444444", va="bottom")
    for path, form, metadata in (
        (pdf, "pdf", {"CreationDate": None}),
        (svg, "svg", {"Date": None}),
    ):
        with atomic(path) as part:
            figure.savefig(part, format=form, metadata=metadata)
    plt.close(figure)
