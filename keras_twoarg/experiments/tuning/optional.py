"""KerasTuner, or how to install it."""

try:
    import keras_tuner
    import tensorboard  # noqa: F401  KerasTuner needs it in every trial, and does not say so
    from keras_tuner.src.engine import conditions
except ImportError as error:
    raise ImportError("Searches need KerasTuner: pip install 'keras_twoarg[tuner]'") from error

# KerasTuner 1.4.8 prints the choices of a condition whenever one comes from another process.
vars(conditions)["print"] = lambda *values: None

__all__ = ["keras_tuner"]
