"""Tables that hold a tolerance, chosen with calibration data, and the report on what they change."""

import json

import keras
import numpy as np
import pytest

from keras_twoarg import (
    InnerNetwork,
    Interpolation,
    TwoArgActivation,
    bake,
    models,
    set_evaluation,
)  # fmt: skip
from keras_twoarg.analysis.statistics import upper_bound
from tests.helpers import phi_in_float64, predictions, shared_mlp

BACKEND = keras.backend.backend()


UNDECIDED = 3  # a seed with which the first tables change too much


@pytest.mark.slow
def test_the_tolerance_bounds_the_error_at_the_pre_activations(model, images, rng):
    for tolerance in (1e-2, 1e-3):
        baked, report = bake(model, images, tolerance)
        for place in report.places:
            layer, before = baked.get_layer(place.name), model.get_layer(place.name)
            points = rng.normal(size=(5000, 2)).astype("float32")  # as behind a LayerNorm
            error = predictions(layer, points) - phi_in_float64(before.inner, points)
            assert np.sqrt(np.mean(error**2)) < 2 * tolerance * place.deviation
            assert place.mean <= tolerance * place.deviation and place.mean < place.largest


@pytest.mark.parametrize("tolerance", [0, -1e-3, 1.5, float("inf"), float("nan")])
def test_a_tolerance_that_means_nothing_is_refused(model, images, tolerance):
    with pytest.raises(ValueError, match=r"must be in \(0, 1\]"):
        bake(model, images, tolerance)


@pytest.mark.slow
def test_a_tolerance_that_no_table_meets_is_said(model, images):
    with pytest.raises(ValueError, match="Use a larger tolerance"):
        bake(model, images, 1e-30)


@pytest.mark.slow
def test_a_smaller_tolerance_takes_more_nodes_and_changes_outputs_less(model, images):
    # Else a prediction between two classes may ask for more nodes than the tolerance does.
    coarse, fine = (bake(model, images, tolerance, most_changed=1.0)[1] for tolerance in (3e-2, 1e-3))
    assert coarse.places[0].resolution < fine.places[0].resolution
    assert coarse.difference > fine.difference
    assert coarse.places[0].bytes < fine.places[0].bytes


def test_the_report_counts_changed_predictions_and_accuracies(model, images):
    set_evaluation(model, "exact")
    before = predictions(model, images)
    labels = np.where(np.arange(300) < 30, before.argmax(-1) + 1, before.argmax(-1)) % 10
    baked, report = bake(model, images, 0.3, labels=labels, most_changed=1.0)  # so that predictions do change
    after = predictions(baked, images)
    assert report.samples == 300 and report.accuracy_before == pytest.approx(0.9)
    assert report.accuracy_after == pytest.approx((after.argmax(-1) == labels).mean())
    assert report.changed == pytest.approx((after.argmax(-1) != before.argmax(-1)).mean())
    assert report.changed > 0
    assert report.difference == pytest.approx(np.abs(after - before).max(), rel=1e-3)
    text = str(report)
    assert f"{round(300 * report.changed)} of 300 predictions changed" in text
    assert f"Accuracy: 90.00% before, {report.accuracy_after:.2%} after" in text
    assert json.loads(json.dumps(report.to_dict()))["places"][0]["name"] == report.places[0].name


def undecided(seed, hidden_units=(16, 16)):
    """A model that has not been trained: its largest outputs are close to one another."""
    initializer = keras.initializers.GlorotUniform(seed)
    inner = InnerNetwork(hidden_units, kernel_initializer=initializer)
    model = models.mlp((6, 6, 1), 10, widths=(12, 12), inner=inner, seed=seed)
    set_evaluation(model, "exact")
    return model


@pytest.mark.slow
def test_few_enough_predictions_change_by_default(rng):
    x = rng.normal(size=(4000, 6, 6, 1)).astype("float32")
    model = undecided(seed=UNDECIDED)
    _, first = bake(model, x, most_changed=1.0)  # the tables that the tolerance asks for
    assert first.changed > 0.0005
    baked, report = bake(model, x)
    changed = (predictions(baked, x).argmax(-1) != predictions(model, x).argmax(-1)).sum()
    assert changed <= 2 and report.changed <= 0.0005
    assert report.bound == pytest.approx(upper_bound(round(4000 * report.changed), 4000))
    assert f"at most {report.bound:.3%}, with 95 % confidence" in str(report)
    assert all(b.resolution > a.resolution for a, b in zip(first.places, report.places, strict=True))


@pytest.mark.slow
def test_few_enough_predictions_of_a_small_cnn_change(rng):
    x = rng.normal(size=(2000, 22, 22, 1)).astype("float32")
    model = models.cnn((22, 22, 1), 10, widths=(12, 24, 24, 48), inner=InnerNetwork((8, 8)), seed=0)
    set_evaluation(model, "exact")
    baked, report = bake(model, x)
    changed = (predictions(baked, x).argmax(-1) != predictions(model, x).argmax(-1)).sum()
    assert changed <= 1 and report.samples == 2000 and report.bound < 0.0024


def test_what_no_table_can_hold_is_an_error_that_says_what_to_do(rng, monkeypatch):
    monkeypatch.setattr("keras_twoarg.export.bake.RESOLUTIONS", (17,))
    x = rng.normal(size=(1000, 6, 6, 1)).astype("float32")
    with pytest.raises(ValueError, match="predictions.*most_changed"):
        bake(undecided(seed=UNDECIDED), x, tolerance=1.0, most_changed=0.0)


