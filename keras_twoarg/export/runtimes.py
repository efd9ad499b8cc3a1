"""Load an export in its own runtime, without Keras, as a function from inputs to outputs.

Run as a program by `twoarg serve-check`, with the arguments `PATH FORMAT IN.npz OUT.npz [compiled]`, it does so in a
process that can import neither Keras nor this package, and measures it.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]
Measured = dict[str, Any]
COMPILED = "serving_compiled"
"""Name of the signature of a SavedModel that XLA compiles, beside the portable `serving_default`."""
LARGEST, LONGEST = 1000, 2.0
"""The most samples, and about the most seconds, of a batch whose throughput is measured."""


@dataclass(frozen=True)
class Format:
    """An export format: everything that differs between formats except how they are written.

    Attributes:
        ending: Ending of its files; empty for a folder, whose versions, such as `1`, servers look for.
        runtime: Name of the runtime that runs it.
        load: Function that loads an export, given its path and whether to use the compiled signature.
        writer: Packages to `pip install` for writing it.
        reader: Packages to `pip install` for running it.
        second_file: Ending of a second file that belongs to it, or empty.
        not_run: Precisions in which its runtime does not compute.
    """

    ending: str
    runtime: str
    load: Callable[[str, bool], Run]
    writer: str
    reader: str
    second_file: str = ""
    not_run: tuple[str, ...] = ()


def load(path: str | os.PathLike[str], format: str, *, compiled: bool = False) -> Run:
    """Load an export in its runtime.

    Args:
        path: An export that `formats.export` has written.
        format: The format it was written in.
        compiled: Whether to run the signature `serving_compiled` of a SavedModel, which XLA compiles. Defaults to
            `False`.

    Returns:
        A function from a batch of inputs to outputs, for models with one input and one output.

    Raises:
        ValueError: If there is no such export at the path, or it lacks the compiled signature.
        ImportError: If the runtime is not installed.
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {tuple(FORMATS)}. Received: format={format!r}")
    if not os.path.exists(path):
        raise ValueError(f"There is no export at {path}")
    if compiled and not has_compiled(path, format):
        raise ValueError(f"{path} has no signature {COMPILED!r}. Export the model again on the TensorFlow backend")
    try:
        return FORMATS[format].load(str(path), compiled)
    except ImportError as error:
        raise ImportError(
            f"Running the export needs a missing package ({error}): pip install {FORMATS[format].reader}"
        ) from error
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} is not a readable export in the format {format!r}: {error}") from error


def has_compiled(path: str | os.PathLike[str], format: str) -> bool:
    """Return whether an export has a signature that XLA compiles."""
    graph = os.path.join(path, "saved_model.pb")
    if format != "tf_saved_model" or not os.path.isfile(graph):
        return False
    with open(graph, "rb") as opened:
        return COMPILED.encode() in opened.read()  # the file contains the name of each signature


def _tensorflow(path: str, compiled: bool) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    name = COMPILED if compiled else "serve"

    def run(x: np.ndarray) -> np.ndarray:
        outputs = getattr(loaded, name)(tf.convert_to_tensor(x))
        return np.asarray(next(iter(outputs.values())) if isinstance(outputs, dict) else outputs)

    return run


def _onnx_runtime(path: str, _: bool) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x})[0])


def _openvino(path: str, _: bool) -> Run:
    import openvino

    # Without the hint OpenVINO uses half precision on processors that support it.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: np.asarray(compiled(x)[0])


def _litert(path: str, _: bool) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=_cores())
    input_index, output_index = (
        interpreter.get_input_details()[0]["index"],
        interpreter.get_output_details()[0]["index"],
    )
    allocated: list[tuple[int, ...] | None] = [None]

    def run(x: np.ndarray) -> np.ndarray:
        if allocated[0] != x.shape:
            interpreter.resize_tensor_input(input_index, x.shape)
            interpreter.allocate_tensors()
            allocated[0] = x.shape
        interpreter.set_tensor(input_index, x)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(output_index))

    return run


def _cores() -> int | None:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


FORMATS = {
    "tf_saved_model": Format(
        "", "tf.saved_model", _tensorflow, "'keras_twoarg[tensorflow-cpu]'", "'keras_twoarg[tensorflow-cpu]'"
    ),
    "onnx": Format(".onnx", "ONNX Runtime", _onnx_runtime, "tf2onnx onnx", "onnxruntime", not_run=("bfloat16",)),
    "openvino": Format(".xml", "OpenVINO", _openvino, "openvino", "openvino", ".bin", ("bfloat16",)),
    "litert": Format(".tflite", "LiteRT", _litert, "tensorflow-cpu", "ai-edge-litert", not_run=("float16", "bfloat16")),
}
"""All formats by name."""


def measure(run: Run, x: np.ndarray, seconds: float = 1.0) -> Iterator[Measured]:
    """Yield what is known so far of a function, for someone who may lose patience: its outputs, then its times.

    Outputs are those for the inputs, and for batches of 0, 1 and 37 samples, and of as many as take about `LONGEST`
    seconds, at most `LARGEST`; or the reason why a batch was refused. Latency is the median time of a batch of 1,
    throughput samples per second in the last batch. What was refused is not timed.
    """
    arrays: Measured = {"outputs": run(x)}  # and strings, which NumPy can write too
    batch = int(np.clip(LONGEST * len(x) / _time(run, x), 1, LARGEST))
    for size in (1, 37, 0):
        _try(run, x, size, arrays)
    yield arrays
    if "batch_1" in arrays:
        arrays["latency"] = np.array(_median_time(run, x[:1], seconds))
        yield arrays
    samples, arrays["largest"] = _try(run, x, batch, arrays), np.array(batch)
    yield arrays
    if f"batch_{batch}" in arrays:
        arrays["throughput"] = np.array(batch / _median_time(run, samples, seconds))
        yield arrays


def _try(run: Run, x: np.ndarray, size: int, arrays: Measured) -> np.ndarray:
    """Add the outputs for a batch of this size, or the reason why it was refused; return the batch."""
    samples = np.resize(x, (size, *x.shape[1:]))
    try:
        arrays[f"batch_{size}"] = run(samples)
    except Exception as error:  # a refusal is a result, whatever the runtime's error
        arrays[f"refused_{size}"] = str(error).strip().partition("\n")[0]
    return samples


def _median_time(run: Run, x: np.ndarray, seconds: float) -> float:
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        times.append(_time(run, x))
    return float(np.median(times))


def _time(run: Run, x: np.ndarray) -> float:
    start = time.perf_counter()
    run(x)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.modules.update({"keras": None, "keras_twoarg": None})  # type: ignore[dict-item]  # importing them now fails
    _path, _format, _given, _found, *_compiled = sys.argv[1:]
    for _arrays in measure(load(_path, _format, compiled=bool(_compiled)), np.load(_given)["inputs"]):
        np.savez(f"{_found}-new.npz", **_arrays)
        os.replace(f"{_found}-new.npz", _found)
