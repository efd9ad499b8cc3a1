"""Which of a model's metrics can be compared: one number each, of which it is known whether more is better."""

import keras

from keras_twoarg.utils.keras_internals import metric_directions
from keras_twoarg.utils.types import Model

_MORE = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "io_u", "r2", "similarity", "correlation")
_LESS = ("loss", "error", "mse", "mae", "rmse", "mape", "msle", "entropy", "hinge", "divergence", "perplexity")


def more_is_better(name: str) -> bool | None:
    """Tell by a metric's name whether more of it is better, or return None if the name does not say."""
    more, less = (any(part in name.lower() for part in parts) for parts in (_MORE, _LESS))
    return None if more == less else more


def comparable(network: Model) -> dict[str, bool]:
    """Return the metrics of a network that was evaluated, in the order of `compile`: whether more of each is better.

    Metrics of which neither Keras nor their name says so are left out.

    Raises:
        ValueError: If a metric is not one number.
    """
    found = {}
    directions = metric_directions(network)
    for key, value in network.get_metrics_result().items():
        numbers = int(keras.ops.size(value))
        if numbers != 1:
            raise ValueError(
                f"The metric {key!r} is {numbers} numbers, and `compare` needs one. Compile the model with an average, "
                'such as F1Score(average="macro"), or without this metric'
            )
        if key.endswith("loss"):
            continue
        by_name = more_is_better(key)
        # Of several outputs, keys begin with the output's name.
        known = [up for name, up in directions.items() if key == name or key.endswith(f"_{name}")]
        better = known[0] if known else by_name
        if better is not None:
            found[key] = better
    return found
