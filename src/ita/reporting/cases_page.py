"""Qualitative examples for reading: as Markdown, and as a page with the images in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ita.config import Cases
from ita.data.tags import spans
from ita.data.visual_context import VisualContext
from ita.reporting.cases import ROLE_VIEWS, ComparedRuns
from ita.reporting.escape import escape_markdown
from ita.reporting.render import render_page
from ita.reporting.thumbnails import QUALITY, thumbnails

TITLE = "Qualitative examples"
KIND_TITLES = {"helped": "Image text helped", "misled": "Image text misled, alignment did not"}
TYPE_COLOURS = 8
"""Colours of entity types in style.css: mark.type-0 and so on."""

Case = Mapping[str, Any]
"""Row of cases.parquet."""


@dataclass(frozen=True)
class Tagging:
    """A post as a system tagged it."""

    name: str
    """Of the system, or gold."""
    segments: list[tuple[str, str]]
    """(text, type) of entities and of what lies between them (type "")."""


def page_notes(
    runs: ComparedRuns, counts: Mapping[str, int], names: Mapping[str, str], dataset: str, section: Cases, note: str
) -> list[str]:
    """What the pages say above the cases.

    Args:
        runs: the runs that were compared.
        counts: kind -> number of cases.
        names: role -> name of the system.
        dataset: name of the data set.
        section: settings of the stage.
        note: of the data set; may be empty.
    """
    notes = [
        f"Dataset {dataset}, labels {runs.label_version}, {section.split} split, {len(runs.posts)} posts, "
        f"{len(runs.seeds)} seeds, encoder {section.encoder}. A post is right when its predicted spans are exactly its "
        "gold spans; the tags shown are those of the first seed in which the case holds.",
        f"Image text helped in {counts['helped']} posts: {names['text_only']} wrong and {names['image_text']} right in "
        f"more than half of the seeds. It misled in {counts['misled']}: {names['text_only']} right, "
        f"{names['image_text']} wrong and {names['aligned']} right. At most {section.count} of each are shown, those "
        "in which most seeds agree first.",
    ]
    return [*notes, note] if note else notes


def tag_segments(tokens: Sequence[str], tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A post as (text, type) of its entities and of what lies between them (type "")."""
    position = 0
    for span in spans(tags):
        if position < span.start:
            yield " ".join(tokens[position : span.start]), ""
        yield " ".join(tokens[span.start : span.end]), span.type
        position = span.end
    if position < len(tokens):
        yield " ".join(tokens[position:]), ""


def taggings(case: Case, names: Mapping[str, str]) -> list[Tagging]:
    """The post with its gold tags and with those of each system."""
    tags = {"gold": case["gold"], **{names[role]: case[role] for role in ROLE_VIEWS}}
    return [Tagging(name, list(tag_segments(case["tokens"], of_name))) for name, of_name in tags.items()]


def image_text(case: Case) -> list[tuple[str, str]]:
    """The visual context as (kind, text), one for each run of words of one kind."""
    return VisualContext(case["context"], case["kinds"]).runs()


def to_markdown(groups: Mapping[str, Sequence[Case]], names: Mapping[str, str], notes: Sequence[str]) -> str:
    """The cases as Markdown: entities in bold with their type, no images.

    Args:
        groups: kind -> cases.
        names: role -> name of the system.
        notes: paragraphs at the top.
    """
    paragraphs = [f"# {TITLE}", *map(escape_markdown, notes)]
    for kind, cases in groups.items():
        paragraphs.append(f"## {KIND_TITLES[kind]}")
        for case in cases:
            paragraphs.append(f"### {escape_markdown(case['post_id'])}, {case['agreeing']} of {case['seeds']} seeds")
            items = [f"{escape_markdown(tagging.name)}: {_bold_entities(tagging)}" for tagging in taggings(case, names)]
            items += [
                f"image text ({escape_markdown(kind)}): {escape_markdown(text)}" for kind, text in image_text(case)
            ]
            paragraphs.append("\n".join(f"- {item}" for item in items))
        if not cases:
            paragraphs.append("None.")
    return "\n\n".join(paragraphs) + "\n"


def to_html(
    groups: Mapping[str, Sequence[Case]],
    names: Mapping[str, str],
    notes: Sequence[str],
    thumbnails: Mapping[str, str],
) -> str:
    """The cases as one HTML file that needs nothing else.

    Args:
        groups: kind -> cases.
        names: role -> name of the system.
        notes: paragraphs at the top.
        thumbnails: image_id -> JPEG in Base64.
    """
    cases = [case for of_kind in groups.values() for case in of_kind]
    types = sorted({span.type for case in cases for tags in _all_tags(case) for span in spans(tags)})
    return render_page(
        "cases.html.j2",
        title=TITLE,
        notes=notes,
        type_numbers={entity_type: number % TYPE_COLOURS for number, entity_type in enumerate(types)},
        groups=[
            {
                "title": KIND_TITLES[kind],
                "cases": [
                    {
                        "post_id": case["post_id"],
                        "agreeing": case["agreeing"],
                        "seeds": case["seeds"],
                        "taggings": taggings(case, names),
                        "image_text": image_text(case),
                        "thumbnail": thumbnails.get(case["image_id"]),
                    }
                    for case in of_kind
                ],
            }
            for kind, of_kind in groups.items()
        ],
    )


def make_thumbnails(image_ids: Collection[str], images: Path, side: int) -> dict[str, str]:
    """JPEG thumbnails in Base64 by image_id; images that cannot be read are left out.

    Args:
        image_ids: which images.
        images: images.parquet.
        side: longest side in pixels; 0 makes none.
    """
    encoded: dict[str, str] = {}
    for thumbnail in thumbnails(image_ids, images, side):
        file = io.BytesIO()
        thumbnail.image.save(file, "JPEG", quality=QUALITY, optimize=True)
        encoded[thumbnail.image_id] = base64.b64encode(file.getvalue()).decode("ascii")
    return encoded


def _bold_entities(tagging: Tagging) -> str:
    """A tagged post in one line of Markdown."""
    return " ".join(
        f"**{escape_markdown(text)}** ({escape_markdown(entity_type)})" if entity_type else escape_markdown(text)
        for text, entity_type in tagging.segments
    )


def _all_tags(case: Case) -> list[Sequence[str]]:
    return [case["gold"], *(case[role] for role in ROLE_VIEWS)]
