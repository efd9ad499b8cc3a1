"""Interpolated evaluation: the piecewise function, its gradients, its distance from phi, and the layer around it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import InnerNetwork, Interpolation, TwoArgActivation, set_evaluation
from keras_twoarg.ops import shared_table, table
from keras_twoarg.ops.look_up import look_up
from tests.helpers import BACKEND, gradients, phi_in_float64, shared_mlp

pytestmark = pytest.mark.jax


def piecewise_in_float64(table, tuples, grid):
    """The formula of the module's docstring, in NumPy and float64, corner by corner."""
    tuples = np.asarray(tuples, "float64")
    scaled = (tuples + grid.extent) / grid.step
    cell = np.clip(np.floor(scaled), 0, grid.resolution - 2).astype(int)
    position = scaled - cell
    total = np.zeros(len(tuples))
    for corner in np.ndindex(*(2,) * tuples.shape[1]):
        weight = np.prod(np.where(np.array(corner) == 1, position, 1 - position), axis=1)
        if tuples.shape[1] == 2:  # a plane where both arguments lie outside: without the product of how far
            weight -= (1 - 2 * (sum(corner) % 2)) * np.prod(position - np.clip(position, 0, 1), axis=1)
        total += weight * table[tuple((cell + corner).T)]
    return total


def table_of(inner, grid):
    return phi_in_float64(inner, grid.nodes(inner.arity)).reshape((grid.resolution,) * inner.arity)


def layer_and_points(rng, arity=2, number=400, spread=2.0, activation="relu", grid=None):
    grid = grid or Interpolation(extent=3.0, resolution=25)
    initializer = keras.initializers.GlorotUniform(seed=1)
    inner = InnerNetwork((8, 8), activation, arity, kernel_initializer=initializer, bias_initializer="ones")
    layer = TwoArgActivation(inner, evaluation=grid)
    layer.build((None, arity))
    return layer, rng.normal(0, spread, (number, arity)).astype("float32"), grid


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2])
@pytest.mark.parametrize("training", [False, True])
def test_values_are_the_piecewise_function_inside_and_outside(arity, training, rng):
    layer, x, grid = layer_and_points(rng, arity)
    assert (np.abs(x) > grid.extent).any()
    expected = piecewise_in_float64(table_of(layer.inner, grid), x, grid)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x, training=training))[:, 0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arity", [1, 2])
def test_interpolation_is_phi_at_the_nodes(arity, rng):
    layer, _, grid = layer_and_points(rng, arity)
    nodes = grid.nodes(arity)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(nodes)), phi_in_float64(layer.inner, nodes), atol=1e-5)


@pytest.mark.parametrize("arity", [1, 2])
def test_gradients_are_those_of_the_piecewise_function(arity, rng):
    layer, x, grid = layer_and_points(rng, arity, number=200)
    by_x, *by_weights = gradients(layer, x)
    table, inner = table_of(layer.inner, grid), layer.inner
    small = 1e-6

    for k, unit in enumerate(np.eye(arity)):
        slope = (
            piecewise_in_float64(table, x + small * unit, grid) - piecewise_in_float64(table, x - small * unit, grid)
        ) / (2 * small)
        np.testing.assert_allclose(by_x[:, k], slope, atol=1e-3)

    weights = [w.astype("float64") for w in inner.get_weights()]

    def loss(index, change):
        changed = [w + change if i == index else w for i, w in enumerate(weights)]
        return piecewise_in_float64(network(changed, grid.nodes(arity)).reshape(table.shape), x, grid).sum()

    for index, gradient in enumerate(by_weights):
        for place in [(0,) * gradient.ndim, (-1,) * gradient.ndim]:
            unit = np.zeros(gradient.shape)
            unit[place] = small
            expected = (loss(index, unit) - loss(index, -unit)) / (2 * small)
            np.testing.assert_allclose(gradient[place], expected, rtol=2e-3, atol=2e-3)


