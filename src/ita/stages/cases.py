"""cases: predictions of three systems -> cases.parquet, cases.md, cases.html.

Finds posts where image text helped (the text-only system is wrong, the one that reads image text right) and where it
misled (text-only right, image text wrong, and the system with cross-view alignment right); ``ita.reporting.cases`` says
when. The table holds all of them, the pages for reading some.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Cases
from ita.io import parquet
from ita.io.files import sha256, write_text
from ita.io.provenance import environment_of, provenance_of
from ita.log import log


def work(
    settings: dict[str, Any],
    output: Path,
    markdown: Path,
    html: Path,
    predictions: Sequence[Path],
    posts: Path,
    images: Path,
    context: Path,
) -> None:
    """Writes all cases as a table, and some of each kind for reading.

    Args:
        settings: ``cases``, ``dataset``, ``note``, and ``names`` of the three systems by role.
        output: cases.parquet, all cases.
        markdown: some of each kind for reading.
        html: the same as a page with the images.
        predictions: predictions.parquet of every run; runs of other systems are passed over.
        posts: posts.parquet.
        images: images.parquet.
        context: the context table that the I+T system reads.

    Raises:
        UserError: when a run is missing, or runs were made on different labels or posts.
    """
    from ita.reporting import cases_page
    from ita.reporting.cases import KINDS, ROLE_VIEWS, find_cases, read_compared_runs

    section = read_section(settings, "cases", Cases)
    dataset = str(settings["dataset"])
    runs = read_compared_runs(predictions, dataset, section)
    cases = add_images_and_context(find_cases(runs), posts, context, section.split)
    by_kind = {kind: [case for case in cases if case["kind"] == kind] for kind in KINDS}
    counts = {kind: len(of_kind) for kind, of_kind in by_kind.items()}
    log.info("cases: %s", counts)
    shown = {kind: of_kind[: section.count] for kind, of_kind in by_kind.items()}
    names = {role: str(settings.get("names", {}).get(role, getattr(section, role))) for role in ROLE_VIEWS}
    notes = cases_page.page_notes(runs, counts, names, dataset, section, str(settings.get("note") or ""))
    image_ids = {case["image_id"] for of_kind in shown.values() for case in of_kind}
    thumbnails = cases_page.make_thumbnails(image_ids, images, section.thumbnail)
    write_text(markdown, cases_page.to_markdown(shown, names, notes))
    write_text(html, cases_page.to_html(shown, names, notes, thumbnails))
    inputs = {**runs.files, "posts": posts, "images": images, "context": context}
    metadata = {
        **provenance_of(settings, inputs),
        "environment": environment_of(),
        "label_version": runs.label_version,
        "evaluation": runs.evaluation,
        "counts": counts,
        "outputs": {"md": sha256(markdown), "html": sha256(html)},
    }
    parquet.write("cases", [case for of_kind in by_kind.values() for case in of_kind], output, metadata)


def add_images_and_context(
    cases: Sequence[dict[str, Any]], posts: Path, context: Path, split: str
) -> list[dict[str, Any]]:
    """The cases with the name of their image and the words of their visual context."""
    image_of = {row["post_id"]: row["image_id"] for row in parquet.rows("posts", posts) if row["split"] == split}
    contexts = {row["post_id"]: row for row in parquet.stream("contexts", context)}
    return [
        {
            **case,
            "image_id": image_of.get(case["post_id"]),
            "context": contexts.get(case["post_id"], {}).get("tokens", []),
            "kinds": contexts.get(case["post_id"], {}).get("kinds", []),
        }
        for case in cases
    ]
