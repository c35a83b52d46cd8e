"""Figures: one module per kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ita.config import Figure, load
from ita.reporting.figures import captions, curves, distance
from ita.reporting.figures.curves import Histories
from ita.reporting.figures.style import ReportFigure
from ita.reporting.footer import footer_metadata, footer_sentences
from ita.reporting.render import title_of
from ita.reporting.report_rows import ReportSettings
from ita.reporting.runs import Runs


def make_figure(settings: Mapping[str, Any], runs: Runs | Histories) -> tuple[ReportFigure, dict[str, Any]]:
    """A figure by the settings of its stage, and what it says about itself: ``footer_metadata``, title, notes.

    Args:
        settings: of the stage.
        runs: all runs that the figure reads, of the kind curves their histories.

    Raises:
        UserError: when a run is missing.
    """
    section, report = load(Figure, settings.get("figure", {})), ReportSettings.read(settings)
    if isinstance(runs, Histories):
        figure = curves.draw(runs, report, section)
    else:
        figure = (captions.draw if section.kind == "captions" else distance.draw)(runs, report, section)
    metadata = footer_metadata(report, figure.metadata, section.encoders, section.systems, section.split)
    notes = [*figure.notes, *footer_sentences(metadata)]
    return figure, {**metadata, "title": title_of(figure.title, metadata), "notes": notes}
