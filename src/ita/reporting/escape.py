"""Text from data as Markdown, LaTeX and CSV show it literally; HTML is escaped by the templates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MARKDOWN = re.compile(
    r"[\\`*{}\[\]<>#|~&@$]"  # code, emphasis, links, tags, headings, cells, entities, addresses, formulas
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, which neither begins nor ends inside a word
    r"|:(?=//)|(?<=www)\."  # addresses that become links by themselves
    r"|^[-+=](?=[\s=-]|$)",  # lists, rules and headings
    re.IGNORECASE,
)
ORDERED_LIST = re.compile(r"^(\d+)([.)])(?=\s|$)")
LATEX = str.maketrans(
    {
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
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet takes for a formula."""
NUMBERS = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?( [-+]?\d+(\.\d+)?(e[-+]?\d+)?)*")


def escape_markdown(text: str) -> str:
    """Text on one line in which nothing has a meaning in Markdown or HTML, and no address becomes a link."""
    escaped = MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))
    return ORDERED_LIST.sub(r"\1\\\2", escaped)


def escape_latex(text: object) -> str:
    """Text on one line as LaTeX prints it."""
    return " ".join(str(text).split()).translate(LATEX)


def escape_csv_cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets a leading apostrophe; numbers stay numbers.

    Carriage returns become line feeds: pandas does not quote them, and readers would begin a new row there.
    """
    if not isinstance(value, str) or NUMBERS.fullmatch(value):
        return value
    literal = f"'{value}" if value.startswith(FORMULA) else value
    return literal.replace("\r\n", "\n").replace("\r", "\n")


def to_csv(numbers: pd.DataFrame) -> str:
    """A data frame as CSV: six digits, text cells escaped."""
    import pandas as pd

    columns = {
        escape_csv_cell(name): pd.Series(
            [escape_csv_cell(value) for value in column], index=numbers.index, dtype=column.dtype
        )
        for name, column in numbers.items()
    }
    return pd.DataFrame(columns, index=numbers.index).to_csv(index=False, float_format="%.6g")
