"""Blocks: TwoArgDense and CellTypes compute what the layers they are made of do; all blocks in every use of Keras."""

import warnings

import keras
import numpy as np
import pytest

from keras_twoarg import (
    CellTypes,
    InnerNetwork,
    Interpolation,
    TwoArgActivation,
    TwoArgDense,
    TwoArgRNNCell,
    analysis,
    clone_model,
    describe,
    set_evaluation,
    set_phi,
    sharing_scope,
)
from keras_twoarg.models import PairRNNCell
from tests.helpers import BACKEND, array, assert_portable, inner_networks, numpy, small_phi

RNN = keras.layers.RNN
GRID = Interpolation(extent=3.0, resolution=9)


@pytest.mark.parametrize("make", [lambda phis: TwoArgDense(4, phis), lambda phis: TwoArgRNNCell(4, phis), CellTypes])
def test_the_evaluation_of_a_block_can_be_set(make):
    layer = make([small_phi(), small_phi()])
    layer.evaluation = "exact"
    assert layer.evaluation == ["exact", "exact"]
    layer.evaluation = ["auto", GRID]
    assert layer.evaluation == ["auto", GRID]
    with pytest.raises(ValueError, match="must be one of"):
        layer.evaluation = ["exact", "other"]
    with pytest.raises(ValueError, match="one for each of 2 cell types"):
        layer.evaluation = ["exact"]
    assert layer.evaluation == ["auto", GRID]


# CellTypes


@pytest.mark.parametrize("arity", [1, 2, 3])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_every_block_of_units_has_its_own_phi(arity, pairing, axis, rng):
    networks = [small_phi(arity, 1), small_phi(arity, 2), small_phi(arity, 3)]
    x = array(rng, 4, 6 * arity, 6 * arity)
    layer = CellTypes(networks, pairing=pairing, axis=axis, evaluation="exact")
    y = numpy(layer(x))
    assert y.shape == layer.compute_output_shape(x.shape)
    places = [TwoArgActivation(one, pairing=pairing, axis=axis, evaluation="exact") for one in networks]
    whole = [np.moveaxis(numpy(place(x)), axis, -1) for place in places]
    expected = np.concatenate([whole[k][..., 2 * k : 2 * k + 2] for k in range(3)], axis=-1)
    np.testing.assert_allclose(np.moveaxis(y, axis, -1), expected, atol=1e-5)


def test_types_are_evaluated_described_and_replaced_one_by_one(rng):
    networks = [small_phi(name="first"), small_phi(name="second")]
    layer = CellTypes(networks, evaluation=["exact", GRID])
    x = array(rng, 4, 8)
    layer(x)
    assert [(place.phi, place.units, place.nodes) for place in describe(layer).places] == [
        ("first", (2,), ()),
        ("second", (2,), (9, 9)),
    ]
    again = CellTypes.from_config(layer.get_config())
    assert again.evaluation == ["exact", GRID]
    layer.inner = [networks[1], networks[1]]
    np.testing.assert_allclose(
        numpy(layer(x)), numpy(CellTypes([networks[1]] * 2, evaluation=["exact", GRID])(x)), atol=1e-6
    )
    with pytest.raises(ValueError, match="Only an inner network of arity 2"):
        layer.inner = [networks[0], small_phi(arity=1)]
    assert layer.inner == [networks[1]] * 2


def test_two_streams_of_cell_types(rng):
    basal, apical = array(rng, 3, 5, 4), array(rng, 3, 5, 4)
    networks = [small_phi(seed=1), small_phi(seed=2)]
    listed = numpy(CellTypes(networks)([basal, apical]))
    joined = numpy(CellTypes(networks, pairing="halves")(np.concatenate([basal, apical], -1)))
    np.testing.assert_allclose(listed, joined, atol=1e-6)


# TwoArgDense


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2, 3])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_dense_is_a_dense_layer_and_an_activation(arity, pairing, rng):
    inner, x = small_phi(arity), array(rng, 3, 7, 6)
    layer = TwoArgDense(4, inner, pairing=pairing, bias_initializer="random_normal")
    y = numpy(layer(x))
    expected = TwoArgActivation(inner, pairing=pairing)(keras.ops.matmul(x, layer.dense.kernel) + layer.dense.bias)
    np.testing.assert_allclose(y, numpy(expected), atol=1e-5)
    assert layer.units == y.shape[-1] == 4 and layer.inner is inner and layer.arity == arity


def test_dense_takes_the_arguments_of_keras_dense():
    layer = TwoArgDense(
        4,
        use_bias=False,
        kernel_initializer="ones",
        kernel_regularizer="l2",
        kernel_constraint="non_neg",
        activity_regularizer="l1",
        name="block",
    )
    layer(np.ones((2, 3), "float32"))
    again = TwoArgDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert layer.dense.bias is None and (numpy(layer.dense.kernel) == 1).all() and len(layer.losses) == 2
    assert isinstance(again.dense.kernel_constraint, keras.constraints.NonNeg)


# Frozen


