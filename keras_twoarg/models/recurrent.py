"""The outer recurrent network for sequences of tokens, for every arm that has a cell."""

from collections.abc import Sequence

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.pair_activation import FUNCTIONS
from keras_twoarg.layers.pair_rnn_cell import PairRNNCell
from keras_twoarg.layers.two_arg_rnn_cell import TwoArgRNNCell
from keras_twoarg.models import blocks
from keras_twoarg.models.structure import SEQUENCE_WIDTH
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.types import Layer, Model

_LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def recurrent(
    input_shape: Sequence[int],
    classes: int,
    arm: str = "two_arg",
    widths: Sequence[int] = (256,),
    inner: InnerNetwork | None = None,
    dropout: float = 0.0,
    *,
    sequence_width: int = SEQUENCE_WIDTH,
    arguments: str = "separate",
    evaluation: str | Interpolation = "auto",
    seed: int | None = None,
    name: str | None = None,
) -> Model:
    """Return a recurrent network that predicts the next token at each position, as a `keras.Sequential`.

    An embedding; for each width a recurrent layer -> dropout; then a linear layer.

    Args:
        input_shape: `(context,)`, the length of a sequence.
        classes: Number of tokens.
        arm: `"two_arg"`, `"one_arg"` or `"quadratic"` (a `TwoArgRNNCell`), a fixed function of two arguments such as
            `"swiglu"` (a `PairRNNCell`), a Keras activation such as `"tanh"` (a `SimpleRNNCell`), `"lstm"` or `"gru"`.
            Defaults to `"two_arg"`.
        widths: Units of each recurrent layer. Defaults to `(256,)`.
        inner: The inner network that all units share, for arms that have one. Defaults to a new one.
        dropout: Dropout rate after each recurrent layer. Defaults to `0.0`.
        sequence_width: Width of a token's vector. Defaults to `96`.
        arguments: As in `TwoArgRNNCell`, for arms with two arguments. Defaults to `"separate"`.
        evaluation: How phi is evaluated (see `TwoArgActivation`). Defaults to `"auto"`.
        seed: Seed of the initial weights and of dropout. Defaults to `None`: a random one.
        name: Name of the model.

    Returns:
        A built `keras.Sequential`, not compiled: from `(batch, context)` integers to logits over the next token at each
        position, `(batch, context, classes)`.

    Examples:
        >>> model = models.recurrent((64,), classes=68)
        >>> model.output_shape
        (None, 64, 68)
        >>> models.widths_for_budget("lstm", model.count_params(), (1,), (64,), 68, architecture="recurrent")
        (120,)

    Raises:
        ValueError: If the arm has no recurrent cell or does not fit `inner`, or a size is out of range.
    """
    context = blocks.check_context(input_shape)
    widths = blocks.check_sizes(widths, classes, dropout, context=context, sequence_width=sequence_width)
    check_arm(arm)
    inner = None if arm in blocks.GATED else blocks.inner_for(arm, inner, seed)
    layers = [
        keras.Input((context,), dtype="int32", name="tokens"),
        keras.layers.Embedding(classes, sequence_width, embeddings_initializer=blocks.glorot(seed, 0)),
    ]
    for i, width in enumerate(widths, start=1):
        layers += [_layer(arm, width, inner, arguments, evaluation, seed, i), blocks.dropout(dropout, seed, i)]
    logits = keras.layers.Dense(classes, kernel_initializer=blocks.glorot(seed, 1), name="logits")
    return keras.Sequential([*layers, logits], name=name)


def check_arm(arm: str) -> None:
    """Raise a ValueError unless an arm has a recurrent cell."""
    own = (*blocks.ARMS, *FUNCTIONS, *blocks.GATED)
    if arm not in (*own, *blocks.fixed_arms()):
        raise ValueError(
            f"`arm` of a recurrent network must be one of {own} or the name of a Keras "
            f"activation such as 'tanh'. Received: arm={arm!r}"
        )


def _layer(
    arm: str,
    width: int,
    inner: InnerNetwork | None,
    arguments: str,
    evaluation: str | Interpolation,
    seed: int | None,
    index: int,
) -> Layer:
    orthogonal = keras.initializers.Orthogonal(seed=blocks.seed_of(seed, 100 + index))
    weights = {"kernel_initializer": blocks.glorot(seed, 10 + index), "recurrent_initializer": orthogonal}
    if arm in _LAYERS:
        return _LAYERS[arm](width, return_sequences=True, **weights)
    if arm in FUNCTIONS:
        cell: Layer = PairRNNCell(width, arm, arguments, **weights)
    elif inner is None:
        cell = keras.layers.SimpleRNNCell(width, activation=arm, **weights)
    else:
        how = arguments if inner.arity == 2 else "mixed"
        cell = TwoArgRNNCell(width, inner, arguments=how, evaluation=evaluation, **weights)
    return keras.layers.RNN(cell, return_sequences=True)
