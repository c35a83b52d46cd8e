"""figure: runs of a dataset -> {figure}.svg, .pdf, .csv, .json.

What a figure of each kind shows is told by its module in ``ita.reporting.figures``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Figure
from ita.io.files import write_json, write_text
from ita.io.provenance import provenance_of


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
        settings: ``figure``, ``name``, ``dataset``, ``systems``, ``encoders`` (names) and, for captions, how many of
            them each system reads.
        svg: the picture.
        pdf: the same for a paper.
        csv: the numbers in it.
        provenance: JSON that says what the figure shows and was made from.
        histories: history.csv of every run, in folders {encoder}/{system}/seed{seed} (kind curves).
        run_settings: settings.json of every run, in such folders (kind curves).
        metrics: metrics.json of every run, in such folders (kinds captions and distance).

    Raises:
        UserError: when a run is missing or can not be read.
    """
    from ita.reporting import footer
    from ita.reporting.figures import captions, curves, distance, style
    from ita.reporting.runs import Runs

    chosen = read_section(settings, "figure", Figure)
    if chosen.kind == "curves":
        drawn = curves.draw(histories, run_settings, settings, chosen)
    else:
        kinds = {"captions": captions.draw, "distance": distance.draw}
        drawn = kinds[chosen.kind](Runs(metrics), settings, chosen)
    stated = footer.facts(settings, "figure", drawn.about)
    if chosen.kind == "curves":
        stated["split"] = "dev"
    notes = [*drawn.notes, *footer.sentences(stated)]
    title = f"{footer.heading(stated['name'])}. {drawn.title}: {stated['dataset']}"
    inputs = {"/".join(path.parts[-4:]): path for path in [*histories, *metrics]}
    origin = provenance_of(settings, inputs)
    write_text(csv, drawn.numbers.to_csv(index=False, float_format="%.6g"))
    write_json(provenance, {"about": {"title": title, "notes": notes, **stated}, **origin})
    style.save(drawn, svg, pdf, title, notes)
