"""A causal Transformer for sequences of tokens, for every arm."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.models import blocks
from keras_twoarg.models.structure import SEQUENCE_WIDTH
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.checks import is_positive_integer
from keras_twoarg.utils.types import Identifier, Layer


@keras.saving.register_keras_serializable(package="keras_twoarg")
class PositionEmbedding(keras.layers.Layer):
    """Add a learned vector to each position of a sequence.

    Args:
        length: Longest sequence.
        initializer: Initializer of the vectors. Defaults to `"uniform"`.
        **kwargs: `name` and `dtype`, as for every Keras layer.

    Input shape:
        `(batch, positions, width)`, with at most `length` positions

    Output shape:
        The same.
    """

    def __init__(self, length: int, initializer: Identifier = "uniform", **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.length, self.initializer = length, keras.initializers.get(initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create one vector per position."""
        shape = (self.length, input_shape[-1])
        self.positions = self.add_weight(name="positions", shape=shape, initializer=self.initializer)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Add the positions' vectors to the sequence."""
        self._check(inputs.shape[1])
        # Of an unknown length, `slice` fails for too long a sequence; [:length] would add a lone vector everywhere.
        vectors = ops.convert_to_tensor(self.positions)
        return inputs + ops.slice(vectors, (0, 0), (ops.shape(inputs)[1], vectors.shape[1]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        self._check(input_shape[1])
        return input_shape

    def _check(self, positions: int | None) -> None:
        """Raise a ValueError for a sequence that is too long, if its length is known."""
        if positions is not None and positions > self.length:
            raise ValueError(
                f"{self.name!r} has vectors for {self.length} positions. Received: a sequence of {positions}. Cut it, "
                "or make the layer with a larger `length`"
            )

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments."""
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "length": self.length, "initializer": initializer}


def transformer(
    input_shape: Sequence[int],
    classes: int,
    arm: str = "two_arg",
    widths: Sequence[int] = (256, 256, 256),
    inner: InnerNetwork | None = None,
    dropout: float = 0.0,
    *,
    sequence_width: int = SEQUENCE_WIDTH,
    heads: int = 4,
    pairing: str = "halves",
    evaluation: str | Interpolation = "auto",
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Return a causal pre-norm Transformer with feed-forward units of one arm, as a `keras.Model`.

    Each block: LayerNorm -> causal self-attention -> add; LayerNorm -> linear -> unit -> linear -> add.

    Args:
        input_shape: `(context,)`, the longest sequence.
        classes: Number of tokens.
        arm: As in `models.mlp`. Defaults to `"two_arg"`.
        widths: Units of the feed-forward layer, one number per block. Defaults to `(256, 256, 256)`.
        inner: The inner network that all units share, for arms that have one. Defaults to a new one.
        dropout: Dropout rate after attention and feed-forward layers. Defaults to `0.0`.
        sequence_width: Width of the sequence that the blocks add to. Defaults to `96`.
        heads: Number of attention heads, a divisor of `sequence_width`. Defaults to `4`.
        pairing: Which pre-activations a unit reads (see `TwoArgActivation`). Defaults to `"halves"`, as in gated units.
        evaluation: How phi is evaluated (see `TwoArgActivation`). Defaults to `"auto"`.
        seed: As in `models.mlp`. Defaults to `None`.
        name: Name of the model.

    Returns:
        A built `keras.Model`, not compiled: from `(batch, context)` integers to logits over the next token at each
        position, `(batch, context, classes)`.

    Examples:
        >>> model = models.transformer((64,), classes=68)
        >>> model.output_shape
        (None, 64, 68)
        >>> fair = models.matched_widths("swiglu", model)
        >>> abs(models.transformer((64,), 68, "swiglu", fair).count_params() / model.count_params() - 1) < 0.005
        True

    Raises:
        ValueError: If the arm is unknown or does not fit `inner`, or a size is out of range.
    """
    context = blocks.check_context(input_shape)
    widths = blocks.check_sizes(widths, classes, dropout, context=context, sequence_width=sequence_width)
    if not is_positive_integer(heads) or sequence_width % heads:
        raise ValueError(
            f"`heads` must divide `sequence_width`. Received: heads={heads}, sequence_width={sequence_width}"
        )
    heads = int(heads)  # Keras takes no other integers
    arity, inner = blocks.arity_of(arm), blocks.inner_for(arm, inner, seed)
    tokens = keras.Input((context,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(classes, sequence_width, embeddings_initializer=blocks.glorot(seed, 0))(tokens)
    uniform = keras.initializers.RandomUniform(seed=blocks.seed_of(seed, 1))
    x = PositionEmbedding(context, uniform)(x)  # (batch, positions, width)
    for i, units in enumerate(widths, start=1):
        unit = blocks.unit(arm, inner, pairing, evaluation, shared_axes=[1])
        x = _add(x, _attention(x, heads, seed, i), blocks.dropout(dropout, seed, 2 * i))
        x = _add(x, _feed_forward(x, unit, arity * units, seed, i), blocks.dropout(dropout, seed, 2 * i + 1))
    x = keras.layers.LayerNormalization(epsilon=1e-5)(x)
    logits = keras.layers.Dense(classes, kernel_initializer=blocks.glorot(seed, 2), name="logits")
    return keras.Model(tokens, logits(x), name=name)


def _add(x: keras.KerasTensor, change: keras.KerasTensor, dropout: Layer) -> keras.KerasTensor:
    return keras.layers.Add()([x, dropout(change)])


def _attention(x: keras.KerasTensor, heads: int, seed: int | None, block: int) -> keras.KerasTensor:
    """Return LayerNorm -> causal self-attention of a sequence."""
    attention = keras.layers.MultiHeadAttention(heads, x.shape[-1] // heads)
    normalized = keras.layers.LayerNormalization(epsilon=1e-5)(x)
    outputs = attention(normalized, normalized, use_causal_mask=True)
    # Keras copies an initializer with its seed to each projection: queries, keys and values would start equal.
    kernels = [weight for weight in attention.trainable_weights if weight.name == "kernel"]
    for i, kernel in enumerate(kernels if seed is not None else ()):
        kernel.assign(blocks.glorot(seed, 10 * block + 3 + i)(kernel.shape))
    return outputs


def _feed_forward(
    x: keras.KerasTensor, unit: Layer, pre_activations: int, seed: int | None, block: int
) -> keras.KerasTensor:
    """Return LayerNorm -> linear -> unit -> linear of a sequence."""
    hidden = keras.layers.LayerNormalization(epsilon=1e-5)(x)
    hidden = keras.layers.Dense(pre_activations, kernel_initializer=blocks.glorot(seed, 10 * block + 1))(hidden)
    return keras.layers.Dense(x.shape[-1], kernel_initializer=blocks.glorot(seed, 10 * block + 2))(unit(hidden))
