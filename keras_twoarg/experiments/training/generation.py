"""Text generation, character by character."""

from pathlib import Path

import keras
import numpy as np

from keras_twoarg.experiments.training import networks
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.sessions import SEEDS
from keras_twoarg.experiments.training.stages import Stage
from keras_twoarg.experiments.training.text import Text
from keras_twoarg.utils import files
from keras_twoarg.utils.types import Model


def generate(
    model: Model, text: Text, start: str, *, length: int = 200, temperature: float = 0.8, seed: int = 0
) -> str:
    """Continue a text.

    Args:
        model: A causal network from `(batch, context)` tokens to logits, such as `models.transformer`.
        text: The text it was trained on.
        start: The beginning of the text, at least one character.
        length: Number of characters to generate. Defaults to `200`.
        temperature: Divisor of the logits; lower values favour likely characters. Defaults to `0.8`.
        seed: Seed of the draws. Defaults to `0`.

    Returns:
        The start and the generated characters.

    Raises:
        ValueError: If the start is empty or has characters that are not in the text, or if the model is for another
            number of characters.
    """
    if not start or length < 0 or not temperature > 0:
        raise ValueError(
            "Expected a `start` of at least one character, a `length` from 0 and a `temperature` above 0. "
            f"Received: start={start!r}, length={length}, temperature={temperature}"
        )
    if model.output_shape[-1] != len(text.characters):
        raise ValueError(
            f"Expected a model for the {len(text.characters)} characters of {text.name!r}. "
            f"Received: {model.name!r} for {model.output_shape[-1]}"
        )
    tokens, context, rng = list(text.encode(start)), model.input_shape[1], np.random.default_rng(seed)
    for _ in range(length):
        recent = tokens[-context:]
        padded = np.zeros((1, context), "int32")  # the network is causal: padding has no effect
        padded[0, : len(recent)] = recent
        logits = model.predict_on_batch(padded)[0, len(recent) - 1] / temperature
        probabilities = np.exp(logits - logits.max(), dtype="float64")
        tokens.append(rng.choice(len(logits), p=probabilities / probabilities.sum()))
    return text.decode(np.array(tokens))


def before_and_after(folder: Path, text: Text, *, length: int = 200) -> tuple[str, str]:
    """Return the continuations of the same start by a run's network before and after its joint stage.

    Args:
        folder: Folder of a run on the text.
        text: The text.
        length: Number of characters to generate. Defaults to `200`.
    """
    settings = files.read_json(folder / "run.json")
    known = Configuration().to_dict()
    configuration = Configuration(**{name: settings[name] for name in known if name in settings})
    shape, seed = (configuration.context,), 10 * configuration.seed + SEEDS[Stage.JOINT]
    widths = settings["widths"]
    untrained = networks.build_network(configuration, shape, len(text.characters), widths, None, seed)
    trained = keras.models.load_model(folder / "joint.keras", compile=False)
    start = text.decode(text.test[: configuration.context])
    before, after = (generate(model, text, start, length=length) for model in (untrained, trained))
    return before[len(start) :], after[len(start) :]
