"""What the CRF asks of an engine: the four loops over words, on one kind of device."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class Potentials(NamedTuple):
    """Log-potentials of the posts of a batch."""

    emissions: Tensor
    """(B, W, K)."""
    transitions: Tensor
    """(K, K), (from, to)."""
    start: Tensor
    """(K,)."""
    end: Tensor
    """(K,)."""


class ForwardBackward(Protocol):
    """The forward and, on request, the backward recursion."""

    def __call__(
        self, potentials: Potentials, lengths: Tensor, tags: Tensor | None, need_backward: bool
    ) -> tuple[Tensor, Tensor]:
        """Messages and log Z.

        Args:
            potentials: of the posts.
            lengths: (B,).
            tags: gold tags (B, W), or None.
            need_backward: also compute log beta.

        Returns:
            Messages (2, B, W, K), or (1, B, W, K) without the backward recursion: log alpha, the log-sum over all paths
            from the start to a tag, and log beta, that from the tag to the end. Neither includes the tag's emission,
            and both are up to a constant per word, which keeps fp32 exact in long posts. Then (B,): log Z, or
            -log p(tags) where tags are given.
        """
        ...


class LogMarginals(Protocol):
    """Marginals of single words."""

    def __call__(self, emissions: Tensor, messages: Tensor, lengths: Tensor) -> Tensor:
        """log p(y_t = k | w) (B, W, K) from the messages of both directions; 0 in padding."""
        ...


class VectorJacobianProduct(Protocol):
    """The gradient of all that the recursions compute."""

    def __call__(
        self,
        potentials: Potentials,
        messages: Tensor,
        lengths: Tensor,
        tags: Tensor | None,
        grad_value: Tensor,
        grad_log_marginals: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient of sum(grad_value * value) + sum(grad_log_marginals * log_marginals).

        The Jacobian of the marginals is the Hessian of log Z, hence symmetric: its product with a vector is a
        derivative along that vector. Written for log marginals, it moves the vector as a (signed) measure along the
        chain, forward by p(y_{t+1} | y_t) and backward by p(y_t | y_{t+1}). All factors are probabilities, so nothing
        is divided by a small marginal. Log Z itself is the measure (grad_value - sum of grad_log_marginals) * p(y_1),
        moved forward.

        Args:
            potentials: of the posts.
            messages: of both directions, from the forward-backward recursion.
            lengths: (B,).
            tags: gold tags (B, W), if the value was -log p(tags).
            grad_value: (B,).
            grad_log_marginals: (B, W, K), or None for zero.

        Returns:
            Gradients of emissions (B, W, K); of transitions, post by post (B, K, K); of start and end (2, B, K).
        """
        ...


class Viterbi(Protocol):
    """The best path."""

    def __call__(self, potentials: Potentials, lengths: Tensor) -> Tensor:
        """Tags (B, W) of the best path; 0 in padding."""
        ...


class Engine(NamedTuple):
    """One implementation of the four."""

    forward_backward: ForwardBackward
    log_marginals: LogMarginals
    vjp: VectorJacobianProduct
    viterbi: Viterbi
