"""The optimizer is what the settings say, and phi has the learning rate that it was given."""

import keras
import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.analysis import inner_network
from keras_twoarg.experiments.training import networks, optimizers, sessions
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.training_loop import compile_network
from tests.helpers import blobs

pytestmark = pytest.mark.jax

SMALL = {"widths": (8,), "phi_init": "glorot", "batch_size": 50, "inner_units": (8,)}


def test_the_optimizer_is_what_the_settings_say():
    plain = optimizers.make_optimizer(Configuration(), 4, 100)
    assert type(plain).__name__ == "Adam" and float(plain.learning_rate) == pytest.approx(1e-3)
    settings = Configuration(
        optimizer="adamw", weight_decay=0.1, schedule="cosine", warmup_epochs=1, clip_norm=1.0, batch_size=30
    )
    optimizer = optimizers.make_optimizer(settings, epochs=4, samples=100)  # four steps an epoch
    assert (type(optimizer).__name__, optimizer.weight_decay, optimizer.global_clipnorm) == ("AdamW", 0.1, 1.0)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 2, 4, 10, 16)]
    np.testing.assert_allclose(rates, [0, 5e-4, 1e-3, 5e-4, 0], atol=1e-7)
    warm = optimizers.make_optimizer(Configuration(warmup_epochs=1, batch_size=30), epochs=4, samples=100)
    rates = [float(warm._learning_rate(step)) for step in (0, 2, 4, 10, 16)]
    np.testing.assert_allclose(rates, [0, 5e-4, 1e-3, 1e-3, 1e-3], atol=1e-7)  # behind the warm-up it stays


def after_one_step(**settings):
    """Return phi's weights and the others, before and after one step of a small network."""
    configuration = Configuration(**SMALL, dropout=0.0, **settings)
    inner = networks.make_phi(configuration)
    model = models.mlp((4,), 3, "two_arg", (8,), inner, seed=1)
    compile_network(model, optimizers.make_optimizer(configuration, 1, 50, inner))
    rng, before = np.random.default_rng(0), model.get_weights()
    model.train_on_batch(rng.normal(size=(50, 4)).astype("float32"), rng.integers(0, 3, 50))
    moved = [new - old for new, old in zip(model.get_weights(), before, strict=True)]
    own = {id(variable) for variable in inner.variables}
    is_phi = [id(variable) in own for variable in model.weights]
    return [
        np.concatenate([m.ravel() for m, phi in zip(moved, is_phi, strict=True) if phi is part])
        for part in (True, False)
    ]


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_phi_takes_steps_of_its_own_length(optimizer):
    settings = {"optimizer": optimizer, "weight_decay": 0.1 if optimizer == "adamw" else 0.0, "learning_rate": 0.01}
    phi, others = after_one_step(**settings)
    slow_phi, same_others = after_one_step(**settings, phi_learning_rate=0.001)
    np.testing.assert_allclose(slow_phi, phi / 10, atol=1e-7)
    np.testing.assert_allclose(same_others, others, atol=1e-7)
    assert np.abs(phi).max() > 0.009


def test_weight_decay_spares_phi_where_it_is_told_to():
    settings = {"optimizer": "adamw", "learning_rate": 0.01}
    plain, others_plain = after_one_step(**settings)
    decayed, others = after_one_step(**settings, weight_decay=0.5)
    spared, same_others = after_one_step(**settings, weight_decay=0.5, phi_without_decay=True)
    np.testing.assert_allclose(spared, plain, atol=1e-7)
    np.testing.assert_allclose(same_others, others, atol=1e-7)
    assert np.abs(decayed - plain).max() > 1e-4 and np.abs(others - others_plain).max() > 1e-4


def test_with_its_own_learning_rate_a_model_is_saved_and_loaded(tmp_path):
    configuration = Configuration(**SMALL, phi_learning_rate=0.1)
    inner = networks.make_phi(configuration)
    model = models.mlp((4,), 3, "two_arg", (8,), inner, seed=1)
    compile_network(model, optimizers.make_optimizer(configuration, 1, 50, inner))
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert type(loaded) is type(keras.optimizers.Adam())  # on torch a class of its own


@pytest.mark.slow
def test_a_resumed_run_with_phis_own_learning_rate_ends_with_the_same_numbers(tmp_path):
    settings = SMALL | {"epochs": 3, "frozen_epochs": 2, "phi_learning_rate": 1e-5, "schedule": "cosine"}

    def stop(stage, done, total, note):
        if done == 2 and stage == "joint":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sessions.run_sessions(blobs(), tmp_path / "stopped", stop, **settings)
    resumed, whole = (sessions.run_sessions(blobs(), tmp_path / name, **settings) for name in ("stopped", "whole"))
    assert [r.curve("val_loss") for r in resumed] == [r.curve("val_loss") for r in whole]
    slow = inner_network(keras.models.load_model(tmp_path / "whole" / "joint.keras")).get_weights()
    start = networks.make_phi(Configuration(**SMALL)).get_weights()
    assert 0 < max(np.abs(a - b).max() for a, b in zip(slow, start, strict=True)) < 1e-3


OWN = [
    {},
    {"optimizer": "adamw", "weight_decay": 0.1},
    {"schedule": "cosine"},
    {"warmup_epochs": 1},
    {"clip_norm": 0.5},
]


@pytest.mark.parametrize("settings", OWN, ids=["adam", "adamw", "cosine", "warmup", "clipped"])
def test_a_network_that_begins_anew_takes_the_steps_of_a_fresh_optimizer(settings, rng):
    configuration = Configuration(**SMALL, **settings)

    def optimizer():
        return optimizers.make_optimizer(configuration, 4, 500)  # 10 steps an epoch

    one, other, alone = (keras.Variable(rng.normal(size=(3,)).astype("float32")) for _ in range(3))
    both = optimizers.OneForEach([optimizer(), optimizer()], [[one], [other]])
    both.build([one, other])
    for gradient in rng.normal(size=(20, 3)).astype("float32"):
        both.apply([keras.ops.convert_to_tensor(gradient)] * 2, [one, other])
    kept, own = keras.ops.convert_to_numpy(one.value), optimizer()
    both.begin_anew(1)
    other.assign(alone.value)
    own.build([alone])
    for gradient in map(keras.ops.convert_to_tensor, rng.normal(size=(15, 3)).astype("float32")):
        both.apply([gradient, gradient], [one, other])
        own.apply([gradient], [alone])
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (other.value, alone.value)))
    assert not np.array_equal(one.value, kept)  # it went on
