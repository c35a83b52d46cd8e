"""Nodes and constants of an ONNX graph while it is being built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

WEIGHT_LIMIT = 63
"""Largest int8 weight. CPUs without VNNI add two products of 8 bits in 16: with 7 bits of weight nothing overflows, and
every CPU computes the same."""
VALUE_ZERO, VALUE_LIMIT = 128, 127
"""What stands for 0 among the unsigned 8-bit values of a layer's input, and how far they go from there."""
INLINE, ALIGNMENT = 1024, 64
"""Arrays of up to so many bytes always lie in the graph; where others begin in a file of their own."""
SMALLEST_ROW = 1e-20
"""Least largest value of a row: a row of zeros has a scale, too."""
TYPES = {"float": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL, "double": TensorProto.DOUBLE}


class Graph:
    """Collects nodes, each of which gets a name of its own for its outputs.

    Args:
        prefix: starts all names; differs between a graph and the bodies of its loops.
        int8: matrix products with weights are computed in 8 bits.
    """

    def __init__(self, prefix: str = "", int8: bool = False) -> None:
        self.prefix = prefix
        self.int8 = int8
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, NDArray[Any]] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self, stem: str) -> str:
        """A new name."""
        return f"{self.prefix}{stem}_{len(self.nodes) + len(self.arrays)}"

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output, whose name is returned."""
        return self.add_many(operator, 1, *inputs, **attributes)[0]

    def add_many(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """A node with several outputs."""
        stem = self.name(operator)
        names = [stem] if outputs == 1 else [f"{stem}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=stem, **attributes))
        return names

    def rename(self, value: str, name: str) -> None:
        """Gives a value the name of an output."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"{self.prefix}{name}_out"))

    def weight(self, array: NDArray[Any], stem: str = "weight") -> str:
        """An array that is part of the model."""
        name = self.name(stem)
        self.arrays[name] = np.ascontiguousarray(array)
        return name

    def ints(self, *values: int) -> str:
        """A vector of integers, such as axes or a shape; kept once."""
        return self._constant(np.array(values, np.int64))

    def scalar(self, value: float, dtype: type = np.float32) -> str:
        """A number; kept once."""
        return self._constant(np.array(value, dtype))

    def _constant(self, array: NDArray[Any]) -> str:
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight(array, "constant")
        return self._constants[key]

    def cast(self, value: str, dtype: str) -> str:
        """A value as another type."""
        return self.add("Cast", value, to=TYPES[dtype])

    def size(self, value: str, axis: int) -> str:
        """Length (1,) of an axis."""
        return self.add("Shape", value, start=axis, end=axis + 1)

    def shape(self, *sizes: str | int) -> str:
        """A shape of known lengths and lengths (1,) that ``size`` gave."""
        parts = [self.ints(size) if isinstance(size, int) else size for size in sizes]
        return self.add("Concat", *parts, axis=0)

    def linear(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32], exact: bool = False) -> str:
        """x W' + b for x (N, F), weight (G, F) and bias (G,); in 8 bits where the graph is, unless ``exact``."""
        if self.int8 and not exact:
            product = self._int8_product(x, weight)
        else:
            product = self.add("MatMul", x, self.weight(weight.T))
        return self.add("Add", product, self.weight(bias))

    def _int8_product(self, x: str, weight: NDArray[np.float32]) -> str:
        """The same product, with a scale for each row of x and one for each output.

        A scale of all rows together, as ``DynamicQuantizeLinear`` takes it, is set by the largest value of any subword
        in the batch: coarser, and the answer for a post would depend on the other posts.
        """
        weight_scale = (np.maximum(np.abs(weight).max(1), SMALLEST_ROW) / WEIGHT_LIMIT).astype(np.float32)
        weight_int8 = np.rint(weight / weight_scale[:, None]).astype(np.int8)
        largest = self.add(
            "Max", self.add("ReduceMax", self.add("Abs", x), self.ints(1), keepdims=0), self.scalar(SMALLEST_ROW)
        )
        scale = self.add("Div", largest, self.scalar(VALUE_LIMIT))
        zero = self.scalar(VALUE_ZERO, np.uint8)
        x_int8 = self.add("QuantizeLinear", x, scale, self.add("Expand", zero, self.add("Shape", scale)), axis=0)
        weight_zero = self.weight(np.zeros(len(weight), np.int8))
        product = self.cast(self.add("MatMulInteger", x_int8, self.weight(weight_int8.T), zero, weight_zero), "float")
        # The product of both scales is not taken first: ONNX Runtime would fuse it, and read one scale for all rows.
        product = self.add("Mul", product, self.weight(weight_scale))
        return self.add("Mul", product, self.add("Unsqueeze", scale, self.ints(1)))

    def proto(
        self,
        name: str,
        inputs: Sequence[ValueInfoProto],
        outputs: Sequence[ValueInfoProto],
        data: tuple[BinaryIO, str] | None = None,
    ) -> GraphProto:
        """The finished graph.

        Args:
            name: of the graph.
            inputs: what it reads.
            outputs: what it computes.
            data: a file for large arrays, and the name by which the graph refers to it; None keeps them in the graph.
        """
        tensors = [
            external_tensor(name, array, *data)
            if data and array.nbytes > INLINE
            else numpy_helper.from_array(array, name)
            for name, array in self.arrays.items()
        ]
        return helper.make_graph(self.nodes, name, list(inputs), list(outputs), tensors)


def external_tensor(name: str, array: NDArray[Any], file: BinaryIO, location: str) -> TensorProto:
    """An array whose values are written to the end of a file."""
    file.write(bytes(-file.tell() % ALIGNMENT))
    external_data = {"location": location, "offset": file.tell(), "length": array.nbytes}
    tensor = TensorProto(name=name, dims=array.shape, data_location=TensorProto.EXTERNAL)
    tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    for key, content in external_data.items():
        tensor.external_data.add(key=key, value=str(content))
    file.write(array.data)
    return tensor


def value(name: str, dtype: str, *shape: str | int) -> ValueInfoProto:
    """Description of an input or output; a length that varies has a name."""
    return helper.make_tensor_value_info(name, TYPES[dtype], list(shape))