def network(weights, tuples):
    hidden = np.asarray(tuples, "float64")
    *layers, kernel, bias = weights
    for k, b in zip(layers[::2], layers[1::2], strict=True):
        hidden = np.maximum(hidden @ k + b, 0)
    return hidden @ kernel + bias


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the gradient written for TensorFlow")
@pytest.mark.parametrize("arity", [1, 2])
def test_compiled_gradient_is_automatic_differentiation_in_float64(arity, rng):
    import tensorflow as tf

    grid = Interpolation(extent=3.0, resolution=25)
    x = rng.normal(0, 2, (500, arity))
    cells, upstream = rng.normal(size=(grid.cells(arity), 2**arity)), rng.normal(size=500)

    def gradient_of(function, dtype):
        arguments = [tf.constant(x, dtype), tf.constant(cells, dtype)]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            values = function(*arguments)
        return tape.gradient(values, arguments, output_gradients=tf.constant(upstream, dtype))

    def apart(tuples, cells):
        return table._tensorflow_look_up(grid, arity, frozen=False, apart=True)(*tf.unstack(tuples, axis=-1), cells)

    expected = gradient_of(lambda t, c: look_up(t, c, grid), "float64")
    for ours, theirs in zip(gradient_of(apart, "float32"), expected, strict=True):
        np.testing.assert_allclose(ours, tf.convert_to_tensor(theirs), atol=2e-3)
    gradients = gradient_of(table._tensorflow_look_up(grid, arity, frozen=False), "float32")
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, tf.convert_to_tensor(theirs), atol=2e-3)
    by_tuple, by_cell = gradient_of(table._tensorflow_look_up(grid, arity, frozen=True), "float32")
    np.testing.assert_array_equal(by_tuple, gradients[0])
    assert by_cell is None


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2])
def test_error_falls_with_the_square_of_the_step_for_a_smooth_phi(arity, rng):
    layer, x, _ = layer_and_points(rng, arity, spread=1.0, activation="tanh")
    x = np.clip(x, -3, 3)
    layer.evaluation = "exact"
    exact = ops.convert_to_numpy(layer(x))
    errors = []
    for resolution in (13, 25, 49):
        layer.evaluation = Interpolation(3.0, resolution)
        errors.append(np.abs(ops.convert_to_numpy(layer(x)) - exact).max())
    assert 3 < errors[0] / errors[1] < 5.5 and 3 < errors[1] / errors[2] < 5.5


def test_error_stays_within_the_bound_of_the_second_derivatives():
    # phi(x) = tanh(x): |phi''| <= 4 / (3 sqrt 3), so the error is at most h^2 / 8 of that.
    inner = InnerNetwork((1,), "tanh", arity=1)
    grid = Interpolation(4.0, 33)
    layer = TwoArgActivation(inner, evaluation=grid)
    layer.build((None, 1))
    inner.set_weights([np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1)])
    x = np.linspace(-4, 4, 4001, dtype="float32")[:, None]
    error = np.abs(ops.convert_to_numpy(layer(x)) - np.tanh(x)).max()
    bound = grid.step**2 / 8 * 4 / (3 * np.sqrt(3))
    assert 0.9 * bound < error <= bound + 1e-6


def test_an_interpolated_network_without_normalization_stays_near_the_exact_one(rng):
    """Behind large pre-activations, both outside of the nodes, phi is as large as an exact one."""
    phi = InnerNetwork(kernel_initializer=keras.initializers.GlorotUniform(seed=0))
    layer = TwoArgActivation(phi, evaluation="interpolated")
    x = rng.uniform(20, 50, (200, 2)).astype("float32") * rng.choice([-1, 1], (200, 2)).astype("float32")
    values = ops.convert_to_numpy(layer(x))[:, 0]
    exact = phi_in_float64(phi, x)[:, 0]
    assert np.abs(values - exact).max() < 0.5 * np.abs(exact).max()