FROZEN = {
    "place": lambda **kwargs: TwoArgActivation(small_phi(), **kwargs),
    "types": lambda **kwargs: CellTypes([small_phi(), small_phi()], **kwargs),
    "dense": lambda **kwargs: TwoArgDense(4, small_phi(), **kwargs),
    "dense of types": lambda **kwargs: TwoArgDense(4, [small_phi(), small_phi()], **kwargs),
    "cell": lambda **kwargs: RNN(TwoArgRNNCell(4, small_phi(), **kwargs)),
}


@pytest.mark.parametrize("name", FROZEN)
def test_what_is_frozen_is_so_from_the_constructor_on_in_copies_and_in_files(name, tmp_path):
    shape = (2, 8) if name == "cell" else (8,)
    learning = keras.Sequential([keras.Input(shape), FROZEN[name]()])
    assert len(learning.trainable_weights) == len(learning.weights)
    made = keras.Sequential([keras.Input(shape), FROZEN[name](trainable=False)])
    learning.layers[0].trainable = False
    for model in (made, learning):
        model.save(tmp_path / "model.keras")
        for one in (model, clone_model(model), keras.models.load_model(tmp_path / "model.keras")):
            assert len(one.weights) > 5 and not one.trainable_weights


def test_a_frozen_layer_leaves_a_phi_of_a_file_as_it_was(tmp_path):
    model = keras.Sequential([keras.Input((8,)), TwoArgDense(8, small_phi()), TwoArgActivation(small_phi())])
    for layer in model.layers:
        layer.trainable = False
    model.layers[0].inner.trainable = True
    model.save(tmp_path / "model.keras")
    for one in (model, clone_model(model), keras.models.load_model(tmp_path / "model.keras")):
        assert [inner.trainable for inner in inner_networks(one)] == [True, False]
        assert len(one.trainable_weights) == len(small_phi().get_weights())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_blocks_compute_in_half_precision(policy, rng):
    x = array(rng, 3, 6, 5)
    for layer in (
        TwoArgDense(4, small_phi(), dtype=policy),
        RNN(TwoArgRNNCell(4, small_phi(), dtype=policy), dtype=policy),
        CellTypes([small_phi(), small_phi()], dtype=policy),
    ):
        y = layer(x[..., :4])
        assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
        assert {weight.dtype for weight in layer.weights} == {"float32"}


# All of them in one model


def blocks_model(inner, other):
    with sharing_scope(inner):
        both = keras.layers.Bidirectional(RNN(TwoArgRNNCell(4, inner), return_sequences=True))
    return keras.Sequential(
        [
            keras.Input((6, 5)),
            TwoArgDense(8, inner),
            keras.layers.TimeDistributed(TwoArgDense(8, inner, pairing="halves")),
            both,
            RNN(TwoArgRNNCell(4, [inner, other], arguments="mixed")),
            CellTypes([other, inner]),
        ]
    )


@pytest.mark.slow
def test_tools_see_the_places_of_blocks(rng):
    inner, other, x = small_phi(), small_phi(seed=4), array(rng, 7, 6, 5)
    model = blocks_model(inner, other)
    assert len(describe(model).places) == 8 and len(describe(model).phis) == 2
    assert set(set_evaluation(model, "exact").values()) == {"exact"}
    exact = model.predict(x, verbose=0)
    set_evaluation(model, "auto")
    np.testing.assert_allclose(model.predict(x, verbose=0), exact, atol=0.1)
    new = small_phi(seed=9)
    set_phi(model, new, instead_of=inner)
    assert {id(one) for one in inner_networks(model)} == {id(new), id(other)}
    dense = keras.Sequential([keras.Input((5,)), TwoArgDense(4, inner), TwoArgDense(3, inner)])
    assert [len(tuples) for tuples in analysis.pre_activations(dense, x[:, 0]).values()] == [28, 21]
    dense.layers[0].inner = new
    assert dense.layers[0].inner is new


# Recipes of the docstrings


def a_step(optimizer_for, rng):
    """Return how far one step has moved phi and the first kernel, and both before."""
    keras.utils.set_random_seed(2)
    inner = small_phi()
    model = keras.Sequential([keras.Input((5,)), TwoArgDense(4, inner), TwoArgDense(3, inner)])
    before = [numpy(w) for w in (inner.weights[0], model.layers[0].dense.kernel)]
    model.compile(optimizer_for(inner), "mse", run_eagerly=BACKEND != "jax")
    model.train_on_batch(array(rng, 8, 5), array(rng, 8, 3))
    after = [numpy(w) for w in (inner.weights[0], model.layers[0].dense.kernel)]
    return [np.abs(one - other) for one, other in zip(before, after, strict=True)], before


@pytest.mark.skipif(not hasattr(keras.optimizers, "MultiOptimizer"), reason="this Keras has no MultiOptimizer")
def test_phi_may_have_a_learning_rate_of_its_own(rng):
    def optimizer_for(inner):
        rates, slow = keras.optimizers.OptimizerMap(keras.optimizers.Adam(1e-2)), keras.optimizers.Adam(1e-4)
        for weight in inner.weights:
            rates[weight.path] = slow
        return keras.optimizers.MultiOptimizer(rates)

    (by_phi, by_kernel), _ = a_step(optimizer_for, rng)
    assert by_phi.max() == pytest.approx(1e-4, rel=0.01) and by_kernel.max() == pytest.approx(1e-2, rel=0.01)


