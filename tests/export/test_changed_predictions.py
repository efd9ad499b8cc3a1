"""Counting changed predictions."""

import keras
import numpy as np
import pytest

from keras_twoarg.export.changed_predictions import count_changes, tasks_of


def test_every_task_counts_what_it_means():
    before, after = np.array([[0.2], [0.6], [3.0]]), np.array([[0.4], [0.4], [3.0]])
    binary = count_changes([before], [after], [("binary", 0.5)])
    assert (binary.changed, binary.predictions, binary.share) == (1, 3, pytest.approx(1 / 3))
    regression = count_changes([before], [after], [("regression", 0.0)])
    assert regression.share is None and regression.bound is None
    expected = np.sqrt(np.mean((after - before) ** 2)) / before.std()
    assert regression.relative == pytest.approx(expected)
    assert not regression.within(1.0, expected / 2) and regression.within(0.0, 2 * expected)


def test_a_map_of_classes_has_many_predictions_and_no_bound():
    before = np.zeros((4, 5, 5, 3))
    after = before.copy()
    after[0, 0, 0, 1] = 1
    changes = count_changes([before], [after], [("classes", 0.0)])
    assert (changes.changed, changes.predictions, changes.samples, changes.bound) == (1, 100, 4, None)


def test_outputs_that_became_nan_are_never_within():
    before = np.array([[0.2], [0.7]])
    for task in (("binary", 0.5), ("classes", 0.0), ("regression", 0.0)):
        for wrong in (np.nan, np.inf):
            assert not count_changes([before], [np.array([[wrong], [0.7]])], [task]).within(1.0, 1.0)
            of_two = count_changes([before, before], [before, np.array([[wrong], [0.7]])], [task, task])
            assert not of_two.within(1.0, 1.0)


def test_the_task_is_read_off_the_last_layer_and_the_labels():
    def task(outputs, labels=None, said="auto", **settings):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(**settings)])
        (found,) = tasks_of(model, [outputs], labels, said)
        return found

    one, three = np.array([[-1.0], [2.0]]), np.array([[-1.0, 2.0, 0.0]])
    assert task(three, units=3) == ("classes", 0.0)
    assert task(three, units=3, activation="sigmoid") == ("binary", 0.5)
    assert task(one, units=1, activation="sigmoid") == ("binary", 0.5)
    assert task(one, units=1) == ("regression", 0.0)
    assert task(one, units=1, labels=[0, 1]) == ("binary", 0.0)
    assert task(three, units=3, said="regression") == ("regression", 0.0)
    with pytest.raises(ValueError, match="`task` must be one of"):
        task(one, units=1, said="ranking")


def test_one_half_is_the_threshold_of_probabilities_only():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    between, beyond = np.array([[0.2], [0.9]]), np.array([[-0.2], [0.9]])
    assert tasks_of(model, [between], labels=[0, 1]) == [("binary", 0.0)]  # logits that happen to lie in [0, 1]
    assert tasks_of(model, [between], task="binary") == [("binary", 0.5)]
    with pytest.raises(ValueError, match="needs a column for each class. Received: one. Use 'binary' or 'regression'"):
        tasks_of(model, [between], task="classes")  # of which the largest is always the same
    assert tasks_of(model, [beyond], task="binary") == [("binary", 0.0)]


@pytest.mark.parametrize(
    "head", [keras.layers.Dense(1, "hard_sigmoid"), keras.layers.TimeDistributed(keras.layers.Dense(1, "sigmoid"))]
)
def test_probabilities_of_other_heads_have_one_half_for_a_threshold(head):
    model = keras.Sequential([keras.Input((3, 4)), head])
    outputs = model.predict(np.zeros((2, 3, 4)), verbose=0)
    assert tasks_of(model, [outputs], labels=[0, 1]) == [("binary", 0.5)]


def test_probabilities_of_an_unknown_operation_have_one_half_for_a_threshold():
    inputs = keras.Input((2,))
    product = keras.layers.Multiply()([keras.layers.Dense(1, "sigmoid")(inputs) for _ in range(2)])
    model, outputs = keras.Model(inputs, product), np.array([[0.2], [0.9]])
    assert tasks_of(model, [outputs], labels=[0, 1]) == [("binary", 0.5)]
    assert tasks_of(model, [outputs - 0.5], labels=[0, 1]) == [("binary", 0.0)]


@pytest.mark.parametrize("units", [1, 3])
def test_a_sigmoid_is_seen_behind_what_keeps_its_values(units):
    inputs = keras.Input((2,))
    one, two = (keras.layers.Dense(units, "sigmoid")(inputs) for _ in range(2))
    for outputs in (
        keras.layers.Activation("linear", dtype="float32")(one),  # a usual end in mixed precision
        keras.layers.Average()([one, two]),
        keras.layers.Concatenate()([one, keras.layers.Dropout(0.1)(two)]),
        keras.ops.cast(keras.ops.squeeze(keras.ops.expand_dims(one, 1), 1), "float16"),
        keras.Model(inputs, keras.layers.Activation("linear")(one))(inputs),
    ):
        assert tasks_of(keras.Model(inputs, outputs), [np.zeros(outputs.shape[1:])]) == [("binary", 0.5)]
    other = keras.layers.Average()([one, keras.layers.Dense(units)(inputs)])
    assert tasks_of(keras.Model(inputs, other), [np.full((1, units), 2.0)]) != [("binary", 0.5)]


def test_every_output_has_the_task_of_what_computed_it():
    inputs = keras.Input((2,))
    classes = keras.layers.Dense(3, activation="softmax")(inputs)
    number = keras.layers.Dense(1)(inputs)
    yes = keras.layers.Dense(1, activation="sigmoid")(inputs)
    found = {"classes": np.zeros((2, 3)), "regression": np.zeros((2, 1)), "binary": np.zeros((2, 1))}

    def tasks(outputs, *expected):
        return [task for task, _ in tasks_of(keras.Model(inputs, outputs), [found[name] for name in expected])]

    for names, outputs in (
        (("classes", "regression", "binary"), [classes, number, yes]),
        (("binary", "classes"), [yes, classes]),
        (("binary", "regression", "classes"), keras.Model(inputs, [yes, number, classes])(inputs)),  # nested
        (("binary",), keras.ops.sigmoid(number)),
        (("binary",), keras.layers.Reshape((1, 1))(yes)),
        (("classes", "binary"), {"b": yes, "a": classes}),  # Keras gives them by name
    ):
        assert tasks(outputs, *names) == list(names)