@pytest.mark.parametrize("training", [False, True])
def test_extreme_and_missing_values(training, rng):
    layer, _, _ = layer_and_points(rng)
    x = np.array([[np.nan, 0], [1e30, 0], [-1e30, 0], [0.5, np.inf]], "float32")
    y = ops.convert_to_numpy(layer(x, training=training))[:, 0]
    far = ops.convert_to_numpy(layer(np.array([[1e6, 0], [-1e6, 0]], "float32")))[:, 0]
    assert np.isnan(y[0]) and (np.sign(y[1:3]) == np.sign(far)).all() and (np.abs(y[1:3]) > 1e20).all()
    edges = np.array([[1e37, 0], [0, -1e37], [1e18, -1e18]], "float32")
    assert np.isfinite(ops.convert_to_numpy(layer(edges, training=training))).all()
    beyond = np.array([[3e38, 0], [3e38, 3e38], [np.inf, 0]], "float32")
    assert not np.isfinite(ops.convert_to_numpy(layer(beyond, training=training))).any()


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(0, 8), (1, 8), (3, 5, 8), (2, 4, 4, 8)])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_any_number_of_axes(shape, pairing, rng):
    layer = TwoArgActivation(evaluation="interpolated", pairing=pairing)
    exact = TwoArgActivation(layer.inner, evaluation="exact", pairing=pairing)
    x = rng.normal(size=shape).astype("float32")
    y = ops.convert_to_numpy(layer(x))
    assert y.shape == (*shape[:-1], 4)
    np.testing.assert_allclose(y, ops.convert_to_numpy(exact(x)), atol=0.05)


