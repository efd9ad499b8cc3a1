"""Another phi in a layer or model that is built, trained or loaded."""

import keras
import numpy as np
import pytest

from keras_twoarg import CellTypes, InnerNetwork, TwoArgActivation, TwoArgDense, assert_shared, describe, set_phi
from keras_twoarg.utils import keras_internals
from tests.helpers import BACKEND, inner_networks, phi_in_float64, shared_mlp


def seeded(hidden=(5,), arity=2, seed=7, **kwargs):
    initializer = keras.initializers.GlorotUniform(seed=seed)
    return InnerNetwork(hidden, arity=arity, kernel_initializer=initializer, **kwargs)


@pytest.mark.slow
@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("evaluation", ["exact", "interpolated"])
def test_a_layer_takes_another_phi_at_any_time(built, evaluation, rng):
    layer, other = TwoArgActivation(evaluation=evaluation), seeded()
    x = rng.normal(size=(9, 8)).astype("float32")
    if built:
        layer(x)
    layer.inner = other
    y = keras.ops.convert_to_numpy(layer(x))
    expected = phi_in_float64(other, x.reshape(-1, 4, 2))[..., 0]
    np.testing.assert_allclose(y, expected, atol=1e-5 if evaluation == "exact" else 0.05)
    assert [w is v for w, v in zip(layer.trainable_weights, other.weights, strict=True)] == [True] * 4
    other.trainable = False
    assert not layer.trainable_weights
    with pytest.raises(ValueError, match="cannot add new elements"):
        layer.something = keras.layers.Dense(1)


def test_all_models_that_hold_the_places_are_found_in_one_search(rng, monkeypatch):
    model, x = shared_mlp(places=3), rng.normal(size=(5, 6)).astype("float32")
    inner_part = keras.Sequential(model.layers[:2])
    before = inner_part.predict(x, verbose=0)
    searches, original = [], keras_internals.live_models
    monkeypatch.setattr(keras_internals, "live_models", lambda: searches.append(1) or original())
    set_phi(model, seeded())
    assert len(searches) == 1
    assert np.abs(inner_part.predict(x, verbose=0) - before).max() > 1e-3


@pytest.mark.parametrize("replace", [set_phi, lambda model, phi: setattr(model.layers[0], "inner", phi)])
def test_a_frozen_place_freezes_the_new_phi_too(replace):
    model, phi = keras.Sequential([keras.Input((4,)), TwoArgActivation(), keras.layers.Dense(2)]), seeded()
    model.layers[0].trainable = False
    replace(model, phi)
    assert not phi.trainable_weights and len(model.trainable_variables) == 2


def test_a_predicting_model_uses_the_new_phi(rng):
    model, x = shared_mlp(places=1), rng.normal(size=(5, 6)).astype("float32")
    before = model.predict(x, verbose=0)
    model.layers[1].inner = seeded()
    after = model.predict(x, verbose=0)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, keras.ops.convert_to_numpy(model(x)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["on_epoch_end", "on_train_batch_end"])
def test_a_callback_replaces_the_phi_of_a_running_fit(moment, rng):
    model, first, x = shared_mlp(places=1), seeded(), rng.normal(size=(64, 6)).astype("float32")
    model.compile("adam", "mse")
    callback = keras.callbacks.Callback()
    setattr(callback, moment, lambda number, logs=None: model.layers[1].inner is first or set_phi(model, first))
    start, dense = first.get_weights(), model.get_weights()[0]
    model.fit(x, x[:, :3], batch_size=64, epochs=2, verbose=0, callbacks=[callback])
    assert int(model.optimizer.iterations) == 1  # that of the new optimizer
    assert np.abs(first.get_weights()[0] - start[0]).max() > 1e-4
    assert 1.5e-3 < np.abs(model.get_weights()[0] - dense).max() < 2.5e-3  # two steps of Adam


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_all_places_of_a_loaded_model_and_training_goes_on(compiled, tmp_path, rng):
    x, y = rng.normal(size=(32, 6)).astype("float32"), rng.normal(size=(32, 3)).astype("float32")
    model = shared_mlp()
    if compiled:
        model.compile(keras.optimizers.Adam(0.02, beta_1=0.8), keras.losses.MeanSquaredError(), metrics=["mae"])
        model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    phi = seeded()
    set_phi(model, phi)
    assert_shared(model)
    assert inner_networks(model) == [phi]
    before = phi.get_weights()
    if not compiled:
        model.compile(keras.optimizers.Adam(0.02, beta_1=0.8), "mse", metrics=["mae"])
    losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.optimizer.beta_1 == 0.8 and int(model.optimizer.iterations.value) == 5
    assert not np.array_equal(before[0], phi.get_weights()[0])
    model.save(tmp_path / "again.keras")
    loaded = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


