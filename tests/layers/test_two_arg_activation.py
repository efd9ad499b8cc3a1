"""TwoArgActivation: shapes, pairing, masks, precision, compilation, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import InnerNetwork, TwoArgActivation, TwoArgDense
from tests.helpers import phi_in_float64, shared_mlp

pytestmark = pytest.mark.jax

SHAPES = {
    # name: (input shape, output shape) at arity 2
    "dense": ((5, 8), (5, 4)),
    "sequence": ((5, 7, 8), (5, 7, 4)),
    "image": ((5, 6, 7, 8), (5, 6, 7, 4)),
    "video": ((2, 3, 6, 7, 8), (2, 3, 6, 7, 4)),
    "batch of one": ((1, 8), (1, 4)),
    "empty batch": ((0, 8), (0, 4)),
    "no units": ((5, 0), (5, 0)),
}


@pytest.mark.parametrize(("shape", "expected"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("training", [False, True])
def test_any_number_of_axes(shape, expected, training, rng):
    layer = TwoArgActivation(evaluation="exact")
    x = rng.normal(size=shape).astype("float32")
    y = ops.convert_to_numpy(layer(x, training=training))
    assert y.shape == expected == layer.compute_output_shape(shape)
    pairs = x.reshape(*expected, 2)
    np.testing.assert_allclose(y, phi_in_float64(layer.inner, pairs)[..., 0], atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="on JAX and torch Keras multiplies in float32")
@pytest.mark.parametrize("make", [TwoArgActivation, lambda **kwargs: TwoArgDense(4, **kwargs)])
def test_a_default_phi_computes_in_the_dtype_of_its_layer(make, rng):
    layer, x = make(dtype="float64", evaluation="exact"), rng.normal(size=(5, 8))
    y = ops.convert_to_numpy(layer(x))
    tuples = x if isinstance(layer, TwoArgActivation) else ops.convert_to_numpy(layer.dense(x))
    np.testing.assert_allclose(y, phi_in_float64(layer.inner, tuples.reshape(5, 4, 2))[..., 0], atol=1e-14)


@pytest.mark.parametrize("arity", [1, 2, 3])
def test_adjacent_and_halves_read_the_entries_they_promise(arity, rng):
    inner = InnerNetwork(hidden_units=(8,), arity=arity)
    x = rng.normal(size=(5, 4 * arity)).astype("float32")
    adjacent = ops.convert_to_numpy(TwoArgActivation(inner)(x))
    halves = ops.convert_to_numpy(TwoArgActivation(inner, pairing="halves")(x))
    for i in range(4):
        own = [arity * i + k for k in range(arity)]
        np.testing.assert_allclose(adjacent[:, i : i + 1], phi_in_float64(inner, x[:, own]), atol=1e-5)
        own = [4 * k + i for k in range(arity)]
        np.testing.assert_allclose(halves[:, i : i + 1], phi_in_float64(inner, x[:, own]), atol=1e-5)


@pytest.mark.parametrize("arity", [1, 2, 3])
def test_list_of_tensors_is_the_halves_of_one_tensor(arity, rng):
    inner = InnerNetwork(arity=arity)
    parts = [rng.normal(size=(3, 5, 4)).astype("float32") for _ in range(arity)]
    listed = TwoArgActivation(inner)(parts)
    joined = TwoArgActivation(inner, pairing="halves")(np.concatenate(parts, -1))
    np.testing.assert_allclose(ops.convert_to_numpy(listed), ops.convert_to_numpy(joined), atol=1e-6)


def test_a_unit_of_two_arguments_by_hand():
    # phi(a, b) = relu(a - b) + relu(b - a) = |a - b|, a soft XOR of signs
    inner = InnerNetwork(hidden_units=(2,))
    layer = TwoArgActivation(inner)
    layer.build((None, 4))
    inner.set_weights([np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2), np.ones((2, 1)), np.zeros(1)])
    np.testing.assert_allclose(ops.convert_to_numpy(layer(np.array([[1.0, 3.0, 5.0, -1.0]]))), [[2.0, 6.0]])


@pytest.mark.slow
def test_functional_model_with_unknown_batch_and_length(rng):
    x = keras.Input((None, 6))
    model = keras.Model(x, TwoArgActivation()(keras.layers.Dense(8)(x)))
    assert model.output_shape == (None, None, 4)
    for shape in [(1, 3, 6), (4, 9, 6)]:
        assert model.predict(rng.normal(size=shape).astype("float32"), verbose=0).shape == (*shape[:-1], 4)


def test_two_inputs_in_a_functional_model():
    basal, apical = keras.Input((5,)), keras.Input((5,))
    model = keras.Model([basal, apical], TwoArgActivation()([basal, apical]))
    assert model.output_shape == (None, 5)
    assert model.predict([np.ones((3, 5)), np.ones((3, 5))], verbose=0).shape == (3, 5)


def test_one_layer_object_at_several_widths(rng):
    layer = TwoArgActivation()
    assert layer(rng.normal(size=(2, 8))).shape == (2, 4)
    assert layer(rng.normal(size=(2, 12))).shape == (2, 6)


def test_masks_are_passed_on():
    x = np.array([[1, 2, 0], [3, 0, 0]])
    embedded = keras.layers.Embedding(5, 4, mask_zero=True)(x)
    layer = TwoArgActivation()
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(embedded)._keras_mask), x != 0)
    other = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 0, 1], [1, 1, 1]]))
    both = ops.convert_to_numpy(layer([embedded, other])._keras_mask)
    np.testing.assert_array_equal(both, [[True, False, False], [True, False, False]])
    assert layer.compute_mask(x, None) is None


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_weights_in_float32(policy, rng):
    dtype = policy.removeprefix("mixed_")
    x = rng.normal(size=(64, 8)).astype("float32")
    global_policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        whole = TwoArgActivation()
    finally:
        keras.config.set_dtype_policy(global_policy)
    for layer in (whole, TwoArgActivation(dtype=policy)):
        y = layer(x)
        assert keras.backend.standardize_dtype(y.dtype) == dtype
        assert {w.dtype for w in layer.inner.weights} == {"float32"}
        exact = phi_in_float64(layer.inner, x.reshape(64, 4, 2))[..., 0]
        np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(y, "float32")), exact, atol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", ["auto", True, False])
@pytest.mark.parametrize("rows", [32, 3000])
def test_training_lowers_the_loss_however_it_is_compiled(jit_compile, rows, rng):
    if keras.backend.backend() == "torch" and jit_compile is True:
        pytest.skip("torch.compile needs a compiler at run time")
    model = shared_mlp()
    x = rng.normal(size=(rows, 6)).astype("float32")
    y = np.sign(x[:, :3] * x[:, 3:])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit_compile)
    losses = model.fit(x, y, batch_size=rows, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_frozen_phi_does_not_move_and_the_rest_does(rng):
    inner = InnerNetwork(hidden_units=(8, 8))
    model = shared_mlp(inner)
    inner.trainable = False
    assert len(model.trainable_variables) == 8
    phi, outer = inner.get_weights(), model.layers[0].get_weights()
    model.compile("adam", "mse")
    model.fit(rng.normal(size=(32, 6)), rng.normal(size=(32, 3)), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(phi, inner.get_weights(), strict=True))
    assert not np.array_equal(outer[0], model.layers[0].get_weights()[0])


def test_summary_counts_phi_once(capsys):
    model = shared_mlp(InnerNetwork())
    model.summary()
    assert "4,417" in capsys.readouterr().out
    outer = (6 + 1) * 16 + 2 * (8 + 1) * 16 + (8 + 1) * 3
    assert model.count_params() == outer + 4417


def test_regularizers_and_initializers_by_name():
    inner = InnerNetwork(kernel_initializer="he_normal", bias_initializer="ones", kernel_regularizer="l2")
    model = shared_mlp(inner)
    again = InnerNetwork.from_config(inner.get_config())
    assert isinstance(again.kernel_initializer, keras.initializers.HeNormal)
    assert isinstance(again.kernel_regularizer, keras.regularizers.L2)
    kernels = inner.get_weights()[::2]
    penalty = 0.01 * sum((k.astype("float64") ** 2).sum() for k in kernels)
    np.testing.assert_allclose(float(sum(model.losses)), penalty, rtol=1e-5)


def test_a_seeded_initializer_gives_each_layer_its_own_values():
    inner = InnerNetwork(hidden_units=(4, 4, 4), kernel_initializer=keras.initializers.GlorotUniform(seed=3))
    inner.build((None, 2))
    twin = InnerNetwork.from_config(inner.get_config())
    twin.build((None, 2))
    _, _, first, _, second, *_ = inner.get_weights()
    assert not np.array_equal(first, second)
    assert all(np.array_equal(a, b) for a, b in zip(inner.get_weights(), twin.get_weights(), strict=True))


ERRORS = {
    "odd last axis": (lambda: TwoArgActivation()(np.ones((2, 7))), "multiple of 2.*last axis = 7.*8 units"),
    "odd last axis, symbolic": (lambda: TwoArgActivation()(keras.Input((7,))), "multiple of 2.*last axis = 7"),
    "unknown last axis": (lambda: TwoArgActivation()(keras.Input((None,))), "last axis must have a known size"),
    "no batch axis": (lambda: TwoArgActivation()(np.ones(4)), r"batch axis.*shape=\(4,\)"),
    "unknown pairing": (lambda: TwoArgActivation(pairing="pairs"), "'adjacent', 'halves'.*'pairs'"),
    "unknown evaluation": (lambda: TwoArgActivation(evaluation="fast"), "'auto', 'exact', 'interpolated'.*'fast'"),
    "wrong number of tensors": (lambda: TwoArgActivation()([np.ones((2, 4))] * 3), "list of 2 tensors"),
    "different shapes": (lambda: TwoArgActivation()([np.ones((2, 4)), np.ones((2, 5))]), "of one shape"),
    "wrong arity": (lambda: InnerNetwork(arity=3)(np.ones((2, 2))), r"arity 3.*shape=\(2, 2\)"),
    "no hidden units": (lambda: InnerNetwork(hidden_units=(64, 0)), "`hidden_units` must be a positive integer"),
    "arity 0": (lambda: InnerNetwork(arity=0), "`arity` must be a positive integer"),
}


@pytest.mark.parametrize(("action", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_what_was_expected_and_received(action, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        action()


def test_inner_of_the_wrong_type():
    with pytest.raises(TypeError, match="must be an InnerNetwork.*Dense"):
        TwoArgActivation(keras.layers.Dense(1))
