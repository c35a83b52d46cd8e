"""Cases for reading: Markdown, and a page with the pictures in it.

Words, types, image text and names all come from strangers: everything is escaped, and the page may load nothing and run
nothing.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ita.data.tags import spans
from ita.data.visual_context import VisualContext
from ita.log import log

Case = Mapping[str, Any]
TITLES = {"helped": "Image text helped", "misled": "Image text misled, alignment kept right"}
ROLES = ("text_only", "image_text", "aligned")
COLOURS = ("#cfe3ff", "#ffe0b3", "#cdeccb", "#f3cfe6", "#e4d5f7", "#f6f0a8", "#c8eeee", "#f9cfc9")
"""Backgrounds of entity types, by name; black text is readable on all of them."""
SIGN = re.compile(r"[\\`*_{}\[\]<>#|~&@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What Markdown gives a meaning inside a line, or makes a link of."""
QUALITY = 80
"""Of JPEG thumbnails."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = (
    "body{font-family:sans-serif;margin:2em;max-width:70em}section{display:flex;gap:1.5em;"
    "margin:1.5em 0;padding-top:1em;border-top:1px solid #ccc}figure{flex:none;margin:0}"
    "section>div{min-width:0;overflow-wrap:anywhere}h3{margin:0 0 .5em;font-size:1em}"
    "dt{color:#555;font-size:.85em}dd{margin:0 0 .5em}"
    "mark{padding:0 .2em;border-radius:.2em;color:#000}mark small{color:#444}.context{color:#333;font-size:.85em}"
)


def pieces(tokens: Sequence[str], tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A post as (text, type) of its entities and of what lies between them (type "")."""
    at = 0
    for start, end, kind in [*spans(tags), (len(tokens), len(tokens), "")]:
        if at < start:
            yield " ".join(tokens[at:start]), ""
        if kind:
            yield " ".join(tokens[start:end]), kind
        at = end


def context_parts(case: Case) -> list[tuple[str, str]]:
    """The visual context as (kind, text), a part for each run of words of one kind."""
    return VisualContext(case["context"], case["kinds"]).runs()


def readings(case: Case, names: Mapping[str, str]) -> list[tuple[str, Sequence[str]]]:
    """Whose tags, and the tags."""
    return [("gold", case["gold"]), *((names[role], case[role]) for role in ROLES)]


def markdown(shown: Mapping[str, Sequence[Case]], names: Mapping[str, str], notes: Sequence[str]) -> str:
    """The cases as Markdown: entities in bold with their type, no pictures."""
    lines = ["# Cases", *map(plain, notes)]
    for kind, cases in shown.items():
        lines.append(f"## {TITLES[kind]}")
        for case in cases:
            lines.append(f"### {plain(case['post_id'])}, {case['agreeing']} of {case['seeds']} seeds")
            items = [
                f"- {plain(name)}: " + " ".join(f"**{plain(t)}** ({plain(k)})" if k else plain(t) for t, k in parts)
                for name, parts in ((n, list(pieces(case["tokens"], tags))) for n, tags in readings(case, names))
            ]
            items += [f"- image text ({plain(kind)}): {plain(text)}" for kind, text in context_parts(case)]
            lines.append("\n".join(items))
        if not cases:
            lines.append("None.")
    return "\n\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Text on one line in which nothing means anything to Markdown or HTML, and no address becomes a link."""
    return SIGN.sub(r"\\\g<0>", " ".join(text.split()))


def page(
    shown: Mapping[str, Sequence[Case]], names: Mapping[str, str], notes: Sequence[str], images: Path, side: int
) -> str:
    """The cases as one HTML file that needs nothing else.

    Args:
        shown: kind -> cases.
        names: role -> name of the system.
        notes: paragraphs at the top.
        images: images.parquet.
        side: longest side of a thumbnail in pixels; 0 is none.
    """
    cases = [case for of_kind in shown.values() for case in of_kind]
    tags = [tags for case in cases for _, tags in readings(case, names)]
    types = sorted({span.type for one in tags for span in spans(one)})
    colours = {kind: COLOURS[number % len(COLOURS)] for number, kind in enumerate(types)}
    pictures = thumbnails({case["image_id"] for case in cases if case["image_id"]}, images, side) if side else {}
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Cases</title>",
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head><body>',
        "<h1>Cases</h1>",
        *(f"<p>{escape(note)}</p>" for note in notes),
    ]
    for kind, of_kind in shown.items():
        parts.append(f"<h2>{escape(TITLES[kind])}</h2>")
        parts += [section(case, names, colours, pictures.get(case["image_id"]) if side else None) for case in of_kind]
        if not of_kind:
            parts.append("<p>None.</p>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def section(case: Case, names: Mapping[str, str], colours: Mapping[str, str], picture: str | None) -> str:
    """One case as HTML."""
    rows = [
        f"<dt>{escape(name)}</dt><dd dir='auto'>"
        + " ".join(
            f"<mark style='background:{colours[kind]}'>{escape(text)} <small>{escape(kind)}</small></mark>"
            if kind
            else escape(text)
            for text, kind in pieces(case["tokens"], tags)
        )
        + "</dd>"
        for name, tags in readings(case, names)
    ]
    rows += [
        f"<dt>image text: {escape(kind)}</dt><dd class='context' dir='auto'>{escape(text)}</dd>"
        for kind, text in context_parts(case)
    ]
    figure = f"<figure><img alt='' src='data:image/jpeg;base64,{picture}'></figure>" if picture else ""
    title = f"<h3>{escape(case['post_id'])}, {case['agreeing']} of {case['seeds']} seeds</h3>"
    return f"<section>{figure}<div>{title}<dl>{''.join(rows)}</dl></div></section>"


def thumbnails(wanted: set[str], images: Path, side: int) -> dict[str, str]:
    """image_id -> JPEG in Base64, its longest side at most ``side`` pixels; without images that cannot be read."""
    from ita.vision.images import Unreadable, decode, list_image_files

    found = {}
    for source in list_image_files(images):
        if source.image_id in wanted:
            try:
                image = decode(source.path)
            except Unreadable as error:
                log.warning("%s: left out, the image cannot be read (%s)", source.image_id, error)
                continue
            image.thumbnail((side, side))
            file = io.BytesIO()
            image.save(file, "JPEG", quality=QUALITY, optimize=True)
            found[source.image_id] = base64.b64encode(file.getvalue()).decode("ascii")
    return found
