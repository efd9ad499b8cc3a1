"""Networks that learn phi together: one phi, weights of their own, and resumed to the same numbers."""

import warnings

import keras
import numpy as np
import pytest

from keras_twoarg.analysis import inner_network
from keras_twoarg.experiments.training import datasets, networks, optimizers, sessions
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.population import Population
from keras_twoarg.experiments.training.training_loop import compile_network, fit
from tests.helpers import blobs, inner_networks

pytestmark = pytest.mark.jax

SMALL = {"networks": 3, "epochs": 6, "widths": (8,), "phi_init": "glorot", "batch_size": 50, "inner_units": (8,)}


def train_together(configuration):
    inner = networks.make_phi(configuration)
    population = Population(configuration, (8, 8, 1), 3, (8,), inner, seed=2, samples=240)
    compile_network(population.trainer, population.optimizer)
    population.optimizer.build(population.trainer.trainable_variables)
    return population


@pytest.fixture
def population():
    return train_together(Configuration(**SMALL))


def batch(rng, number=50):
    x = [rng.normal(size=(number, 8, 8, 1)).astype("float32") for _ in range(3)]
    return x, rng.integers(0, 3, (number, 3))


def test_all_hold_one_phi_and_differ_in_everything_else(population, rng):
    assert len({id(inner) for network in population.networks for inner in inner_networks(network)}) == 1
    kernels = [network.get_weights()[0] for network in population.networks]
    assert not any(np.allclose(kernels[0], other) for other in kernels[1:])
    x, _ = batch(rng)
    together = keras.ops.convert_to_numpy(population.trainer(x))
    for i, network in enumerate(population.networks):
        alone = keras.ops.convert_to_numpy(network(x[i]))
        np.testing.assert_allclose(together[:, i], alone, atol=1e-5)


@pytest.mark.slow
def test_each_but_the_first_begins_anew_once_and_leaves_phi_as_it_is(population, rng):
    x, y = batch(rng)
    for _ in range(3):
        population.trainer.train_on_batch(x, y)
    phi = [np.array(w) for w in population.networks[0].layers[-3].inner.get_weights()]
    before = [network.get_weights() for network in population.networks]
    turns = [population.begin_anew(epoch, 6) for epoch in range(1, 7)]
    assert turns == [[], [], [1], [], [2], []]
    after = [network.get_weights() for network in population.networks]
    assert all((a == b).all() for a, b in zip(before[0], after[0], strict=True))
    for i in (1, 2):
        same = [a.shape == (1,) or np.array_equal(a, b) for a, b in zip(before[i], after[i], strict=True)]
        assert not same[0]  # the first kernel
    for a, b in zip(phi, population.networks[0].layers[-3].inner.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


OPTIMIZERS = {
    "adam": {},
    "adamw, scheduled": {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine", "warmup_epochs": 1},
}


@pytest.mark.parametrize("settings", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_one_that_begins_anew_is_trained_as_it_would_be_alone(settings, rng):
    # phi stays as it is, so one can be trained alone; with two, the gradients are halved, which is exact.
    configuration = Configuration(**SMALL | settings | {"networks": 2, "dropout": 0.0, "phi_learning_rate": 1e-30})
    population = train_together(configuration)
    x, y = batch(rng)
    for _ in range(20):
        population.trainer.train_on_batch(x[:2], y[:, :2])
    assert population.begin_anew(4, 6) == [1]
    network, inner = population.networks[1], networks.make_phi(configuration)
    alone = networks.build_network(configuration, (8, 8, 1), 3, (8,), inner, seed=1)
    alone.set_weights(network.get_weights())
    alone.compile(optimizers.make_optimizer(configuration, 6, 240, inner), population.trainer.loss, loss_weights=[0.5])
    for _ in range(20):
        population.trainer.train_on_batch(x[:2], y[:, :2])
        alone.train_on_batch(x[1], y[:, 1])
        for weight, same in zip(network.get_weights(), alone.get_weights(), strict=True):
            np.testing.assert_allclose(weight, same, atol=1e-5)


@pytest.mark.slow
def test_a_run_is_one_network_afterwards_and_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        joint, frozen = sessions.run_sessions(blobs(), tmp_path / "run", frozen_epochs=2, seed=3, **SMALL)
        models = [keras.models.load_model(tmp_path / "run" / f"{stage}.keras") for stage in ("joint", "frozen")]
    assert joint.settings["networks"] == 3 and joint.parameters == frozen.parameters
    assert all(len(model.inputs) == 1 for model in models)
    first, second = (inner_network(model).get_weights() for model in models)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    x = datasets.scale(blobs().x_test)
    right = (models[0].predict(x, verbose=0).argmax(1) == blobs().y_test).mean()
    assert right == pytest.approx(joint.test_accuracy) and right > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("stop_after", "optimizer"), [(2, "adam"), (4, "adamw, scheduled")])
def test_stopped_and_started_again_it_ends_with_the_same_numbers(stop_after, optimizer, tmp_path):
    settings = {**SMALL, **OPTIMIZERS[optimizer], "frozen_epochs": 0, "seed": 3}
    (whole,) = sessions.run_sessions(blobs(), tmp_path / "whole", **settings)

    def stop(stage, done, total, note):
        if stage == "joint" and done == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sessions.run_sessions(blobs(), tmp_path / "stopped", stop, **settings)
    (resumed,) = sessions.run_sessions(blobs(), tmp_path / "stopped", **settings)
    for key in ("loss", "val_loss", "val_accuracy"):
        assert resumed.curve(key) == whole.curve(key)
    assert resumed.test_loss == whole.test_loss


@pytest.mark.slow
def test_a_checkpoint_with_one_optimizer_for_all_is_refused(population, tmp_path):
    def train():
        population.first.compile(loss=population.trainer.loss)
        fit(
            population.first,
            split,
            tmp_path / "checkpoint.npz",
            batch_size=50,
            epochs=1,
            seed=(0,),
            population=population,
        )

    split = datasets.split(blobs(), 0)
    compile_network(population.trainer, optimizers.make_optimizer(Configuration(**SMALL), 6, 240))
    train()
    compile_network(population.trainer, population.optimizer)
    with pytest.raises(ValueError, match="of another version .*Delete it to restart this stage"):
        train()