@pytest.mark.slow
def test_a_network_that_another_optimizer_knows_is_trained_after_compiling_again(rng):
    x, y = rng.normal(size=(16, 6)).astype("float32"), rng.normal(size=(16, 3)).astype("float32")
    model = shared_mlp(places=1)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    model.layers[1].inner = new = seeded()
    before = new.get_weights()
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    assert not np.array_equal(before[0], new.get_weights()[0])


@pytest.mark.slow
def test_one_of_several_networks_is_replaced():
    first, second, new = seeded(name="first"), seeded(name="second"), seeded(name="new")
    layers = [TwoArgActivation(first), TwoArgActivation(second), TwoArgActivation(first)]
    model = keras.Sequential([keras.Input((16,)), *layers])
    with pytest.raises(ValueError, match="must be one of .*'first', 'second'"):
        set_phi(model, new)
    set_phi(model, new, instead_of=first)
    assert [place.phi for place in describe(model).places] == ["new", "second", "new"]
    with pytest.raises(ValueError, match="must be one of .*'new', 'second'"):
        set_phi(model, new, instead_of=first)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's own checkpoints")
def test_tensorflow_sees_the_new_phi(tmp_path):
    import tensorflow as tf

    model, other = shared_mlp(places=2), shared_mlp(seeded(), places=2)
    set_phi(model, seeded(seed=8))
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    tf.train.Checkpoint(model=other).restore(path).assert_existing_objects_matched()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


def test_what_does_not_fit_is_refused_and_changes_nothing():
    model = shared_mlp(phi := seeded())
    for action in (
        lambda: set_phi(model, seeded(arity=1)),
        lambda: setattr(model.layers[1], "inner", seeded(arity=3)),
    ):
        with pytest.raises(ValueError, match="Only an inner network of arity 2 fits"):
            action()
    for action in (lambda: set_phi(model, keras.layers.Dense(1)), lambda: setattr(model.layers[1], "inner", "relu")):
        with pytest.raises(TypeError, match="must be an InnerNetwork"):
            action()
    with pytest.raises(ValueError, match="'plain' holds no TwoArgActivation"):
        set_phi(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="plain"), seeded())
    assert inner_networks(model) == [phi]


@pytest.mark.skipif(BACKEND != "torch", reason="torch's own lists")
@pytest.mark.parametrize("replace", [set_phi, lambda model, phi: setattr(model.layers[1], "inner", phi)])
def test_torch_trains_and_stores_the_new_phi(replace, rng):
    model = shared_mlp(places=1)
    model(rng.normal(size=(2, 6)).astype("float32"))
    before, other = model.layers[1].inner, seeded()
    replace(model, other)
    listed = {id(parameter) for parameter in model.parameters()}
    assert all(id(weight.value) in listed for weight in other.weights)
    assert not any(id(weight.value) in listed for weight in before.weights)
    assert {(2, 5), (5, 1)} <= {tuple(value.shape) for value in model.state_dict().values()}


@pytest.mark.skipif(BACKEND != "torch", reason="torch's own lists")
@pytest.mark.parametrize("replace", [set_phi, lambda block, phi: setattr(block, "inner", phi)])
def test_torch_lists_the_new_phi_of_a_block_without_a_model(replace, rng):
    block = TwoArgDense(4, seeded())
    block(rng.normal(size=(2, 6)).astype("float32"))
    before, other = block.inner, seeded()
    replace(block, other)
    listed = {id(parameter) for parameter in block.parameters()}
    assert listed == {id(weight.value) for weight in block.weights}
    assert not any(id(weight.value) in listed for weight in before.weights)


@pytest.mark.skipif(BACKEND != "torch", reason="torch's own lists")
@pytest.mark.parametrize("make", [CellTypes, lambda phis: TwoArgDense(4, phis)])
def test_torch_lists_the_new_phis_of_cell_types(make, rng):
    layer, others = make([seeded(), seeded()]), [seeded(), seeded()]
    layer(rng.normal(size=(2, 8)).astype("float32"))
    layer.inner = others
    assert {id(parameter) for parameter in layer.parameters()} == {id(weight.value) for weight in layer.weights}


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's strategies")
def test_a_model_of_a_strategy_is_trained_on_with_the_new_phi(rng):
    import tensorflow as tf

    x = rng.normal(size=(8, 6)).astype("float32")
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = shared_mlp(places=1)
        model.compile("sgd", "mse")
    model.fit(x, np.zeros((8, *model.output_shape[1:])), verbose=0)
    other, outside = seeded(), seeded()
    outside.ensure_built()
    with pytest.raises(ValueError, match=r"under `with model.distribute_strategy.scope\(\):`"):
        set_phi(model, outside)
    set_phi(model, other)
    before = other.get_weights()
    model.fit(x, np.zeros((8, *model.output_shape[1:])), verbose=0)
    assert not np.array_equal(before[0], other.get_weights()[0])
