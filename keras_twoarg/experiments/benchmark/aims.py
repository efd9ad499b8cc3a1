"""The package's aims for speed, and how far a measurement by `twoarg bench` reached them."""

from collections.abc import Iterator
from typing import NamedTuple

from keras_twoarg.utils.types import JsonObject

Path = tuple[str, ...]
"""The keys of a time in the file: part, network, and so on, down to the task."""


class Aim(NamedTuple):
    """An upper limit for the ratio of one of our times to another time.

    Attributes:
        what: What is timed.
        ours: The keys of our time.
        base: The keys of the time that it is compared with.
        base_name: What that time is of.
        most: The largest ratio that meets the aim.
        backend: The backend that the aim is for.
    """

    what: str
    ours: Path
    base: Path
    base_name: str
    most: float
    backend: str = "tensorflow"


class Reached(NamedTuple):
    """An aim and what was measured.

    Attributes:
        aim: The aim.
        ratio: Our median over the other one.
        swiglu: SwiGLU's median over the other one, if measured: no two-argument unit can be much faster.
    """

    aim: Aim
    ratio: float
    swiglu: float | None


def _step(name: str, label: str, most: float, backend: str = "tensorflow") -> Aim:
    ours, base = (("networks", name, units, "training_step") for units in ("interpolated", "relu"))
    return Aim(f"training step, {label}", ours, base, "relu", most, backend)


def _predict(name: str, label: str, base_name: str, most: float) -> Aim:
    ours, base = (("networks", name, units, "predict") for units in ("interpolated", base_name))
    return Aim(f"predict, {label}", ours, base, base_name, most)


def _export(runtime: str, name: str, label: str, most: float) -> Aim:
    ours, base = (("exports", name, runtime, units) for units in ("baked", "relu"))
    return Aim(f"baked, {runtime}, {label}", ours, base, "relu", most)


def _first_step(name: str, label: str, units: str, base_name: str) -> Aim:
    ours, base = (("first_step", name, each, "first_step") for each in ("auto", units))
    return Aim(f"first step, {label}", ours, base, base_name, 2.0)


MLP, CNN, HALF = "MLP 28x28x1", "CNN 32x32x3", "CNN 32x32x3, half width"
AIMS = (
    _step("cnn32", CNN, 1.25),
    _step("mlp28", MLP, 1.25),
    _step("mlp28", MLP, 1.4, "jax"),
    _step("cnn32-half", HALF, 1.3, "jax"),
    _step("mlp28", MLP, 1.6, "torch"),
    _step("cnn32-half", HALF, 1.8, "torch"),
    _predict("cnn32", CNN, "swiglu", 1.05),
    _predict("mlp28", MLP, "relu", 1.1),
    Aim(
        f"one sample, {MLP}",
        ("one_sample", "mlp28", "auto", "predict"),
        ("one_sample", "mlp28", "exact", "predict"),
        "exact phi",
        1.0,
    ),
    _export("tf.saved_model, compiled", "cnn32", CNN, 1.25),
    _export("tf.saved_model", "cnn32", CNN, 2.2),
    _export("ONNX Runtime", "cnn32", CNN, 2.0),
    _export("ONNX Runtime", "mlp28", MLP, 1.3),
    _export("LiteRT", "cnn32", CNN, 2.5),
    _export("LiteRT", "mlp28", MLP, 1.5),
    Aim(
        f"fit from tf.data, a step, {HALF}",
        ("epoch", "cnn32-half", "auto", "fit"),
        ("epoch", "cnn32-half", "auto", "training_step"),
        "its step alone",
        1.03,
    ),
    _first_step("cnn32", CNN, "relu", "relu"),
    _first_step("mobilenet", "MobileNetV3Small converted", "fixed", "unconverted"),
)


def reached(measured: JsonObject) -> Iterator[Reached]:
    """Yield each aim for which a file of `twoarg bench` has both times."""
    backend = measured.get("machine", {}).get("backend")
    for aim in AIMS:
        ours, base = _median(measured, aim.ours), _median(measured, aim.base)
        if aim.backend == backend and ours and base:
            swiglu = _median(measured, tuple("swiglu" if part == aim.base_name else part for part in aim.base))
            yield Reached(aim, ours / base, swiglu / base if swiglu and aim.base_name == "relu" else None)


def _median(measured: JsonObject, path: Path) -> float | None:
    found = measured
    for part in path:
        found = found.get(part, {})
    return found.get("median")
