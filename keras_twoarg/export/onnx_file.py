"""Check an ONNX file, and rewrite its look-ups as the operation that ONNX Runtime runs fastest."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def check_inputs(path: Path, number: int) -> None:
    """Raise a ValueError if a file has more inputs than its model, as it has for what could not be converted."""
    import onnx

    inputs = onnx.load(path).graph.input
    if len(inputs) > number:
        raise ValueError(
            f"A layer holds a tensor that could not be converted to ONNX, {inputs[-1].name}. Make it a weight or a "
            "NumPy array of the layer, or export a SavedModel"
        )


def gather_numbers(path: Path) -> None:
    """Turn each `Gather` from a vector at a vector of indices into the equivalent `GatherElements`.

    Both compute `y[i] = x[index[i]]`. On a CPU, ONNX Runtime's `Gather` copies a block of memory per index, which for
    single numbers takes several times as long as the loop of `GatherElements`.

    Examples:
        >>> formats.export(models.mlp((28, 28, 1), classes=10), "exported/digits.onnx", "onnx", baked=True)
        >>> import onnx
        >>> nodes = onnx.load("exported/digits.onnx").graph.node
        >>> sum(node.op_type == "GatherElements" for node in nodes)  # three places, four coefficients each
        12
    """
    import onnx

    model = onnx.load(path)
    ranks = _ranks(model)
    changed = 0
    for node in model.graph.node:
        if node.op_type == "Gather" and [ranks.get(name) for name in node.input] == [1, 1]:
            node.op_type, changed = "GatherElements", changed + 1
    if changed:
        onnx.save(model, path)


def _ranks(model: "onnx.ModelProto") -> dict[str, int]:
    """Return the ranks of all tensors whose rank is known."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values if _has_shape(value)}
    return ranks | {tensor.name: len(tensor.dims) for tensor in graph.initializer}


def _has_shape(value: "onnx.ValueInfoProto") -> bool:
    return bool(value.type.tensor_type.HasField("shape"))
