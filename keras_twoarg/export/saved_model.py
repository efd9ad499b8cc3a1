"""Write a SavedModel from TensorFlow, with one set of weights and two signatures.

`serving_default`, which Keras calls `serve`, consists of portable operations that any runtime for SavedModels can
serve. `serving_compiled` is the same function, which XLA compiles as a whole for each new shape, for runtimes with XLA.
"""

from pathlib import Path

import keras

from keras_twoarg.export.calibration import concrete
from keras_twoarg.export.runtimes import COMPILED
from keras_twoarg.layers.baked_activation import looking_up_with
from keras_twoarg.ops.look_up import look_up_in_parts
from keras_twoarg.ops.xla import compiled_as_a_whole
from keras_twoarg.utils.keras_internals import input_signature
from keras_twoarg.utils.types import Function, Model


def write(model: Model, path: Path) -> str:
    """Write a model like `model.export(path)`, with a second signature if XLA can compile it.

    Args:
        model: A built Keras model, on TensorFlow.
        path: A folder that does not exist yet.

    Returns:
        The reason why the second signature is missing, in one line; empty if it exists.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", _in_parts(model), input_signature(model))
    for name in ("variables", "trainable_variables", "non_trainable_variables"):
        # TensorFlow's variables, which the functions hold too; Keras' would be stored a second time.
        archive.add_variable_collection(name, [variable.value for variable in getattr(model, name)])
    problem = ""
    try:
        compiled = _compiled(model)
    except Exception as error:  # whatever XLA or a layer does not support; the export is complete without it
        problem = " ".join((str(error) or type(error).__name__).split())[:200]
    else:
        archive.add_endpoint(COMPILED, compiled)
    archive.write_out(str(path), verbose=False)
    return problem


def _in_parts(model: Model) -> Function:
    """Return a model as a function with baked look-ups that are fast without a compiler."""

    def forward(*inputs: object) -> object:
        with looking_up_with(look_up_in_parts):
            return model(*inputs)

    return forward


def _compiled(model: Model) -> Function:
    """Return a model as a function that XLA compiles, traced for any batch size and run once."""
    import tensorflow as tf

    specs = keras.tree.map_structure(
        lambda spec: tf.TensorSpec(spec.shape, spec.dtype, spec.name), input_signature(model)
    )

    @tf.function(input_signature=specs, jit_compile=True, autograph=False)
    def forward(*inputs: object) -> object:
        # The portable look-up is fastest here too: XLA gathers rows of the table faster than single numbers.
        with compiled_as_a_whole():
            return model(*inputs)

    if any(tensor.dtype == tf.string for tensor in forward.get_concrete_function().inputs):
        raise TypeError("it takes strings")  # which make XLA abort the process
    forward(*keras.tree.map_structure(lambda spec: tf.zeros(concrete(spec.shape), spec.dtype), specs))
    return forward
