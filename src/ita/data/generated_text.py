"""Text that a model wrote."""

from __future__ import annotations


def clean(text: str) -> str:
    """An answer without the thoughts that some models write before it, and without halves of characters.

    Thoughts without an end, cut at the longest answer, leave nothing.
    """
    text = text.encode(errors="replace").decode().strip()
    if text.startswith("<think>"):
        text = text.partition("</think>")[2]
    return text.strip()
