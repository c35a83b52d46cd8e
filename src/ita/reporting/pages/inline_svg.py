"""Figures of matplotlib as SVG inside of a page: in its colours, light and dark, without styles, which it forbids."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ita.reporting.figures.style import COLOURS, panels

INK, EDGE, LINE, MUTED = "#111213", "#212223", "#313233", "#414243"
"""Stand for variables of the page while matplotlib draws."""
VARIABLES = {
    INK: "--ink",
    EDGE: "--edge",
    LINE: "--line",
    MUTED: "--soft",
    COLOURS["t"]: "--view-t",
    COLOURS["it"]: "--view-it",
}
RC: Any = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": EDGE,
    "xtick.color": EDGE,
    "xtick.labelcolor": INK,
    "ytick.color": EDGE,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
WIDTH, HEIGHT = 3.5, 2.45
"""Inches of a chart."""
LABEL = 8.5
"""Points of labels."""
STYLE = re.compile(r' style="([^"]*)"')


@contextmanager
def drawing() -> Iterator[tuple[Any, Any]]:
    """A small figure of one panel in the colours of the page; it is closed at the end."""
    import matplotlib

    with matplotlib.rc_context(RC):
        figure, axes = panels(1, 1, WIDTH, HEIGHT)
        axis = axes[0, 0]
        axis.tick_params(labelsize=LABEL - 0.5)
        axis.grid(alpha=1.0)
        try:
            yield figure, axis
        finally:
            import matplotlib.pyplot as plt

            plt.close(figure)


def to_svg(figure: Any, name: str, label: str) -> Any:
    """A figure as an element for a page; all text in it is drawn, ``label`` says it in words.

    Args:
        figure: matplotlib's.
        name: begins all names inside, so that those of two figures differ.
        label: for those who do not see it.
    """
    from markupsafe import Markup, escape

    figure.tight_layout(pad=0.4)
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = STYLE.sub(lambda style: attributes(style[1]), text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return Markup(text.replace("<svg", Markup('<svg role="img" aria-label="{}"').format(escape(label)), 1))


def attributes(style: str) -> str:
    """Declarations of a style attribute as attributes of their own."""
    pairs = (declaration.partition(":") for declaration in style.split(";") if declaration.strip())
    return "".join(f' {name.strip()}="{value.strip()}"' for name, _, value in pairs)
