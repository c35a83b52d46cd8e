"""Encoded posts as the inputs of an exported graph, without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ita.model.inputs import EncodedView


def model_inputs(posts: Sequence[EncodedView], pad_id: int) -> dict[str, NDArray[np.int64]]:
    """The inputs by name, for posts in one view: R rows of at most T subwords, at most W words.

    Args:
        posts: B of them; windows of a long one are rows of their own.
        pad_id: id of padding.
    """
    row_lengths = np.array([length for post in posts for length in post.row_lengths])
    mask = np.arange(row_lengths.max()) < row_lengths[:, None]
    input_ids = np.full(mask.shape, pad_id, np.int64)
    input_ids[mask] = np.concatenate([post.ids for post in posts])
    slots = np.flatnonzero(mask)
    lengths = np.array([len(post.first_subword) for post in posts])
    first_subwords = np.full((len(posts), lengths.max()), -1, np.int64)
    start = 0
    for row, post in zip(first_subwords, posts, strict=True):
        index = post.first_subword
        row[: len(index)] = np.where(index < 0, -1, slots[index + start])
        start += len(post.ids)
    return {
        "input_ids": input_ids,
        "attention_mask": mask.astype(np.int64),
        "first_subwords": first_subwords,
        "lengths": lengths,
    }
