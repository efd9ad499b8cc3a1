"""A layer made anew has the functions of the one that it was made from."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg.utils.rebuilding import live_config, rebuild

pytestmark = pytest.mark.jax

X = np.array([[-2.0, 0.5, 3.0]], "float32")


def doubled(x):
    return 2 * x


def absolute(weight):
    return 0.1 * ops.sum(ops.abs(weight))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Lambda(lambda x: ops.square(x) + 1),
        lambda: layers.Lambda(lambda x, by: x * by, output_shape=(3,), arguments={"by": 3.0}),
        lambda: layers.Activation(lambda x: ops.square(x)),
        lambda: layers.Activation(doubled),
        lambda: layers.TimeDistributed(layers.Activation(doubled)),
        pytest.param(
            lambda: layers.Dense(3, doubled, kernel_initializer="ones", kernel_regularizer=absolute),
            marks=pytest.mark.skipif(keras.__version__.startswith("3.12"), reason="its regularizers are no functions"),
        ),
        lambda: layers.EinsumDense("ab,bc->ac", 3, lambda x: x * x, kernel_initializer="ones"),
    ],
)
def test_functions_are_kept_registered_or_not(make):
    layer = make()
    x = X[:, None] if isinstance(layer, layers.Wrapper) else X
    copy = rebuild(layer, live_config(layer))
    assert copy is not layer and copy.name == layer.name
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(x)), ops.convert_to_numpy(layer(x)))
    assert len(copy.losses) == len(layer.losses)


def scaled(by):
    def act(x):
        return by * x

    return act


def test_different_functions_of_one_name_are_not_confused():
    cells = [layers.SimpleRNNCell(3, activation=scaled(by)) for by in (0.1, 0.5)]
    stacked = layers.StackedRNNCells(cells)
    with pytest.raises(ValueError, match="different functions named 'act': give them names of their own"):
        rebuild(stacked, live_config(stacked))
    same = layers.StackedRNNCells([layers.SimpleRNNCell(3, activation=cells[0].activation) for _ in range(2)])
    copy = rebuild(same, live_config(same))
    assert all(cell.activation is cells[0].activation for cell in copy.cells)
    dense = layers.Dense(3, lambda x: 2 * x, kernel_initializer=lambda shape, dtype=None: ops.ones(shape, dtype))
    copy = rebuild(dense, live_config(dense))
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(X)), ops.convert_to_numpy(dense(X)))


def test_a_config_may_be_changed():
    layer = layers.Dense(3, doubled)
    copy = rebuild(layer, {**live_config(layer), "activation": "linear", "units": 5})
    assert copy.activation is keras.activations.linear and copy.units == 5 and layer.activation is doubled


class OfAnObject(layers.Layer):
    """Has no config, as its argument is none that Keras writes."""

    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)


def test_what_cannot_be_rebuilt_is_named():
    layer = OfAnObject(object(), name="own")
    with pytest.raises(ValueError, match="The layer 'own' of class OfAnObject cannot be rebuilt.*Define get_config"):
        live_config(layer)
    dense = layers.Dense(3, name="dense")
    with pytest.raises(ValueError, match=r"The layer 'dense' .*\(Could not interpret activation.*no such"):
        rebuild(dense, {**live_config(dense), "activation": "no such"})
