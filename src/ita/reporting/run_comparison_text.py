"""A comparison of two runs for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ita.errors import printable
from ita.reporting.run_comparison import INVENTED, KINDS, MISSED
from ita.reporting.terminal import styled

WIDTH = 80
TITLES = {"helped": "right in B, wrong in A", "misled": "wrong in B, right in A"}
NOTE = (
    "F1 in percent (seqeval, default mode), mean over seeds, with 95 % intervals; difference and p by the paired "
    "bootstrap over posts, p not corrected for the number of lines."
)


def lines_of(comparison: Mapping[str, Any], split: str, limit: int, colours: bool) -> Iterator[str]:
    """The lines of the page.

    Args:
        comparison: what ``compare`` gives.
        split: that was read.
        limit: posts shown of each kind.
        colours: whether the terminal shows them.
    """
    for name in ("a", "b"):
        yield styled(_side(name.upper(), comparison[name]), "bold", colours)
    labels = f", labels {comparison['label_version']}" if comparison["label_version"] else ""
    yield printable(f"{split}: {comparison['posts']:,} posts{labels}")
    if comparison["p_welch"] is not None:
        paired = comparison["p_paired_t"]
        yield f"over seeds: p = {_p(comparison['p_welch'])} (Welch), {_p(paired)} (paired t-test)"
    yield ""
    yield from _f1_lines(comparison["f1"], colours)
    yield ""
    yield from (styled(line, "dim", colours) for line in textwrap.wrap(NOTE, WIDTH))
    for name in ("a", "b"):
        yield ""
        yield from _confusion_lines(
            name.upper(), comparison["confusion"][name], len(comparison[name]["seeds"]), colours
        )
    for kind in KINDS:
        yield ""
        yield from _post_lines(kind, comparison["changed"][kind], len(comparison["a"]["seeds"]), limit, colours)


def _side(letter: str, side: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, side["seeds"]))
    return printable(f"{letter}  {side['name']}, view {side['view']}, seed{'s' * (len(side['seeds']) > 1)} {seeds}")


def _f1_lines(parts: Sequence[Mapping[str, Any]], colours: bool) -> Iterator[str]:
    """A line per part: gold entities, F1 of both sides, the difference, p."""
    cells: list[tuple[str, ...]] = [("", "gold", "A", "", "B", "", "B - A", "", "p")]
    for part in parts:
        a, b, difference = part["a"], part["b"], part["difference"]
        f1 = [cell for side in (a, b) for cell in (f"{side['f1']:.2f}", f"{side['low']:.1f}-{side['high']:.1f}")]
        gain = (f"{difference['f1']:+.2f}", f"{difference['low']:+.1f}..{difference['high']:+.1f}")
        cells.append((printable(part["part"])[:12], f"{part['gold']:,}", *f1, *gain, _p(difference["p"])))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        name, *numbers = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        line = f"{name} {' '.join(numbers)}"
        if number == 0:
            yield styled(line.rstrip(), "bold", colours)
            continue
        low, high = parts[number - 1]["difference"]["low"], parts[number - 1]["difference"]["high"]
        yield styled(line, "green", colours and low > 0) if low > 0 else styled(line, "red", colours and high < 0)


def _p(p: float | None) -> str:
    """A p with three decimals."""
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _confusion_lines(letter: str, rows: Mapping[str, Mapping[str, float]], seeds: int, colours: bool) -> Iterator[str]:
    """Gold types as rows, predicted ones as columns."""
    types = [name for name in rows if name != INVENTED]
    columns = [*types, MISSED]
    means, digits = ("; means over seeds", 1) if seeds > 1 else ("", 0)
    yield styled(f"Types in {letter}: gold entities (rows) as what they were tagged{means}", "bold", colours)
    width = max(5, min(12, (WIDTH - 12) // max(len(columns), 1) - 1))
    yield f"{'':<11}" + "".join(f" {printable(name)[:width]:>{width}}" for name in columns)
    for name, row in rows.items():
        counts = [f"{row[column]:.{digits}f}" if column in row else "" for column in columns]
        yield f"{printable(name)[:11]:<11}{''.join(f' {count:>{width}}' for count in counts)}".rstrip()


def _post_lines(kind: str, posts: Sequence[Mapping[str, Any]], seeds: int, limit: int, colours: bool) -> Iterator[str]:
    """The first posts of a kind, each with its text, gold entities and both predictions."""
    count_shown = f", {min(limit, len(posts))} shown" if limit < len(posts) else ""
    yield styled(f"{kind.capitalize()}: {len(posts)} posts {TITLES[kind]}{count_shown}", "bold", colours)
    for post in posts[:limit]:
        agreeing = f" ({post['agreeing']} of {seeds} seeds)" if seeds > 1 else ""
        yield styled(printable(f"  {post['post_id']}{agreeing}"), "cyan", colours)
        yield from textwrap.wrap(printable(post["text"]), WIDTH, initial_indent="    ", subsequent_indent="    ")
        for label, name in (("gold", "gold"), ("A", "a"), ("B", "b")):
            entities = "; ".join(f"{entity['surface']} {entity['type']}" for entity in post[name]) or "-"
            start = f"    {label:<5}"
            yield from textwrap.wrap(
                printable(entities), WIDTH, initial_indent=start, subsequent_indent=" " * len(start)
            )
