"""How phi is evaluated can be changed at any time, is saved with the model, and is exported."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import InnerNetwork, Interpolation, TwoArgActivation, set_evaluation
from keras_twoarg.layers.quadratic_network import QuadraticNetwork
from keras_twoarg.ops import table
from tests.helpers import BACKEND, assert_portable, phi_in_float64, shared_mlp

pytestmark = pytest.mark.jax


@pytest.mark.slow
def test_the_same_file_serves_both_and_keeps_the_choice(tmp_path, rng):
    grid = Interpolation(4.0, 33)
    model = keras.Sequential([keras.Input((8,)), TwoArgActivation(evaluation=grid)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].evaluation == grid
    x = rng.normal(size=(5, 8)).astype("float32")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    switched = keras.models.load_model(tmp_path / "model.keras")
    switched.layers[0].evaluation = "exact"
    exact = phi_in_float64(switched.layers[0].inner, x.reshape(5, 4, 2))[..., 0]
    np.testing.assert_allclose(switched.predict(x, verbose=0), exact, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("traced_before", [False, True])
def test_the_evaluation_changes_at_any_time(traced_before, rng):
    coarse, x = (
        Interpolation(3.0, 2),
        2 * rng.normal(size=(64, 6)).astype("float32"),
    )  # nodes so far apart that it shows
    model, other = shared_mlp(), shared_mlp()
    other.set_weights(model.get_weights())
    for m in (model, other):
        m.compile(keras.optimizers.SGD(0.1), "mse")
    if traced_before:  # fit, evaluate and predict have been traced with an exact phi
        model.fit(x, x[:, :3], verbose=0)
        model.evaluate(x, x[:, :3], verbose=0)
        exact = model.predict(x, verbose=0)
        other.set_weights(model.get_weights())
    set_evaluation(model, coarse)
    set_evaluation(other, coarse)
    other.compile(keras.optimizers.SGD(0.1), "mse")  # nothing traced before
    if traced_before:
        assert np.abs(model.predict(x, verbose=0) - exact).max() > 1e-3
    np.testing.assert_allclose(model.predict(x, verbose=0), other.predict(x, verbose=0), atol=1e-5)
    losses = [m.fit(x, x[:, :3], shuffle=False, epochs=2, verbose=0).history["loss"] for m in (model, other)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(*(m.evaluate(x, x[:, :3], verbose=0) for m in (model, other)), rtol=1e-4)


@pytest.mark.slow
def test_switching_keeps_the_optimizer(rng):
    model, x = shared_mlp(), rng.normal(size=(64, 6)).astype("float32")
    model.compile("adam", "mse")
    model.fit(x, x[:, :3], verbose=0)
    before = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    set_evaluation(model, "interpolated")
    assert int(model.optimizer.iterations) == 2
    assert all(np.array_equal(a, v) for a, v in zip(before, model.optimizer.variables, strict=True))
    model.fit(x, x[:, :3], verbose=0)
    assert int(model.optimizer.iterations) == 4


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["on_epoch_end", "on_train_batch_end"])
def test_a_callback_changes_the_evaluation_of_a_running_fit(moment, rng):
    coarse, x = Interpolation(3.0, 2), 2 * rng.normal(size=(64, 6)).astype("float32")
    model, by_hand = shared_mlp(), shared_mlp()
    by_hand.set_weights(model.get_weights())

    callback = keras.callbacks.Callback()
    setattr(callback, moment, lambda number, logs=None: set_evaluation(model, coarse))
    for m in (model, by_hand):
        m.compile(keras.optimizers.SGD(0.1), "mse")
    settings = {"batch_size": 64, "shuffle": False, "verbose": 0}
    model.fit(x, x[:, :3], epochs=2, callbacks=[callback], validation_data=(x, x[:, :3]), **settings)
    by_hand.fit(x, x[:, :3], **settings)
    set_evaluation(by_hand, coarse)
    by_hand.fit(x, x[:, :3], **settings)
    for weight, its_twin in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(weight, its_twin, atol=1e-5)


def test_auto_interpolates_where_128_samples_have_more_units_than_the_table_has_nodes():
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(104), TwoArgActivation(name="52 units")])
    model.add(keras.layers.Dense(102))
    model.add(TwoArgActivation(name="51 units"))
    model.add(TwoArgActivation(InnerNetwork(arity=1), name="one argument"))
    model.add(keras.layers.Dense(500))
    model.add(TwoArgActivation(QuadraticNetwork(), name="six coefficients"))
    assert set_evaluation(model, "auto") == {
        "52 units": "interpolated", "51 units": "exact", "one argument": "interpolated", "six coefficients": "exact",
    }  # fmt: skip
    sequence = keras.Sequential([keras.Input((None, 8)), TwoArgActivation(name="any length")])
    assert set_evaluation(sequence, "auto") == {"any length": "interpolated"}
    triples = keras.Sequential([keras.Input((900,)), TwoArgActivation(InnerNetwork(arity=3), name="triples")])
    assert set_evaluation(triples, "auto") == {"triples": "exact"}


def test_an_evaluation_that_does_not_fit_one_place_changes_none():
    places = [TwoArgActivation(evaluation="exact"), TwoArgActivation(InnerNetwork(arity=3))]
    with pytest.raises(ValueError, match="takes one or two arguments"):
        set_evaluation(keras.Sequential([keras.Input((12,)), *places]), "interpolated")
    assert [place.evaluation for place in places] == ["exact", "auto"]


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="a SavedModel cannot be written from torch")
def test_an_export_agrees_and_is_portable(tmp_path, rng):
    model, x = shared_mlp(), rng.normal(size=(5, 6)).astype("float32")
    set_evaluation(model, "interpolated")
    np.testing.assert_allclose(model.predict(x, verbose=0), ops.convert_to_numpy(model(x)), atol=1e-5)
    assert_portable(model, x, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere one path serves all")
def test_what_keras_traces_for_predict_and_evaluate_is_compiled(rng, monkeypatch):
    compiled = []
    original = table._tensorflow_look_up
    monkeypatch.setattr(table, "_tensorflow_look_up", lambda *a: compiled.append(a) or original(*a))
    model, x = shared_mlp(places=1), rng.normal(size=(64, 6)).astype("float32")
    set_evaluation(model, "interpolated")
    model(x)
    assert not compiled
    model.predict(x, verbose=0)
    assert compiled
    compiled.clear()
    model.compile("sgd", "mse", steps_per_execution=2)
    model.evaluate(x, x[:, :3], verbose=0)
    assert compiled
