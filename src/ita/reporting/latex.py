"""Tables in LaTeX with the rules of booktabs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "†": r"\textsuperscript{\dag}",
    "‡": r"\textsuperscript{\ddag}",
    "…": r"\ldots{}",
    "−": "$-$",
}


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def render(table: pd.DataFrame, title: str, notes: Sequence[str], label: str, names: int) -> str:
    r"""A floating table; needs ``\usepackage{booktabs}``.

    Args:
        table: text.
        title: caption.
        notes: paragraphs below the table.
        label: for ``\ref``.
        names: columns that name a row, flush left; a change in the first begins a block.
    """
    columns = "l" * names + "r" * (len(table.columns) - names)
    lines = [
        *(f"% {note}" for note in notes),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(title)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(escape(str(name)) for name in table.columns) + r" \\",
        r"\midrule",
    ]
    block = None
    for row in table.itertuples(index=False):
        if block is not None and row[0] != block:
            lines.append(r"\midrule")
        block = row[0]
        lines.append(" & ".join(escape(str(value)) for value in row) + r" \\")
    below = [rf"\par\smallskip {{\footnotesize {escape(note)}\par}}" for note in notes]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *below, r"\end{table}", ""])