def test_phi_may_be_free_of_weight_decay(rng):
    def optimizer_for(inner, decayed=False):
        optimizer = keras.optimizers.AdamW(1e-3, weight_decay=100.0)
        if not decayed:
            optimizer.exclude_from_weight_decay(var_list=inner.weights)
        return optimizer

    (by_phi, by_kernel), (_, kernel) = a_step(optimizer_for, rng)
    assert by_phi.max() <= 1.1e-3
    np.testing.assert_allclose(by_kernel, 0.1 * np.abs(kernel), atol=2e-3)
    (by_phi, _), (weights, _) = a_step(lambda inner: optimizer_for(inner, decayed=True), rng)
    np.testing.assert_allclose(by_phi, 0.1 * np.abs(weights), atol=2e-3)


ERRORS = {
    "units": (lambda: TwoArgDense(0), "`units` must be a positive integer.*units=0"),
    "units that are none": (lambda: TwoArgRNNCell("many"), "`units` must be a positive integer"),
    "separate arguments": (
        lambda: TwoArgRNNCell(4, small_phi(3)),
        "Separate arguments are two.*arguments='mixed'.*arity=3",
    ),
    "arguments": (lambda: TwoArgRNNCell(4, arguments="both"), "'separate', 'mixed'.*'both'"),
    "dropout": (lambda: TwoArgRNNCell(4, dropout=1.0), r"`dropout` must be in \[0, 1\)"),
    "dropout of pairs": (lambda: PairRNNCell(4, "product", recurrent_dropout=1.5), r"`recurrent_dropout` must be in"),
    "one type": (lambda: CellTypes([small_phi()]), "two or more inner networks of one arity. Received: 1"),
    "arities": (lambda: CellTypes([small_phi(), small_phi(1)]), r"two or more inner networks of one arity.*\[1, 2\]"),
    "evaluations": (
        lambda: CellTypes([small_phi()] * 2, evaluation=["exact"]),
        "`evaluation` must be a list with one for each of 2 cell types. Received: evaluation=..exact",
    ),
    "networks of types": (
        lambda: setattr(CellTypes([small_phi()] * 2), "inner", [small_phi()]),
        "`inner` must be a list with one for each of 2 cell types",
    ),
    "units of types": (
        lambda: CellTypes([small_phi()] * 2)(np.ones((2, 6))),
        "multiple of the number of cell types, 2.*3 units",
    ),
    "units of a block": (
        lambda: TwoArgDense(3, [small_phi()] * 2)(np.ones((2, 6))),
        "number of cell types, 2.*3 units",
    ),
    "pairing": (lambda: TwoArgDense(3, pairing="pairs"), "'adjacent', 'halves'"),
}


@pytest.mark.parametrize(("action", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_what_was_expected_and_received(action, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        action()


@pytest.mark.parametrize(
    "action",
    [lambda: TwoArgDense(4, "relu"), lambda: TwoArgRNNCell(4, keras.layers.Dense(1)), lambda: CellTypes(small_phi())],
)
def test_what_is_no_inner_network_is_told(action):
    with pytest.raises(TypeError, match="`inner` must be a"):
        action()


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="a SavedModel")
def test_exports_are_portable(tmp_path, rng):
    assert_portable(blocks_model(small_phi(), small_phi(seed=4)), array(rng, 3, 6, 5), tmp_path)


def test_a_quantized_block_is_saved_and_copied(tmp_path, rng):
    inner, x = small_phi(), array(rng, 7, 16)
    model = keras.Sequential([keras.Input((16,)), TwoArgDense(8, inner), TwoArgDense(8, inner), keras.layers.Dense(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # phi is told to have no `quantize`
        model.quantize("int8")
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "int8.keras")
    copy = clone_model(model)
    copy.set_weights(model.get_weights())
    for other in (keras.models.load_model(tmp_path / "int8.keras"), copy):
        np.testing.assert_allclose(other.predict(x, verbose=0), expected, atol=1e-5)
        assert "int8" in {weight.dtype for weight in other.weights}


def test_low_rank_adaptation_of_a_dense_layer_is_kept(tmp_path, rng):
    model = keras.Sequential([keras.Input((6,)), TwoArgDense(4, InnerNetwork((8,)))])
    dense = model.layers[0].dense
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(rng.normal(size=dense.lora_kernel_b.shape))
    model.save(tmp_path / "model.keras")
    x = rng.normal(size=(3, 6)).astype("float32")
    for copy in (keras.models.load_model(tmp_path / "model.keras"), clone_model(model)):
        copy.set_weights(model.get_weights())
        names = [weight.name for weight in copy.layers[0].dense.trainable_weights]
        assert names == ["bias", "lora_kernel_a", "lora_kernel_b"]
        np.testing.assert_allclose(copy.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
