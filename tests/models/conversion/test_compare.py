"""Random inputs as the model takes them, and what is said where a converted model computes something else."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg import convert
from keras_twoarg.models.conversion.compare import judged, random_arrays
from tests.helpers import predictions
from tests.models.conversion.networks import of

pytestmark = pytest.mark.jax


def reading(*stack, dtype="float32"):
    return keras.Sequential([keras.Input((50,), dtype=dtype), *stack, layers.Dense(2)])


@pytest.mark.parametrize(
    "stack",
    [
        [layers.Rescaling(1 / 255)],
        [layers.Dropout(0.1), layers.Rescaling([1 / 127.5] * 50, -1.0)],
        [keras.Sequential([keras.Input((50,)), layers.Rescaling(1 / 255)])],
    ],
)
def test_what_a_first_rescaling_reads_are_pixels(stack):
    (pixels,) = random_arrays(reading(*stack))
    assert pixels.min() >= 0 and 200 < pixels.max() <= 255


def test_whole_numbers_of_eight_bits_are_pixels():
    (pixels,) = random_arrays(reading(layers.Rescaling(1 / 255), dtype="uint8"))
    assert pixels.dtype == "uint8" and pixels.max() > 200


def test_what_a_first_normalization_reads_is_as_it_was_adapted():
    (values,) = random_arrays(reading(layers.Normalization(mean=500.0, variance=4.0)))
    assert abs(values.mean() - 500) < 1 and 1 < values.std() < 3


@pytest.mark.parametrize("stack", [[layers.Rescaling(2.0, -1.0)], [layers.Dense(3), layers.Rescaling(1 / 255)]])
def test_other_rescalings_tell_nothing(stack):
    (values,) = random_arrays(reading(*stack))
    assert -5 < values.min() < 0 < values.max() < 5


def test_there_are_few_large_inputs_and_as_many_as_a_fixed_batch():
    assert len(random_arrays(keras.Sequential([keras.Input((600, 600)), layers.Dense(1)]))[0]) == 2
    x = keras.Input((4,), batch_size=3)
    assert len(random_arrays(keras.Model(x, layers.Dense(1)(x)))[0]) == 3


def test_states_stay():
    series = keras.Input((4, 3), batch_size=8)
    recurrent = layers.LSTM(5, stateful=True, return_sequences=True)
    model = keras.Model(series, layers.Dense(2)(layers.Dense(8, activation="relu")(recurrent(series))))
    predictions(model, np.ones((8, 4, 3), "float32"))
    before = [ops.convert_to_numpy(state) for state in recurrent.states]
    converted, report = convert(model)
    for old, new in zip(before, recurrent.states, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))
    assert not any(ops.convert_to_numpy(state).any() for state in converted.get_layer(recurrent.name).states)
    assert report.difference < 1e-6


def cancelling():
    """A sum of many units, of which little is left."""
    small = keras.initializers.RandomNormal(stddev=1e-6)
    model = of(layers.Dense(50, "gelu", kernel_initializer=small), layers.Dense(1, kernel_initializer="ones"))
    hidden, output = model.layers
    hidden.bias.assign(np.linspace(-2, 2, 50))
    output.bias.assign(-ops.sum(ops.gelu(hidden.bias), keepdims=True))
    return model


def test_outputs_that_differ_are_told_in_one_line():
    with pytest.warns(UserWarning, match="differ from the model's by up to .* add up") as caught:
        _, report = convert(cancelling())
    assert report.difference > 0.1 * report.scale and not [one for one in caught if "\n" in str(one.message)]
    with pytest.warns(UserWarning, match="more than rounding explains"):
        judged(of(layers.Dense(2)), of(layers.Dense(2)), exact=True)


class Samples(layers.Layer):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.seeds = keras.random.SeedGenerator()

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seeds)


@pytest.mark.filterwarnings("error::UserWarning")
def test_what_is_random_is_not_judged():
    model = of(layers.Dense(8, "relu"), Samples(), layers.Dense(2))
    before = ops.convert_to_numpy(model.layers[1].seeds.state)
    _, report = convert(model)
    assert report.difference > 0.01
    np.testing.assert_array_equal(ops.convert_to_numpy(model.layers[1].seeds.state), before)


def test_what_is_not_finite_is_an_error_unless_it_was_before():
    broken = of(layers.Dense(2), layers.Rescaling(float("nan")))
    with pytest.raises(ValueError, match="NaN or infinity"):
        judged(of(layers.Dense(2)), broken, exact=True)
    assert judged(broken, broken, exact=True) == (0, 0)


def test_a_failing_check_does_not_lose_the_model():
    def fails(x):
        raise MemoryError("no memory")

    broken = of(layers.Lambda(fails, output_shape=(2,)))
    with pytest.warns(UserWarning, match="the converted model fails: .*no memory"):
        assert judged(of(layers.Dense(2)), broken, exact=True) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert judged(broken, broken, exact=True) is None
