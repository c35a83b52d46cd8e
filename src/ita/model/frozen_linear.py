"""Matrix products with weights that do not change, by oneDNN where torch has it: in fp32, bf16 or int8.

oneDNN reads weights in an order of its own, into which they are brought once. The operators are those that torch's
compiler puts in the place of linear layers; where this torch has none, or none in bf16 for this processor, its ordinary
linear layer is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.errors import UserError
from ita.model.device import cpu_has_vnni

Precision = Literal["fp32", "bf16", "int8"]
"""Arithmetic of the products: fp32; bf16, fast on CPUs with AVX-512 BF16 or AMX; int8, fast on CPUs with VNNI."""
FUSED = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
"""Activations that a product can apply itself -> how it computes them."""
TYPICAL_ROWS = 256
"""Rows of the inputs for which weights are arranged; any other number works."""
WEIGHT_LIMIT, NARROW_WEIGHT_LIMIT = 127, 63
"""Largest int8 weight. CPUs without VNNI add two products of 8 bits in 16: with 7 bits of weight nothing overflows."""
VALUE_ZERO, VALUE_LIMIT = 128, 127
"""What stands for 0 among the 8-bit values of an input, and how far they go from there."""
SMALLEST_ROW = 1e-20
"""Least largest value of a row: a row of zeros has a scale, too."""


class Products(Protocol):
    """Makes a product of weight (G, F) and bias (G,)."""

    def __call__(self, weight: Tensor, bias: Tensor, activation: str | None = None) -> nn.Module:
        """``activation`` is applied to the result: a name of ``ita.model.bert.ACTIVATIONS``."""
        ...


def products(precision: Precision) -> Products:
    """The products of a precision.

    Raises:
        UserError: where this torch has none in 8 bits.
    """
    if precision == "int8":
        if not has_int8():
            raise UserError("int8: this build of torch has no oneDNN with 8-bit products; leave out quantize")
        return Int8Product
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    kind: Callable[..., nn.Module] = PackedProduct if has_packed(dtype) else PlainProduct
    return lambda weight, bias, activation=None: kind(weight.to(dtype), bias.to(dtype), activation)


def has_packed(dtype: torch.dtype) -> bool:
    """Whether torch has oneDNN's products with weights in its order, and oneDNN has them for this processor."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype is not torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_int8() -> bool:
    """Whether torch has oneDNN's products in 8 bits."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")


class PlainProduct(nn.Module):
    """torch's linear layer."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: str | None = None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.activation = activations()[activation] if activation else None

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(n, F) -> (n, G), plus a residual (n, G)."""
        y = functional.linear(x, self.weight, self.bias)
        if self.activation is not None:
            y = self.activation(y)
        return y if residual is None else y.add_(residual)


class PackedProduct(nn.Module):
    """The same by oneDNN, in fp32 or bf16."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: str | None = None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), TYPICAL_ROWS)
        self.bias = bias.clone()
        self.fused = ("gelu", FUSED[activation]) if activation in FUSED else ("none", "")
        self.activation = activations()[activation] if activation and activation not in FUSED else None

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """See :class:`PlainProduct`."""
        if residual is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add")
        name, algorithm = self.fused
        y = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], algorithm)
        return y if self.activation is None else self.activation(y)


class Int8Product(nn.Module):
    """The same in 8 bits: a scale for each output, and one for each row of the input, measured when it is read.

    As in exported graphs (``ita.model.export``), a row never depends on the rows beside it.
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: str | None = None) -> None:
        super().__init__()
        limit = WEIGHT_LIMIT if cpu_has_vnni() else NARROW_WEIGHT_LIMIT
        self.scale = weight.abs().amax(1).clamp_(min=SMALLEST_ROW).div_(limit)
        values = (weight / self.scale.unsqueeze(1)).round_().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(values, [TYPICAL_ROWS, weight.shape[1]])
        self.zero = torch.zeros(len(weight), dtype=torch.int64)
        self.bias = bias.clone()
        self.activation = activations()[activation] if activation else None

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """See :class:`PlainProduct`."""
        largest = x.abs().amax(1, keepdim=True).clamp_(min=SMALLEST_ROW)
        # From 0 to 255, as oneDNN wants it; torch's conversion to unsigned bytes takes eight times as long.
        values = torch.mul(x, VALUE_LIMIT / largest).round_().to(torch.int8).bitwise_xor_(-VALUE_ZERO).view(torch.uint8)
        y = torch.ops.onednn.qlinear_pointwise(
            values, 1.0, VALUE_ZERO, self.weight, self.scale, self.zero, None, 1.0, 0, torch.float32, "none", [], ""
        )
        y = torch.addcmul(self.bias, y, largest.div_(VALUE_LIMIT), out=y)
        if self.activation is not None:
            y = self.activation(y)
        return y if residual is None else y.add_(residual)


def activations() -> dict[str, Callable[[Tensor], Tensor]]:
    """Activations by name."""
    from ita.model.bert import ACTIVATIONS

    return ACTIVATIONS
