"""Distance between the word representations of the two views (Fig. 3 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class RepresentationDistance:
    """Mean Euclidean distance between the vectors of each word in two views of the same posts.

    Vectors are those of each word's first subword in the encoder's last layer. The mean is over all words of all posts,
    each counting once; a word without subwords has the zero vector in both views and counts as 0. The vectors of the
    first view are kept, in float32 and on their device: 4 H bytes a word. Both methods are hooks of
    :func:`ita.model.inference.predict_tags`.

    Args:
        lengths: words of each post.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = np.array(lengths, dtype=np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.first_view: Tensor | None = None
        self.distances: Tensor | None = None

    def _word_indices(self, posts: Sequence[int], width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Index of each of the n words of posts among all words, and in a batch padded to ``width`` words."""
        batch = np.array(posts)
        lengths = self.lengths[batch]
        row = np.repeat(np.arange(len(batch)), lengths)
        word = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        overall, in_batch = torch.from_numpy(self.starts[batch][row] + word), torch.from_numpy(row * width + word)
        return overall.to(device, non_blocking=True), in_batch.to(device, non_blocking=True)

    def store(self, posts: Sequence[int], vectors: Tensor) -> None:
        """Stores the first view of a batch of posts, (B, W, H)."""
        if self.first_view is None:
            self.first_view = vectors.new_empty((int(self.lengths.sum()), vectors.shape[2]), dtype=torch.float32)
        overall, in_batch = self._word_indices(posts, vectors.shape[1], vectors.device)
        self.first_view[overall] = vectors.flatten(0, 1)[in_batch].float()

    def compare(self, posts: Sequence[int], vectors: Tensor) -> None:
        """Compares the second view of a batch of posts, (B, W, H), with the first, stored of all posts by now."""
        assert self.first_view is not None
        if self.distances is None:
            self.distances = self.first_view.new_empty(len(self.first_view))
        overall, in_batch = self._word_indices(posts, vectors.shape[1], vectors.device)
        difference = vectors.flatten(0, 1)[in_batch].float() - self.first_view[overall]
        self.distances[overall] = difference.norm(dim=1)

    def mean(self) -> float:
        """The mean over all words, once both views were read."""
        assert self.distances is not None
        return float(self.distances.double().mean())
