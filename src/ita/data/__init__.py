"""Annotated posts: formats, sources, label versions, tags, scores, and the words of their visual contexts."""

SPLITS = ("train", "dev", "test")
VIEWS = {"t": "T", "it": "I+T"}
"""The two views of a post, as files and settings call them -> their names in tables: text; image text and text."""
