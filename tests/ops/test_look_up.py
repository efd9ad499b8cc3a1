"""Looking up in a table: every way of doing it is one function, inside of the nodes and far out."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import Interpolation, TwoArgActivation
from keras_twoarg.ops import look_up as ways
from keras_twoarg.ops import table
from keras_twoarg.ops.look_up import look_up, look_up_by_columns, look_up_by_numbers
from tests.helpers import array, small_phi

pytestmark = pytest.mark.jax

BACKEND = keras.backend.backend()


def test_a_bilinear_function_is_reproduced_but_beyond_the_corners(rng):
    grid = Interpolation(2.0, 9)
    a, b = grid.nodes(2).astype("float64").T
    cells = table.make_cells(ops.convert_to_tensor((1 + 2 * a - b + 3 * a * b)[:, None]), 9, 2)
    x = rng.uniform(-9, 9, (200, 2))
    values = ops.convert_to_numpy(look_up(ops.convert_to_tensor(x), ops.cast(cells, x.dtype), grid))
    beyond = np.prod(x - np.clip(x, -2, 2), axis=1)
    assert (beyond != 0).any()
    expected = 1 + 2 * x[:, 0] - x[:, 1] + 3 * (x[:, 0] * x[:, 1] - beyond)
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3)


def test_a_linear_function_stays_one_however_far_out(rng):
    grid = Interpolation(2.0, 9)
    a, b = grid.nodes(2).T
    cells = table.make_cells(ops.convert_to_tensor(1.5 * a - 0.7 * b + 0.1), 9, 2)
    for far in (1e2, 1e6, 1e17):
        x = (rng.choice([-1, 1], (40, 2)) * rng.uniform(1, 2, (40, 2)) * far).astype("float32")
        expected = 1.5 * x[:, 0].astype("float64") - 0.7 * x[:, 1] + 0.1
        for function in (look_up, look_up_by_columns):
            values = ops.convert_to_numpy(function(ops.convert_to_tensor(x), cells, grid))
            np.testing.assert_allclose(values, expected, atol=1e-5 * far)


@pytest.mark.parametrize("arity", [1, 2])
def test_numbers_one_by_one_are_the_same_function(arity, rng):
    grid = Interpolation(2.0, 9)
    cells = table.make_cells(ops.convert_to_tensor(rng.normal(size=(9**arity, 1)).astype("float32")), 9, arity)
    x = ops.convert_to_tensor(np.append(rng.normal(0, 2, (200, arity)), np.full((1, arity), np.nan), 0), "float32")
    values = look_up_by_numbers(ops.unstack(x, axis=-1), cells, grid)
    expected = look_up(x, cells, grid)
    np.testing.assert_allclose(ops.convert_to_numpy(values), ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-5)


WAYS = [table.fastest_look_up, look_up, look_up_by_columns, look_up_by_numbers]


@pytest.mark.parametrize(
    "way", WAYS + [ways.look_up_in_parts] * (BACKEND == "tensorflow"), ids=lambda way: way.__name__
)
@pytest.mark.parametrize("number", [0, 1, 40])
def test_arguments_that_lie_apart_give_what_tuples_give(way, number, rng, monkeypatch):
    monkeypatch.setattr(ways, "PART", 8)
    monkeypatch.setattr(ways, "MANY", 15)
    grid = Interpolation(2.0, 9)
    cells = table.make_cells(ops.convert_to_tensor(rng.normal(size=(81, 1)).astype("float32")), 9, 2)
    x = rng.normal(0, 2, (number, 2)).astype("float32")
    apart = way([ops.convert_to_tensor(argument.copy()) for argument in x.T], cells, grid)
    together = way(ops.convert_to_tensor(x), cells, grid)
    assert tuple(apart.shape) == (number,)
    np.testing.assert_allclose(ops.convert_to_numpy(apart), ops.convert_to_numpy(together), rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's operations")
@pytest.mark.parametrize("arity", [1, 2])
@pytest.mark.parametrize("number", [0, 1, 7, 8, 15, 16, 99, 100])
def test_part_by_part_it_is_the_same_function(number, arity, rng, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(ways, "PART", 8)
    monkeypatch.setattr(ways, "MANY", 15)
    grid = Interpolation(2.0, 9)
    cells = table.make_cells(tf.constant(rng.normal(size=(9**arity, 1)), tf.float32), 9, arity)
    signature = [tf.TensorSpec([None, arity])]
    looked_up = tf.function(lambda x: ways.look_up_in_parts(x, cells, grid), input_signature=signature)
    x = tf.constant(rng.normal(0, 2, (number, arity)), tf.float32)
    np.testing.assert_allclose(looked_up(x), look_up(x, cells, grid), rtol=1e-6, atol=1e-6)
    assert looked_up(x).shape == (number,)


@pytest.mark.skipif(BACKEND != "torch", reason="torch's own operation")
@pytest.mark.parametrize("scale", [1.0, 4.0])  # within the nodes, and some pairs outside
def test_torchs_own_operation_is_the_same_function(scale, rng):
    import torch

    from keras_twoarg.ops import grid_sample

    grid = Interpolation(3.0, 9)
    x = np.clip(scale * rng.normal(size=(200, 2)), -2.9 * scale, 2.9 * scale).astype("float32")
    upstream = torch.tensor(rng.normal(size=200).astype("float32"))

    def values_and_gradients(function, x):
        tuples, values = torch.tensor(x, requires_grad=True), torch.tensor(nodes, requires_grad=True)
        outputs = function(tuples, table.make_cells(values, 9, 2), grid)
        return outputs.detach(), *torch.autograd.grad(outputs, (tuples, values), upstream[: len(x)])

    nodes = rng.normal(size=81).astype("float32")
    assert (np.abs(x) > 3).any() == (scale > 1)
    for ours, theirs in zip(values_and_gradients(grid_sample.sample, x), values_and_gradients(look_up, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    nan, infinite = np.float32([[np.nan, 0.0]]), np.float32([[np.inf, 1.0]])
    assert np.isnan(values_and_gradients(grid_sample.sample, nan)[0])
    assert not np.isfinite(values_and_gradients(grid_sample.sample, infinite)[0])
    assert not grid_sample.applies(torch.zeros(0, 2)) and not grid_sample.applies(torch.zeros(3, 1))


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="about what XLA compiles with JAX")
@pytest.mark.parametrize("training", [False, True])
def test_a_look_up_in_a_compiled_step_is_kept_apart_and_the_same(training, rng, monkeypatch):
    import jax

    grid, cells = Interpolation(2.0, 9), rng.normal(size=(100, 4)).astype("float32")
    x = rng.normal(0, 2, (50, 2)).astype("float32")
    x[0, 1] = np.nan

    def summed(x, cells):
        return ops.sum(ops.sin(table.evaluate(x, cells, grid, training, frozen=False))[1:])

    expected = table.evaluate(x, cells, grid, training, frozen=False)
    compiled = jax.jit(lambda *a: table.evaluate(*a, grid, training, frozen=False))
    np.testing.assert_allclose(compiled(x, cells), expected, atol=1e-5)
    assert "cond" in str(jax.make_jaxpr(compiled)(x, cells))
    np.testing.assert_allclose(jax.vmap(compiled, (0, None))(x[:, None], cells)[:, 0], expected, atol=1e-5)
    for order in (jax.grad, lambda f, argnums: jax.grad(lambda *a: ops.sum(jax.grad(f, argnums)(*a)[0] ** 2), argnums)):
        in_step = jax.jit(order(summed, (0, 1)))(x, cells)
        monkeypatch.setattr(jax.lax, "cond", None)  # in eager mode it would be compiled at each call
        for one, other in zip(in_step, order(summed, (0, 1))(x, cells), strict=True):
            np.testing.assert_allclose(one[1:], other[1:], rtol=1e-4, atol=1e-4)
        monkeypatch.undo()


@pytest.mark.skipif(BACKEND != "jax", reason="about conditions of JAX")
@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_places_are_compiled_whatever_floatx_is(floatx, rng):
    import jax

    keras.config.dtype_policy()  # else Keras would derive it from the floatx of this test, for good
    before = keras.config.floatx()
    keras.config.set_floatx(floatx)
    try:
        with jax.enable_x64(floatx == "float64"):
            layer = TwoArgActivation(small_phi(dtype=floatx), evaluation="interpolated", dtype=floatx)
            x = ops.convert_to_tensor(rng.normal(size=(400, 8)).astype(floatx))
            expected = layer(x)
            values = jax.jit(layer)(x)
            assert values.dtype == floatx
            np.testing.assert_allclose(values, expected, atol=1e-2)
    finally:
        keras.config.set_floatx(before)


@pytest.mark.skipif(BACKEND != "jax", reason="about meshes of JAX")
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_a_place_is_compiled_for_a_mesh(pairing, rng):
    import jax

    layer = TwoArgActivation(small_phi(), evaluation="interpolated", pairing=pairing)
    x = array(rng, 400, 8)
    expected = layer(x)
    part = jax.sharding.PartitionSpec("batch")
    mesh = jax.sharding.Mesh(jax.devices()[:1], ("batch",))
    values = jax.jit(jax.shard_map(layer, mesh=mesh, in_specs=part, out_specs=part))(x)
    np.testing.assert_allclose(values, expected, atol=1e-5)
