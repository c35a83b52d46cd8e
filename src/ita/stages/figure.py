"""figure: runs of a dataset -> {figure}.svg, .pdf, .csv, .json.

Each kind of figure is a module of ``ita.reporting.figures``, which says what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Figure
from ita.io.files import sha256, write_json, write_text
from ita.io.provenance import environment_of, provenance_of


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
    from ita.reporting.figures import make_figure
    from ita.reporting.figures.curves import Histories
    from ita.reporting.figures.style import save
    from ita.reporting.runs import Runs

    section = read_section(settings, "figure", Figure)
    runs: Runs | Histories
    curves = section.kind == "curves"
    runs = Histories(histories, run_settings) if curves else Runs(str(settings["dataset"]), metrics)
    figure, metadata = make_figure(settings, runs)
    save(figure, svg, pdf, metadata["title"], metadata["notes"])
    write_text(csv, to_csv(figure.numbers))
    outputs = {path.suffix.removeprefix("."): sha256(path) for path in (svg, pdf, csv)}
    about = {**provenance_of(settings, runs.files), "environment": environment_of(), "outputs": outputs}
    write_json(provenance, {"metadata": metadata, **about})
