"""One table for all places of a phi, wherever they may share it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import InnerNetwork, Interpolation, TwoArgActivation, TwoArgMaxPooling2D, set_evaluation
from keras_twoarg.ops import table
from tests.helpers import BACKEND, shared_mlp

pytestmark = pytest.mark.jax
tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="about TensorFlow's graphs and tapes")


def tables_made(monkeypatch):
    tables = []
    original = table.make_table
    monkeypatch.setattr(table, "make_table", lambda *a: tables.append(a) or original(*a))
    return tables


@pytest.mark.parametrize("functional", [False, True])
def test_places_of_one_model_share_one_table(functional, rng, monkeypatch):
    tables = tables_made(monkeypatch)
    model, x = shared_mlp(places=3), rng.normal(size=(64, 6)).astype("float32")
    if functional:
        model = keras.Model(model.inputs[0], model.outputs[0])
    set_evaluation(model, "interpolated")
    shared = ops.convert_to_numpy(model(x))
    assert len(tables) == 1
    for layer in model.layers[-7:]:  # the weights are the same: so is the table, whoever calls
        x = layer(x)
    assert len(tables) == (4 if BACKEND == "torch" else 1)  # torch frees a table with the first gradients
    np.testing.assert_allclose(ops.convert_to_numpy(x), shared, rtol=1e-5)


def test_places_with_other_grids_or_dtypes_share_no_table(rng, monkeypatch):
    tables = tables_made(monkeypatch)
    model = shared_mlp(places=3)
    first, second, third = (layer for layer in model.layers if isinstance(layer, TwoArgActivation))
    first.evaluation = second.evaluation = Interpolation(3.0, 25)
    third.evaluation = Interpolation(3.0, 33)
    second.dtype_policy = "mixed_float16"
    model(rng.normal(size=(64, 6)).astype("float32"))
    assert len(tables) == 2  # the first two have one grid, and a table is in float32 always


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="gradient tapes are TensorFlow's")
def test_every_gradient_tape_and_every_step_gets_a_table_of_its_own(rng):
    import tensorflow as tf

    model, x = shared_mlp(places=2), rng.normal(size=(5, 6)).astype("float32")
    set_evaluation(model, "interpolated")

    def gradients_of(loss):
        with tf.GradientTape() as tape:
            value = loss()
        return tape.gradient(value, model.trainable_weights)

    @tf.function
    def twice():
        model(x, training=True)  # outside of any tape
        before = gradients_of(lambda: tf.reduce_sum(model(x, training=True)))
        for weight in model.trainable_weights:
            weight.value.assign_add(0.1 * tf.ones_like(weight.value))
        return before, gradients_of(lambda: tf.reduce_sum(model(x, training=True)))

    weights = model.get_weights()
    before, after = twice()
    for weight_values, logits in ((model.get_weights(), after), (weights, before)):
        model.set_weights(weight_values)
        expected = gradients_of(lambda: tf.reduce_sum(model(x, training=True)))
        for ours, theirs in zip(logits, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def small_place(rng):
    layer = TwoArgActivation(InnerNetwork((4,), table_resolution=21), evaluation="interpolated")
    x = ops.convert_to_tensor(rng.normal(size=(400, 8)), "float32")
    layer(x)
    return layer, x


def with_weights(layer, weights, x, training=False):
    return layer.stateless_call(list(weights), [], x, training=training)[0]


@tensorflow
def test_parts_of_one_tensor_are_different_weights(rng):
    import tensorflow as tf

    layer, x = small_place(rng)
    stacked = [tf.stack([weight.value, 3 * weight.value]) for weight in layer.trainable_variables]

    def members(*stacked):
        return [with_weights(layer, own, x) for own in zip(*map(tf.unstack, stacked), strict=True)]

    def in_one_scope(*stacked):
        with keras.StatelessScope() as scope:
            for own in zip(*map(tf.unstack, stacked), strict=True):
                for variable, value in zip(layer.trainable_variables, own, strict=True):
                    scope.add_update((variable, value))
                yield layer(x)

    expected = members(*stacked)
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    for function in (members, lambda *stacked: list(in_one_scope(*stacked))):
        for one, other in zip(tf.function(function, autograph=False)(*stacked), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@tensorflow
@pytest.mark.parametrize("scopes", [1, 2])
def test_values_read_before_a_write_are_the_old_weights(scopes, rng):
    import tensorflow as tf

    layer, x = small_place(rng)
    before = layer(x)

    def write(x):
        old = [tf.convert_to_tensor(weight.value) for weight in layer.trainable_variables]
        for weight in layer.trainable_variables:
            weight.value.assign(2 * weight.value)
        if scopes == 2:
            return layer(x), with_weights(layer, old, x)
        new = [tf.convert_to_tensor(weight.value) for weight in layer.trainable_variables]
        outputs = []
        with keras.StatelessScope() as scope:
            for values in (new, old):
                for variable, value in zip(layer.trainable_variables, values, strict=True):
                    scope.add_update((variable, value))
                outputs.append(layer(x))
        return outputs

    new, old = tf.function(write, autograph=False)(x)
    np.testing.assert_allclose(old, before, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(new, layer(x), rtol=1e-4, atol=1e-5)


@tensorflow
@pytest.mark.parametrize("graph", [False, True])
def test_gradients_go_to_weights_of_ones_own_that_equal_those_of_phi(graph, rng):
    import tensorflow as tf

    layer, x = small_place(rng)

    def gradients():
        student = [tf.identity(weight.value) for weight in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(student)
            teacher = layer(x, training=True)
            loss = tf.reduce_sum((with_weights(layer, student, x, training=True) - 2 * teacher) ** 2)
        return tape.gradient(loss, student)

    ours = tf.function(gradients, autograph=False)() if graph else gradients()
    assert None not in ours and max(np.abs(one).max() for one in ours) > 1
    layer.evaluation = "exact"
    np.testing.assert_allclose(ours[-1], gradients()[-1], rtol=0.2)  # a coarse table: None and twice as much are wrong


class Annealed(InnerNetwork):
    temperature = 1.0

    def evaluate(self, tuples, values, training=False):
        return super().evaluate(tuples, values, training) * self.temperature


@pytest.mark.skipif(BACKEND == "torch", reason="on torch a table lasts for one call")
def test_an_eager_table_follows_phi_s_activation_and_the_attributes_of_a_class_of_ones_own(rng, monkeypatch):
    layer, x = small_place(rng)
    relu = ops.convert_to_numpy(layer(x))
    layer.inner.activation = keras.activations.tanh
    tanh = ops.convert_to_numpy(layer(x))
    assert np.abs(tanh - relu).max() > 0.1
    layer.inner = Annealed((4,), table_resolution=21)
    first = ops.convert_to_numpy(layer(x))
    layer.inner.temperature = 2.0
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), 2 * first, rtol=1e-5)
    tables = tables_made(monkeypatch)
    model = shared_mlp(Annealed((4,)))
    set_evaluation(model, "interpolated")
    model(rng.normal(size=(64, 6)))
    assert len(tables) == 1  # within one call of a model the places share it


@tensorflow
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_a_watched_phi_has_gradients_though_it_is_frozen(pooled, graph, rng):
    import tensorflow as tf

    phi = InnerNetwork((4,), table_resolution=21)
    layer = (TwoArgMaxPooling2D if pooled else TwoArgActivation)(phi, evaluation="interpolated")
    x = tf.constant(rng.normal(size=(4, 4, 4, 8)), tf.float32)
    layer(x)

    def gradient():
        kernel = phi.kernel_0.value
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(loss, kernel)

    expected = gradient()
    phi.trainable = False
    np.testing.assert_allclose(tf.function(gradient)() if graph else gradient(), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected).max() > 0.1


@tensorflow
@pytest.mark.parametrize("pooled", [False, True])
def test_a_function_that_was_traced_while_phi_was_frozen_has_its_gradients_later(pooled, rng):
    import tensorflow as tf

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.phi = InnerNetwork((4,), table_resolution=21)
            self.place = (TwoArgMaxPooling2D if pooled else TwoArgActivation)(self.phi, evaluation="interpolated")

        @tf.function
        def call(self, inputs, training=None):
            return self.place(inputs, training=training)

    model, x = Own(), rng.normal(size=(4, 4, 4, 8)).astype("float32")
    y = np.zeros((4, *model(x).shape[1:]))
    model.phi.trainable = False
    model.compile("sgd", "mse")
    before = model.phi.get_weights()
    model.fit(x, y, verbose=0)
    assert all(map(np.array_equal, before, model.phi.get_weights()))
    model.phi.trainable = True
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    assert max(np.abs(a - b).max() for a, b in zip(before, model.phi.get_weights(), strict=True)) > 1e-4


@tensorflow
def test_a_step_of_fit_sums_no_gradients_for_a_frozen_phi(rng, monkeypatch):
    model, x = shared_mlp(), rng.normal(size=(64, 6)).astype("float32")
    set_evaluation(model, "interpolated")
    model.layers[1].inner.trainable = False
    model.compile("sgd", "mse")
    frozen, original = [], table.evaluate
    monkeypatch.setattr(table, "evaluate", lambda *a: frozen.append(a[4]) or original(*a))
    model.fit(x, np.zeros((64, 3)), verbose=0)
    assert frozen and all(frozen)