def test_two_thousand_samples_are_looked_at_all_over_the_data(rng):
    model = keras.Sequential([keras.Input((2,)), TwoArgActivation(InnerNetwork((8, 8)), evaluation="exact")])
    x = rng.normal(size=(5000, 2)).astype("float32")
    x[-1] = 9.0  # in a place where the first 250, or every 20th, do not look
    x[2500:2503] = 7.0
    _, report = bake(model, x)
    assert report.places[0].extent == pytest.approx(1.05 * 9)
    assert "The table is of 2000 of the 5000 samples, spread evenly; others may lie outside." in str(report)


def test_a_place_that_is_constant_on_the_data_is_baked():
    inner = InnerNetwork((8, 8))
    model = keras.Sequential([keras.Input((4,)), TwoArgActivation(inner, evaluation="exact"), keras.layers.Dense(3)])
    x = np.ones((50, 4), "float32")
    baked, report = bake(model, x)
    np.testing.assert_allclose(predictions(baked, x), predictions(model, x), atol=1e-3)
    assert report.places[0].resolution < 300


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "labels", "task"),
    [
        ({}, None, "regression"),
        ({}, [0, 1], "binary"),
        ({"activation": "sigmoid"}, None, "binary"),
    ],
)
def test_one_output_is_a_probability_a_logit_or_a_regression(head, labels, task, rng):
    model = shared_mlp(InnerNetwork((8, 8)), places=1, classes=1)
    model.pop()
    model.add(keras.layers.Dense(1, **head))
    x = rng.normal(size=(400, 6)).astype("float32")
    _, report = bake(model, x, labels=labels and labels * 200)
    assert report.task == task
    if task == "regression":
        assert report.changed is None and report.bound is None and report.relative <= 0.003
        assert "of their standard deviation" in str(report)
    else:
        assert report.changed == 0.0 and 0.007 < report.bound < 0.008


def test_a_regression_holds_the_tolerance_at_its_outputs(rng):
    model = keras.Sequential([keras.Input((2,)), TwoArgActivation(InnerNetwork((8, 8)), evaluation="exact")])
    model.add(keras.layers.Dense(1))
    x = rng.normal(size=(1000, 2)).astype("float32")
    baked, _ = bake(model, x, 1e-3)
    before, after = predictions(model, x), predictions(baked, x)
    assert np.sqrt(np.mean((after - before) ** 2)) <= 1e-3 * before.std()


def test_a_model_with_several_inputs_is_calibrated_with_several_arrays(rng):
    basal, apical = keras.Input((6,), name="basal"), keras.Input((6,), name="apical")
    unit = TwoArgActivation(InnerNetwork((8, 8)))([keras.layers.Dense(8)(basal), keras.layers.Dense(8)(apical)])
    model = keras.Model([basal, apical], keras.layers.Dense(3)(unit))
    x = [rng.normal(size=(300, 6)).astype("float32") for _ in range(2)]
    for samples in (x, dict(zip(("basal", "apical"), x, strict=True))):
        _, report = bake(model, samples)
        assert report.samples == 300 and report.changed == 0.0
    with pytest.raises(ValueError, match="an array for each of 2 inputs. Received: 1"):
        bake(model, x[0])
    with pytest.raises(ValueError, match="the same number of samples for each input"):
        bake(model, [x[0], x[1][:5]])


def test_weights_that_are_not_finite_are_named(model, images):
    kernel = model.layers[-1].kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    for samples in (None, images):
        with pytest.raises(ArithmeticError, match="The weight .*kernel.* holds NaN or infinity"):
            bake(model, samples)


def test_pre_activations_outside_of_the_table_are_counted_and_go_on_linearly(rng):
    model = keras.Sequential([keras.Input((2,)), TwoArgActivation(evaluation=Interpolation(1.0, 9), name="unit")])
    x = rng.uniform(-2, 2, size=(200, 2)).astype("float32")
    baked, report = bake(model, x)
    assert report.places[0].outside == pytest.approx((np.abs(x) > 1).any(-1).mean())
    far = np.array([[3.0, 0.5], [5.0, 0.5], [7.0, 0.5]], "float32")  # on one line outside of the table
    y = predictions(baked, far)[:, 0]
    assert y[1] - y[0] == pytest.approx(y[2] - y[1], rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_without_calibration_data_arguments_are_taken_as_normal_and_nothing_is_promised(model, images):
    baked, report = bake(model)
    assert report.samples == 0 and report.changed is None and report.bound is None
    assert "No calibration data" in str(report) and "predictions were not checked" in str(report)
    np.testing.assert_allclose(predictions(baked, images), predictions(model, images), atol=0.1)


def test_the_report_gives_the_nodes_of_each_argument():
    for arity, nodes in ((1, "41"), (2, "41 x 41")):
        place = TwoArgActivation(InnerNetwork((4,), arity=arity), evaluation=Interpolation(2.0, 41), name="place")
        _, report = bake(keras.Sequential([keras.Input((4,)), place]))
        assert str(report).splitlines()[1].startswith(f"place  {nodes.rjust(5)}  ")
        assert str(report).splitlines()[1].split()[-2] == "-"  # nothing is known about arguments outside
