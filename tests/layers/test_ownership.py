"""A phi in two models: told once where one changes the other, and not where that is meant."""

import copy
import gc
import warnings

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, TwoArgMaxPooling2D, clone_model
from tests.helpers import shared_mlp

# What these tests assert: where two models may hold one phi, a warning would be an error.
silence = pytest.mark.filterwarnings("error:Two models hold")
TOLD = "Two models hold the inner network.*not frozen"


def data(rng, number=16):
    return rng.normal(size=(number, 6)).astype("float32"), rng.normal(size=(number, 3)).astype("float32")


def train(model, rng):
    model.compile("adam", "mse", run_eagerly=True)  # quicker than tracing
    model.train_on_batch(*data(rng))
    return model


@pytest.mark.slow
@silence
def test_fit_is_training_too(rng):
    model = shared_mlp(inner := phi(), places=2)
    model.compile("adam", "mse")
    model.fit(*data(rng), verbose=0)
    with pytest.warns(UserWarning, match=TOLD):
        train(shared_mlp(inner), rng)


def phi():
    return InnerNetwork((4, 4))


@pytest.mark.slow
def test_a_second_model_that_trains_the_phi_of_a_live_one_is_told_once(rng):
    inner = phi()
    first = train(shared_mlp(inner), rng)
    second = shared_mlp(inner)
    with pytest.warns(UserWarning, match=f"(?s){TOLD}.*{second.name}.*{first.name}.*inside `build`") as told:
        train(second, rng)
        train(first, rng)
        train(shared_mlp(inner), rng)
    assert len([one for one in told if "Two models hold" in str(one.message)]) == 1


@pytest.mark.slow
def test_weights_loaded_into_the_phi_of_a_live_model_are_told(rng, tmp_path):
    inner = phi()
    first = train(shared_mlp(inner), rng)
    first.save_weights(tmp_path / "first.weights.h5")
    second = shared_mlp(inner)
    with pytest.warns(UserWarning, match=TOLD):
        second.load_weights(tmp_path / "first.weights.h5")


@pytest.mark.slow
def test_weights_loaded_into_two_untrained_models_are_told(rng, tmp_path):
    shared_mlp(phi()).save_weights(tmp_path / "other.weights.h5")
    inner = phi()
    models = [shared_mlp(inner), shared_mlp(inner)]
    models[0].load_weights(tmp_path / "other.weights.h5")
    with pytest.warns(UserWarning, match=TOLD):
        models[1].load_weights(tmp_path / "other.weights.h5")


@pytest.mark.slow
def test_training_after_loading_into_another_model_is_told(rng, tmp_path):
    shared_mlp(phi()).save_weights(tmp_path / "other.weights.h5")
    inner = phi()
    first, second = shared_mlp(inner), shared_mlp(inner)
    first.load_weights(tmp_path / "other.weights.h5")
    with pytest.warns(UserWarning, match=TOLD):
        train(second, rng)


@pytest.mark.slow
def test_pooled_places_are_told_too(rng):
    inner = phi()

    def network():
        layers = [keras.Input((6,)), keras.layers.Dense(64), keras.layers.Reshape((4, 4, 4))]
        pooled = TwoArgMaxPooling2D(inner, evaluation="interpolated")
        return keras.Sequential([*layers, pooled, keras.layers.Flatten(), keras.layers.Dense(3)])

    models = [train(network(), rng)]
    with pytest.warns(UserWarning, match=TOLD):
        models.append(train(network(), rng))


@silence
def test_a_frozen_phi_may_be_in_many_models(rng, tmp_path):
    inner = phi()
    joint = train(shared_mlp(inner), rng)
    inner.trainable = False
    frozen = train(shared_mlp(inner), rng)
    frozen.save_weights(tmp_path / "frozen.weights.h5")
    frozen.load_weights(tmp_path / "frozen.weights.h5")
    assert joint.built


@silence
def test_models_that_share_layers_or_lie_within_one_may_share_phi(rng):
    inner = phi()
    encoder = shared_mlp(inner, classes=6)
    x = keras.Input((6,))
    heads = [keras.Model(x, keras.layers.Dense(3)(encoder(x))) for _ in range(2)]
    part = keras.Model(encoder.inputs, encoder.layers[-2].output)
    for model in (*heads, keras.Sequential([keras.Input((6,)), part, keras.layers.Dense(3)])):
        train(model, rng)
    first, second = shared_mlp(other := phi(), classes=6), shared_mlp(other)
    train(keras.Sequential([keras.Input((6,)), first, second]), rng)
    train(second, rng)


@silence
def test_two_parts_of_a_model_with_a_step_of_its_own_may_share_phi(rng):
    class Pair(keras.Model):
        def __init__(self, inner):
            super().__init__()
            self.parts = [shared_mlp(inner, classes=6), shared_mlp(inner)]

        def call(self, x, training=None):
            for part in self.parts:
                x = part(x, training=training)
            return x

    pair = Pair(phi())
    x, _ = data(rng)
    for part in pair.parts:
        part(x, training=True)


@pytest.mark.slow
@silence
def test_a_model_that_nobody_holds_any_more_is_none(rng):
    inner = phi()
    for _ in range(2):
        train(shared_mlp(inner), rng)


@pytest.mark.slow
@silence
def test_copies_have_a_phi_of_their_own(rng, tmp_path):
    model = train(shared_mlp(phi()), rng)
    model.save(tmp_path / "model.keras")
    copies = [
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.load_model(tmp_path / "model.keras"),
        copy.deepcopy(model),
        clone_model(model),
    ]
    for one in copies:
        one.set_weights(model.get_weights())
        train(one, rng)
    train(model, rng)


@silence
def test_a_place_without_a_model_is_none(rng):
    inner = phi()
    for _ in range(2):
        TwoArgActivation(inner)(rng.normal(size=(3, 4)).astype("float32"), training=True)


def best_two(build, folder, rng):
    keras_tuner = pytest.importorskip("keras_tuner")
    tuner = keras_tuner.RandomSearch(build, "val_loss", max_trials=2, seed=1, directory=folder, project_name="search")
    x, y = data(rng, 32)
    tuner.search(x, y, epochs=2, validation_data=(x, y), verbose=0)
    scores = [trial.score for trial in tuner.oracle.get_best_trials(2)]
    best = tuner.get_best_models(2)
    return scores, [model.evaluate(x, y, verbose=0) for model in best]


def builder(inner):
    def build(hyperparameters):
        keras.utils.set_random_seed(3)
        width = hyperparameters.Choice("width", [4, 8])
        model = shared_mlp(inner or InnerNetwork((4, 4)), places=1, width=width)
        model.compile(keras.optimizers.Adam(0.05), "mse")
        return model

    return build


@pytest.mark.slow
@silence
def test_the_best_models_of_a_tuner_that_makes_phi_in_build_are_what_was_scored(tmp_path, rng):
    gc.collect()
    scores, again = best_two(builder(None), tmp_path, rng)
    np.testing.assert_allclose(again, scores, rtol=1e-4)


@pytest.mark.slow
def test_the_best_models_of_a_tuner_with_one_phi_for_all_are_told(tmp_path, rng):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores, again = best_two(builder(phi()), tmp_path, rng)
    assert any("KerasTuner, inside `build`" in str(one.message) for one in caught)
    assert np.abs(np.subtract(again, scores)).max() > 1e-3  # what the warning is about
