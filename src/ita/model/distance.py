"""How far the image moves what represents a word: the distance of the paper's Fig. 3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Distance:
    """Mean Euclidean distance between the vectors of each word in two views of the same posts.

    Vectors are what the tagger reads, of each word's first piece in the encoder's last layer. The mean is over all
    words of all posts, each counting once; a word without pieces has the zero vector in both views and counts as 0.
    The first view is kept, in float32 and on its device: 4 H bytes a word.

    Args:
        words: of each post.
    """

    def __init__(self, words: Sequence[int]) -> None:
        self.words = np.array(words, dtype=np.int64)
        self.starts = np.cumsum(self.words) - self.words
        self.first: Tensor | None = None
        self.distances: Tensor | None = None

    def _places(self, posts: Sequence[int], width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Where the n words of some posts stand: among all words, and in a batch of ``width`` words a post."""
        chosen = np.array(posts)
        lengths = self.words[chosen]
        row = np.repeat(np.arange(len(chosen)), lengths)
        word = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        places = torch.from_numpy(self.starts[chosen][row] + word), torch.from_numpy(row * width + word)
        return places[0].to(device, non_blocking=True), places[1].to(device, non_blocking=True)

    def keep(self, posts: Sequence[int], vectors: Tensor) -> None:
        """Keeps the first view of some posts, (B, W, H)."""
        if self.first is None:
            self.first = vectors.new_empty((int(self.words.sum()), vectors.shape[2]), dtype=torch.float32)
        place, slot = self._places(posts, vectors.shape[1], vectors.device)
        self.first[place] = vectors.flatten(0, 1)[slot].float()

    def compare(self, posts: Sequence[int], vectors: Tensor) -> None:
        """Compares the second view of some posts, (B, W, H), with the first, which is kept of all posts by now."""
        assert self.first is not None
        if self.distances is None:
            self.distances = self.first.new_empty(len(self.first))
        place, slot = self._places(posts, vectors.shape[1], vectors.device)
        self.distances[place] = (vectors.flatten(0, 1)[slot].float() - self.first[place]).norm(dim=1)

    def mean(self) -> float:
        """The mean over all words; asked for when both views were read."""
        assert self.distances is not None
        return float(self.distances.double().mean())
