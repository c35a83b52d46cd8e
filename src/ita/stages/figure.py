"""figure: runs of a dataset -> {figure}.svg, .pdf, .csv, .json.

Each kind of figure is a module of ``ita.reporting.figures``, which says what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.cli import read_section
from ita.config import Figure
from ita.io.files import write_json, write_text
from ita.io.provenance import provenance_of

if TYPE_CHECKING:  # pandas is not imported for --help
    from ita.reporting.figures.style import ReportFigure
    from ita.reporting.report_rows import ReportSettings


def work(
    settings: dict[str, Any],
    svg: Path,
    pdf: Path,
    csv: Path,
    provenance: Path,
    histories: Sequence[Path] = (),
    run_settings: Sequence[Path] = (),
    metrics: Sequence[Path] = (),
) -> None:
    """Draws the figure, and writes its numbers and what it was made from.

    Args:
        settings: ``figure``, ``name``, ``dataset``, ``note``, ``systems``, ``encoders`` (names) and, for the kind
            captions, ``captions`` (system: captions that it reads of an image).
        svg: the picture.
        pdf: the same for a paper.
        csv: the numbers in it.
        provenance: JSON that says what the figure shows and was made from.
        histories: history.csv of every run (kind curves).
        run_settings: settings.json of the same runs (kind curves).
        metrics: metrics.json of every run (kinds captions and distance).

    Raises:
        UserError: when a run is missing or cannot be read.
    """
    from ita.reporting.escape import to_csv
    from ita.reporting.figures.style import save
    from ita.reporting.footer import footer_metadata, footer_sentences
    from ita.reporting.render import title_of
    from ita.reporting.report_rows import ReportSettings

    section = read_section(settings, "figure", Figure)
    report = ReportSettings.read(settings)
    figure, inputs = draw_figure(section, report, histories, run_settings, metrics)
    metadata = footer_metadata(report, figure.metadata, section.encoders, section.systems, section.split)
    notes = [*figure.notes, *footer_sentences(metadata)]
    title = title_of(figure.title, metadata)
    stated = {**metadata, "title": title, "notes": notes}
    write_text(csv, to_csv(figure.numbers))
    write_json(provenance, {"metadata": stated, **provenance_of(settings, inputs)})
    save(figure, svg, pdf, title, notes)


def draw_figure(
    section: Figure,
    report: ReportSettings,
    histories: Sequence[Path],
    run_settings: Sequence[Path],
    metrics: Sequence[Path],
) -> tuple[ReportFigure, dict[str, Path]]:
    """The figure by the module of its kind, and the files that it reads by readable names."""
    from ita.reporting.figures import captions, curves, distance
    from ita.reporting.runs import Runs

    if section.kind == "curves":
        runs_over_epochs = curves.Histories(histories, run_settings)
        return curves.draw(runs_over_epochs, report, section), runs_over_epochs.files
    runs = Runs(report.dataset, metrics)
    draw = captions.draw if section.kind == "captions" else distance.draw
    return draw(runs, report, section), runs.files
