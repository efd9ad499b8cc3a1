"""Synthetic tasks are what they say, the same each time, and their parts are apart."""

import numpy as np
import pytest

from keras_twoarg.experiments.training import algorithmic, datasets


def test_parity_is_the_product_of_the_first_signs():
    task = datasets.load("parity-7-3")
    assert (task.kind, task.input_shape, task.classes) == ("signs", (7,), 2)
    for x, y in ((task.x_train[:5000], task.y_train[:5000]), (task.x_test, task.y_test), task.validation):
        signs = datasets.scale(x)
        assert set(np.unique(signs)) == {-1.0, 1.0}
        np.testing.assert_array_equal(signs[:, :3].prod(axis=1) > 0, y == 1)
        assert 0.4 < y.mean() < 0.6
    assert task.fingerprint == datasets.load("parity-7-3").fingerprint != datasets.load("parity-7-2").fingerprint


def test_addition_has_every_pair_once():
    task = datasets.load("addition-11")
    parts = [(task.x_train, task.y_train), task.validation, (task.x_test, task.y_test)]
    numbers = [(x[:, :11].argmax(1), x[:, 11:].argmax(1)) for x, _ in parts]
    assert all((x.sum(axis=1) == 2).all() for x, _ in parts)
    for (first, second), (_, y) in zip(numbers, parts, strict=True):
        np.testing.assert_array_equal((first + second) % 11, y)
    pairs = {(int(a), int(b)) for first, second in numbers for a, b in zip(first, second, strict=True)}
    assert len(pairs) == 121 == sum(len(y) for _, y in parts) and len(task.y_train) == 48


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("parity-4-5", "K from 1 to N"),
        ("parity-4-0", "K from 1 to N"),
        ("parity-2000-5", "at most 1,000"),
        ("addition-3", "P from 5 to 499"),
        ("addition-9999", "P from 5 to 499"),
    ],
)
def test_numbers_that_make_no_sense(name, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(name)


def test_only_whole_names_are_known():
    assert algorithmic.is_known("parity-40-4") and not algorithmic.is_known("parity-40-4x")
    with pytest.raises(ValueError, match="such as 'parity-40-4'"):
        algorithmic.draw("parity")