@pytest.mark.parametrize("frozen", [False, True])
def test_arguments_that_lie_apart_have_the_values_and_gradients_of_those_side_by_side(frozen, rng):
    adjacent, x, grid = layer_and_points(rng, number=160)
    halves = TwoArgActivation(adjacent.inner, evaluation=grid, pairing="halves")
    adjacent.inner.trainable = not frozen
    x = x.reshape(5, 8, 8)
    apart = np.concatenate([x[..., ::2], x[..., 1::2]], axis=-1)
    values = ops.convert_to_numpy(adjacent(x))
    for training in (False, True):
        for inputs in (apart, [x[..., ::2], x[..., 1::2]]):
            y = ops.convert_to_numpy(halves(inputs, training=training))
            np.testing.assert_allclose(y, values, rtol=1e-6, atol=1e-6)
    by_x, *by_weights = gradients(adjacent, x)
    by_apart, *by_weights_apart = gradients(halves, apart)
    assert len(by_weights) == (0 if frozen else 6)
    np.testing.assert_allclose(by_apart, np.concatenate([by_x[..., ::2], by_x[..., 1::2]], axis=-1), rtol=1e-5)
    for one, other in zip(by_weights_apart, by_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_sequences_of_no_steps_are_looked_up_in_batches_of_any_size(pairing):
    inputs = keras.Input((0, 8))
    model = keras.Model(inputs, TwoArgActivation(evaluation="interpolated", pairing=pairing)(inputs))
    assert model.predict(np.zeros((3, 0, 8), "float32"), verbose=0).shape == (3, 0, 4)


@pytest.mark.skipif(BACKEND != "jax", reason="JAX's traces")
@pytest.mark.parametrize("traced", [0, 1])
def test_a_table_stays_in_its_trace_whichever_argument_is_traced(traced, rng):
    import jax

    layer, x = TwoArgActivation(evaluation="interpolated"), rng.normal(size=(2, 100, 100)).astype("float32")
    layer.build([x.shape[1:]] * 2)

    both = list(map(jax.numpy.asarray, x))

    def call(one):
        return layer([one if place == traced else both[place] for place in range(2)])

    values = jax.jit(call)(x[traced])
    assert not shared_table._tables.get(layer.inner)
    np.testing.assert_allclose(values, layer(list(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND != "torch", reason="torch's transformations")
@pytest.mark.parametrize("evaluation", ["exact", "interpolated"])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_torch_transforms_a_place(evaluation, pairing):
    import torch

    layer, x = TwoArgActivation(evaluation=evaluation, pairing=pairing), torch.randn(5, 6)
    layer.build((None, 6))
    slopes = torch.func.vmap(torch.func.grad(lambda one: layer(one[None]).sum()))(x)
    mapped = torch.func.vmap(lambda one: layer(one[None])[0])(x)
    torch.testing.assert_close(mapped, layer(x), rtol=1e-4, atol=1e-5)
    _, change = torch.func.jvp(layer, (x,), (torch.ones_like(x),))
    torch.testing.assert_close(change.sum(1), slopes.sum(1), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="torch's autocast")
def test_a_table_is_as_precise_under_autocast(rng):
    import torch

    layer, x, _ = layer_and_points(rng, spread=6.0)  # far out, a slope's rounding error grows with the distance
    for training, number in ((False, 2), (False, 400), (True, 400)):  # at the corners, and by a table
        expected = layer(x[:number], training=training)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            np.testing.assert_array_equal(*map(ops.convert_to_numpy, (layer(x[:number], training=training), expected)))
            phi = layer.inner.predict(x)
    np.testing.assert_allclose(phi, phi_in_float64(layer.inner, x), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(BACKEND != "torch", reason="torch's programs")
@pytest.mark.parametrize("evaluation", ["exact", "interpolated"])
@pytest.mark.parametrize("take", [lambda x: x, lambda x: [x, x + 1]], ids=["halves", "two tensors"])
def test_a_program_of_torch_takes_any_number_of_samples_and_steps(evaluation, take):
    import torch

    inputs = keras.Input((None, 6))
    model = keras.Model(inputs, TwoArgActivation(pairing="halves", evaluation=evaluation)(take(inputs)))
    sizes = {0: torch.export.Dim("samples"), 1: torch.export.Dim("steps")}
    program = torch.export.export(model, (torch.zeros(3, 5, 6),), dynamic_shapes=((sizes,),), strict=False)
    x = torch.randn(4, 7, 6)
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", ["auto", True, False])
def test_training_lowers_the_loss_however_it_is_compiled(jit_compile, rng):
    if BACKEND == "torch" and jit_compile is True:
        pytest.skip("torch.compile needs a compiler at run time")
    model = shared_mlp()
    set_evaluation(model, "interpolated")
    x = rng.normal(size=(32, 6)).astype("float32")
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit_compile)
    losses = model.fit(x, np.sign(x[:, :3] * x[:, 3:]), batch_size=16, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_training_repeats_bit_for_bit(rng):
    x = rng.normal(size=(200, 6)).astype("float32")
    results = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = shared_mlp()
        set_evaluation(model, "interpolated")
        model.compile("adam", "mse")
        model.fit(x, np.sign(x[:, :3] * x[:, 3:]), epochs=3, shuffle=False, verbose=0)
        results.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_a_frozen_phi_does_not_move_and_the_rest_does(rng):
    inner = InnerNetwork(hidden_units=(8, 8))
    model = shared_mlp(inner)
    set_evaluation(model, "interpolated")
    inner.trainable = False
    phi, outer = inner.get_weights(), model.layers[0].get_weights()
    model.compile("adam", "mse")
    model.fit(rng.normal(size=(32, 6)), rng.normal(size=(32, 3)), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(phi, inner.get_weights(), strict=True))
    assert not np.array_equal(outer[0], model.layers[0].get_weights()[0])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_looks_up_in_float32(policy, rng):
    layer = TwoArgActivation(InnerNetwork((8, 8), dtype=policy), evaluation="interpolated", dtype=policy)
    x = rng.normal(size=(64, 8)).astype("float32")
    for training in (False, True):
        y = layer(x, training=training)
        assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
        exact = phi_in_float64(layer.inner, x.reshape(64, 4, 2))[..., 0]
        np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(y, "float32")), exact, atol=0.06)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Interpolation(extent=0.0), "`extent` must be positive"),
        (lambda: Interpolation(extent=np.inf), "`extent` must be positive and finite"),
        (lambda: Interpolation(resolution=1), "`resolution` must be an integer from 2 to 4095"),
        (lambda: TwoArgActivation(InnerNetwork(arity=3), evaluation="interpolated"), "one or two arguments.*arity 3"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()
