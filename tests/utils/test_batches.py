"""Batches for `fit` and `evaluate`: the same numbers as from arrays, and nothing that TensorFlow waits for."""

import gc
import resource
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_twoarg.utils.batches import for_evaluate, for_fit
from tests.helpers import ROOT

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(21, 3)), RNG.integers(0, 4, 21)  # the last batch is smaller


def model():
    keras.utils.set_random_seed(1)
    built = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(4)])
    built.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return built


def test_batches_give_the_same_numbers_as_arrays():
    ours, plain = model(), model()
    for _ in range(2):
        ours.fit(**for_fit(X, Y, 8), verbose=0)
        plain.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert ours.evaluate(**for_evaluate(X, Y, 10), verbose=0) == plain.evaluate(X, Y, batch_size=10, verbose=0)


@pytest.mark.filterwarnings("error")
def test_several_inputs_and_an_order_of_their_own_reach_the_model():
    a, b = keras.Input((3,)), keras.Input((3,))
    both = keras.Model([a, b], keras.layers.Dense(2)(keras.ops.add(a, b)))
    both.compile("sgd", "mse")
    history = both.fit(**for_fit((X, X), np.zeros((21, 2)), 8, shuffle=True), epochs=2, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends read arrays")
def test_tensorflow_has_nothing_to_tune_and_shuffles_anew():
    dataset = for_fit(X, np.arange(21), 8, shuffle=True)["x"]
    assert dataset.options().autotune.enabled is False
    first, second = (np.concatenate([y for _, y in dataset.as_numpy_iterator()]) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(21)) and list(first) != list(second)


def megabytes():
    """Return what this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends read arrays")
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as Linux tells it")
def test_an_epochs_arrays_are_freed_with_it():
    """Not when Python next looks for cycles: that may be dozens of epochs later.

    In a process of its own: what one holds in which hundreds of tests have run tells little.
    """
    program = "from tests.utils.test_batches import megabytes_of_epochs; print(megabytes_of_epochs())"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    grown = float(told.stdout.split()[-1])
    assert grown < 200, f"{grown:.0f} MB more after 25 epochs of 16 MB"


def megabytes_of_epochs():
    """Return how much more memory a process holds after 25 epochs, while Python looks for no cycles."""
    gc.disable()
    trained, held = model(), []
    for _ in range(30):
        large = np.ones((1_000_000, 3), "float32")  # 12 MB
        trained.fit(**for_fit(large, np.zeros(1_000_000, "int32"), 500_000), verbose=0)
        held.append(megabytes())
    return np.mean(held[-5:]) - np.mean(held[:5])
