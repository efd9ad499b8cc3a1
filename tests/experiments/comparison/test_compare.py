"""A user's own model against itself with other units: fair, resumed, and honest about what is shown."""

import io
import json

import keras
import numpy as np
import pytest
import rich.console
from keras import layers

from keras_twoarg import assert_shared
from keras_twoarg.experiments.comparison import Comparison, Run, compare, networks
from keras_twoarg.experiments.comparison.networks import OWN

pytestmark = pytest.mark.jax

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("float32")


def own(activation="relu", loss="binary_crossentropy", metrics=("accuracy",), seed=None):
    kernel = keras.initializers.GlorotUniform(seed=seed)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(60, activation=activation, kernel_initializer=kernel),
            layers.Dense(60, activation=activation),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=list(metrics))
    return model


SMALL = {"arms": ["swiglu"], "epochs": 2, "seeds": 2, "batch_size": 20}


def test_each_arm_has_runs_of_its_own_and_a_best_network(tmp_path):
    compared = compare(own(), (X, Y), (X[:40], Y[:40]), tmp_path / "out", **SMALL)
    assert [run.name for run in compared.runs] == ["own-0", "swiglu-0", "own-1", "swiglu-1"]
    assert all(len(run.epochs) == 2 and run.seconds > 0 and run.computed_by["keras"] for run in compared.runs)
    best = keras.models.load_model(tmp_path / "out" / "best-swiglu.keras")
    expected = min(compared.chosen("swiglu"), key=lambda run: run.validation)
    loss, accuracy = best.evaluate(X[:40], Y[:40], verbose=0)
    assert (loss, accuracy) == pytest.approx((expected.test["loss"], expected.test["accuracy"]), abs=1e-5)
    assert "Student" in str(compared) and "2 epochs" in str(compared) and "0.01" in str(compared)


@pytest.mark.slow
def test_the_commit_is_that_of_the_beginning(tmp_path, commit_changes):
    compared = compare(own(), (X, Y), (X, Y), tmp_path, commit_changes, **SMALL | {"seeds": 1, "epochs": 1})
    assert {run.computed_by["commit"] for run in compared.runs} == {"before"}


@pytest.mark.slow
def test_what_was_stopped_is_resumed_and_seeds_can_be_added(tmp_path):
    def stop(name, done, total, note):
        if name == "swiglu-0" and done == 1:
            raise KeyboardInterrupt

    data = ((X, Y), (X[:40], Y[:40]))
    with pytest.raises(KeyboardInterrupt):
        compare(own(seed=3), *data, tmp_path / "stopped", stop, **SMALL)
    before = (tmp_path / "stopped" / "runs" / "own-0.json").read_bytes()
    trained = []
    resumed = compare(own(seed=3), *data, tmp_path / "stopped", lambda name, *_: trained.append(name), **SMALL)
    assert set(trained) == {"swiglu-0", "own-1", "swiglu-1"}
    epochs = json.loads(before)["epochs"]
    assert json.loads((tmp_path / "stopped" / "runs" / "own-0.json").read_text())["epochs"] == epochs
    whole = compare(own(seed=3), *data, tmp_path / "whole", **SMALL)
    assert [run.test for run in resumed.runs] == [run.test for run in whole.runs]
    more = compare(own(seed=3), *data, tmp_path / "whole", **SMALL | {"seeds": 3})
    assert len(more.runs) == 6 and more.runs[:4] == whole.runs
    best = keras.models.load_model(tmp_path / "whole" / "best-swiglu.keras")  # perhaps of the new seed
    expected = min(more.chosen("swiglu"), key=lambda run: run.validation)
    assert best.evaluate(*data[1], verbose=0)[0] == pytest.approx(expected.test["loss"], abs=1e-5)


@pytest.mark.slow
def test_a_folder_of_another_comparison_is_refused(tmp_path):
    data = ((X, Y), (X[:40], Y[:40]))
    compare(own(), *data, tmp_path, **SMALL | {"seeds": 1})
    with pytest.raises(ValueError, match="another configuration: epochs=2 there, 3 here"):
        compare(own(), *data, tmp_path, **SMALL | {"epochs": 3})
    with pytest.raises(ValueError, match="another configuration: data="):
        compare(own(), (X, 1 - Y), data[1], tmp_path, **SMALL)
    with pytest.raises(ValueError, match="another configuration: model="):
        compare(own("tanh"), *data, tmp_path, **SMALL)


def test_a_model_made_anew_is_the_same_one_and_a_changed_one_is_not():
    keras.backend.clear_session()  # names are counted from the beginning: adam, adam_1
    first, again = (networks.fingerprint(own(), weights=False) for _ in range(2))
    assert first == again
    assert first != networks.fingerprint(own("tanh"), weights=False)
    assert first != networks.fingerprint(own(loss="mse"), weights=False)


def test_seeds_give_other_weights_where_the_model_has_seeds_of_its_own_and_arms_share_them():
    model = own(seed=1)
    a, b, c = (
        networks.make(model, arm, seed, "parameters", None).layers[1].get_weights()[0]
        for arm, seed in ((OWN, 0), (OWN, 1), (OWN, 1))
    )
    assert np.abs(a - b).max() > 0.1
    np.testing.assert_array_equal(b, c)


@pytest.mark.slow
def test_with_the_function_kept_all_begin_as_the_model_is(tmp_path):
    model = own()
    model.fit(X, Y, epochs=3, verbose=0)
    before, expected = model.get_weights(), model.predict(X, verbose=0)
    for arm in (OWN, "two_arg", "one_arg"):
        network = networks.make(model, arm, 7, "function", None)
        np.testing.assert_allclose(network.predict(X, verbose=0), expected, atol=1e-5)
    compared = compare(model, (X, Y), (X, Y), tmp_path, keep="function", epochs=1, seeds=1, arms=["two_arg"])
    assert compared.runs[1].parameters > compared.runs[0].parameters
    assert "more parameters" in compared.table().caption
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert_shared(keras.models.load_model(tmp_path / "best-two_arg.keras"))


@pytest.mark.slow
def test_of_several_rates_the_best_by_validation_is_tested_alone(tmp_path):
    compared = compare(own(), (X, Y), (X, Y), tmp_path, **SMALL | {"learning_rates": (1e-2, 1e-7)})
    for arm in compared.arms:
        tested = {run.learning_rate for run in compared.runs if run.test and run.arm == arm}
        assert tested == {compared.chosen(arm)[0].learning_rate}
    assert "learning rate" in compared.table().columns
    assert compared.recipe.endswith("Adam")  # its rate is the table's, not that of the model


@pytest.mark.slow
def test_a_run_that_diverges_ends_and_is_named(tmp_path):
    model = uncompiled()
    model.compile("adam", "mse")
    compared = compare(model, (X, Y), (X, Y), tmp_path, **SMALL | {"learning_rates": (1e38,), "seeds": 1})
    assert all(run.diverged and len(run.epochs) == 1 for run in compared.runs)
    assert "1 diverged, 1 left out" in str(compared)


@pytest.mark.slow
def test_several_inputs_and_outputs(tmp_path):
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    x = layers.Dense(80, activation="relu")(layers.Concatenate()([left, right]))
    x = layers.Dense(40, activation="relu")(x)
    model = keras.Model([left, right], {"sign": layers.Dense(1)(x), "sum": layers.Dense(1)(x)})
    model.compile("adam", {"sign": "mse", "sum": "mse"})
    train = ({"left": X, "right": X[::-1]}, {"sign": Y, "sum": X.sum(axis=1)})
    compared = compare(model, train, train, tmp_path, **SMALL)
    assert compared.figure == "loss" and not compared.more_is_better
    assert all(run.test["loss"] > 0 for run in compared.runs)


@pytest.mark.slow
def test_a_loss_of_ones_own_needs_a_function_that_compiles(tmp_path):
    def own_loss(y, z):
        return keras.ops.mean(keras.ops.square(y - z), axis=-1)

    model = own(loss=own_loss, metrics=())
    with pytest.raises(ValueError, match="Pass `compile`"):
        compare(model, (X, Y), (X, Y), tmp_path / "no", **SMALL)
    assert not (tmp_path / "no").exists()
    compared = compare(
        model, (X, Y), (X, Y), tmp_path / "out", compile=lambda made: made.compile("adam", own_loss), **SMALL
    )
    assert compared.figure == "loss"


@pytest.mark.slow
def test_runs_compiled_by_another_function_are_not_taken(tmp_path):
    def compared_by(*how):
        few = SMALL | {"seeds": 1, "epochs": 1}
        return compare(uncompiled(), (X, Y), (X, Y), tmp_path, compile=lambda made: made.compile(*how), **few)

    for _ in range(2):  # the second time, with optimizers that are named anew, all runs are there
        assert "Adam at 0.001" in str(compared_by("adam", "mse"))
    for how in (("sgd", "mse"), ("adam", "mae")):
        with pytest.raises(ValueError, match="another configuration: compile='Adam at 0.001, .* there"):
            compared_by(*how)


def test_what_keras_cannot_write_down_is_refused_before_the_training(tmp_path):
    class Squared:
        def __call__(self, y, z):
            return keras.ops.mean(keras.ops.square(y - z), axis=-1)

    with pytest.raises(ValueError, match="objects with `get_config`"):
        compare(own(), (X, Y), (X, Y), tmp_path, compile=lambda made: made.compile("adam", Squared()), **SMALL)
    assert networks.fingerprint(own(loss=Squared()), weights=False)  # which another function may compile


def uncompiled():
    return keras.Sequential([keras.Input((6,)), layers.Dense(60, activation="relu"), layers.Dense(1)])


def classifier(loss="sparse_categorical_crossentropy", metrics=("accuracy",)):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(99, "relu"), layers.Dense(3, "softmax")])
    model.compile("adam", loss, metrics=list(metrics))
    return model


def per_class():
    return classifier("categorical_crossentropy", [keras.metrics.F1Score()])


def test_the_test_is_checked_before_the_training(tmp_path):
    y = np.arange(120) % 3
    with pytest.raises(ValueError, match="the labels of `test` must be from 0 to 2. Received: 0 to 3"):
        compare(classifier(), (X, y), (X, np.arange(120) % 4), tmp_path / "out", **SMALL)
    with pytest.raises(ValueError, match="first two samples of `test`"):
        compare(classifier(), (X, y), (X[:, :5], y), tmp_path / "out", **SMALL)
    assert not (tmp_path / "out").exists()


def test_samples_for_validation_of_ones_own_are_used(tmp_path):
    validation = (X[:7], Y[:7])
    found = compare(own(), (X, Y), (X, Y), tmp_path, validation=validation, **SMALL | {"seeds": 1, "epochs": 1})
    best = keras.models.load_model(tmp_path / "best-swiglu.keras")
    loss, _ = best.evaluate(*validation, verbose=0)
    assert found.chosen("swiglu")[0].validation == pytest.approx(loss, abs=1e-5)
    with pytest.raises(ValueError, match="another configuration: data="):
        compare(own(), (X, Y), (X, Y), tmp_path, **SMALL | {"seeds": 1, "epochs": 1})


def test_weights_of_samples_are_those_of_fit_and_evaluate(tmp_path):
    few, weights = SMALL | {"seeds": 1, "epochs": 1}, np.where(Y == 0, 5.0, 1.0)
    plain = compare(own(), (X, Y), (X, Y), tmp_path / "plain", **few)
    ones = compare(own(), (X, Y, np.ones(len(X), int)), (X, Y), tmp_path / "ones", **few)
    for without, equal in zip(plain.runs, ones.runs, strict=True):
        assert equal.validation == pytest.approx(without.validation, rel=1e-5)
    weighted = compare(own(), (X, Y, weights), (X, Y, weights), tmp_path / "w", validation=(X, Y, weights), **few)
    best = keras.models.load_model(tmp_path / "w" / "best-swiglu.keras")
    loss, _ = best.evaluate(X, Y, sample_weight=weights, verbose=0)
    (run,) = weighted.chosen("swiglu")
    assert (
        run.validation == pytest.approx(loss, rel=1e-5) == run.test["loss"] != pytest.approx(plain.runs[1].validation)
    )
    for wrong in (-weights, weights[:-1], np.full(len(X), np.nan), np.array(["1"] * len(X))):
        with pytest.raises(ValueError, match="`train`"):
            compare(own(), (X, Y, wrong), (X, Y), tmp_path / "wrong", **few)


def test_a_small_model_takes_a_small_phi(tmp_path):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(30, "relu"), layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    settings = SMALL | {"arms": ["two_arg", "one_arg"], "seeds": 1, "epochs": 1}
    with pytest.raises(ValueError, match=r"hidden_units=\(8, 8\)"):
        compare(model, (X, Y), (X, Y), tmp_path, **settings)
    found = compare(model, (X, Y), (X, Y), tmp_path, hidden_units=(8, 8), **settings)
    assert all(abs(run.parameters / model.count_params() - 1) < 0.1 for run in found.runs)
    with pytest.raises(ValueError, match="another configuration: hidden_units="):
        compare(model, (X, Y), (X, Y), tmp_path, hidden_units=(4, 4), **settings)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch's cross-entropy refuses NaN")
def test_numbers_that_are_not_finite_are_told(tmp_path):
    x = X.copy()
    x[3, 2], x[3, 4] = np.nan, np.inf
    with pytest.warns(UserWarning, match="1 of the samples of `train`"):
        compare(own(), (x, Y), (X, Y), tmp_path, **SMALL | {"seeds": 1, "epochs": 1})


@pytest.mark.parametrize(
    ("make", "train", "settings", "message"),
    [
        (uncompiled, (X, Y), {}, "is not compiled"),
        (own, X, {}, "must be a tuple of inputs and targets"),
        (own, (X, Y[:50]), {}, "as many targets as inputs"),
        (own, (X[:5], Y[:5]), {}, "at least 10 samples"),
        (own, (X[:, :4], Y), {}, "cannot be evaluated on the first two"),
        (own, (iter(X), Y), {}, "must be arrays"),
        (own, (X, np.zeros((120, 7))), {}, "cannot be evaluated .*(7|shape)"),
        (own, (X, np.full(120, "cat")), {}, "must be numbers. Received: .*cat.*numpy.unique"),
        (own, (np.full((120, 6), None), Y), {}, "must be arrays.* Received: Python objects"),
        (classifier, (X, 1 + np.arange(120) % 3), {}, "has 3 classes, so the labels of `train` .* Received: 1 to 3"),
        (per_class, (X, np.eye(3)[np.arange(120) % 3]), {}, "'f1_score' is 3 numbers"),
        (own, (X, Y), {"arms": ["relu"]}, "`arms` must be one of"),
        (own, (X, Y), {"arms": []}, "at least one"),
        (own, (X, Y), {"arms": ["swiglu", "swiglu"]}, "named once"),
        (own, (X, Y), {"arms": ["swiglu"], "keep": "function"}, "is fixed"),
        (own, (X, Y), {"keep": "both"}, "`keep` must be one of"),
        (own, (X, Y), {"epochs": 0}, "`epochs` must be"),
        (own, (X, Y), {"seeds": 0}, "`seeds` must be"),
        (own, (X, Y), {"learning_rates": [0]}, "`learning_rates` must be"),
        (own, (X, Y), {"where": "nothing"}, "matches no activation"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(make, train, settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        compare(make(), train, (X, Y), tmp_path / "out", **SMALL | settings)
    assert not (tmp_path / "out").exists()


def test_a_schedule_takes_no_other_rate(tmp_path):
    model = own()
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 10)), "binary_crossentropy")
    with pytest.raises(ValueError, match="has a schedule"):
        compare(model, (X, Y), (X, Y), tmp_path, **SMALL | {"learning_rates": (1e-2,)})


def run(arm, seed, accuracy, rate=None, val_loss=0.5):
    epochs = [{"loss": 0.4, "val_loss": val_loss, "seconds": 2.0 if arm == OWN else 3.0}]
    return Run(arm, seed, rate, 1000, epochs, 1, accuracy and {"loss": 0.4, "accuracy": accuracy})


def compared(own_values, other_values):
    runs = [run(OWN, i, v) for i, v in enumerate(own_values)] + [
        run("two_arg", i, v) for i, v in enumerate(other_values)
    ]
    return Comparison(tuple(runs), "parameters")


def test_the_verdict_is_that_of_the_interval():
    assert compared([0.90, 0.91, 0.92], [0.93, 0.94, 0.96]).verdict("two_arg") == "better"
    assert compared([0.93, 0.94, 0.96], [0.90, 0.91, 0.92]).verdict("two_arg") == "worse"
    assert compared([0.90, 0.91, 0.92], [0.93, 0.90, 0.93]).verdict("two_arg") == "not shown"
    assert compared([0.90], [0.93]).verdict("two_arg") == "one seed"
    difference = compared([0.90, 0.91, 0.92], [0.93, 0.95, 0.95]).difference("two_arg")
    assert difference.difference == pytest.approx(0.0333, abs=1e-4)  # paired, not of the means' own intervals


def test_less_loss_is_better():
    runs = [run(OWN, i, None) for i in range(2)] + [run("two_arg", i, None) for i in range(2)]
    for one, loss in zip(runs, (0.5, 0.6, 0.3, 0.41), strict=True):
        one.test = {"loss": loss}
    assert Comparison(tuple(runs), "parameters").verdict("two_arg") == "better"


def test_a_seed_that_diverged_counts_as_it_was_tested_and_is_told():
    comparison = compared([0.90, 0.91, 0.92], [0.33, 0.94, 0.95])
    comparison.runs[3].epochs.append({"loss": 0.3, "val_loss": None, "seconds": 1.0})
    assert comparison.difference("two_arg").number == 3
    assert "74 ± 35.5, 1 diverged" in str(comparison)
    comparison.runs[3].test = None  # no epoch had a finite loss
    assert comparison.difference("two_arg").number == 2
    assert "94.5 ± 0.707, 1 diverged, 1 left out" in str(comparison)


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), None])  # None: as a file holds it
def test_a_test_figure_that_is_not_finite_is_left_out_of_the_pairs_and_told(figure):
    comparison = compared([0.90, 0.91, 0.92], [0.93, 0.94, 0.95])
    comparison.runs[3].test["accuracy"] = figure
    assert comparison.difference("two_arg").number == 2
    assert "94.5 ± 0.707, 1 left out" in str(comparison)
    for one in comparison.runs[3:]:
        one.test["accuracy"] = figure
    assert comparison.verdict("two_arg") == "left out" and "nothing can be said" in comparison.sentences()[0]


def test_seconds_are_the_middle_of_the_epochs_behind_the_first():
    one = run(OWN, 0, 0.9)
    one.epochs = [{"loss": 0.4, "val_loss": 0.5, "seconds": seconds} for seconds in (30.0, 1.0, 2.0, 9.0)]
    assert one.seconds == 2.0


def test_seeds_that_differ_by_the_same_show_nothing():
    comparison = compared([0.90, 0.92], [0.93, np.float32(0.95)])  # a coarse figure, and rounding
    assert comparison.verdict("two_arg") == "not shown"
    assert "+3.00 points" in comparison.sentences()[0] and "no interval" in comparison.sentences()[0]


def of_metrics(own_values, other_values, metrics=None):
    runs = [run(OWN, i, None) for i in range(len(own_values))] + [
        run("two_arg", i, None) for i in range(len(own_values))
    ]
    for one, values in zip(runs, own_values + other_values, strict=True):
        one.test = {"loss": 1.0, **values}
    return Comparison(tuple(runs), "parameters", metrics or {})


def test_a_metric_of_which_nobody_knows_whether_more_is_better_is_not_compared():
    comparison = of_metrics([{"score": 0.1}, {"score": 0.2}], [{"score": 0.3}, {"score": 0.5}])
    assert comparison.figure == "loss" and "score" in comparison.table().caption
    assert of_metrics([{"mean_io_u": 0.1}, {"mean_io_u": 0.2}], [{"mean_io_u": 0.3}, {"mean_io_u": 0.5}]).more_is_better


def test_what_keras_knows_of_a_metric_counts_and_the_first_one_compiled_is_compared(tmp_path):
    model = own(metrics=[keras.metrics.AUC(name="zone"), "accuracy"])
    found = compare(model, (X, Y), (X, Y), tmp_path, **SMALL | {"seeds": 1, "epochs": 1})
    assert found.figure == "zone" and found.more_is_better


def test_the_tables_fit_a_terminal():
    runs = [run(arm, i, 0.5 + 0.2 * i, rate=0.001) for arm in (OWN, "two_arg", "one_arg", "swiglu") for i in range(2)]
    for one in runs:
        one.parameters = 11_234_567
        one.test["accuracy"] += len(one.arm) / 100 * one.seed
    comparison = Comparison(tuple(runs), "parameters")
    console = rich.console.Console(width=80, file=io.StringIO())
    for table in comparison.tables():
        console.print(table)
    lines = console.file.getvalue().splitlines()
    for arm in ("yours", "two_arg", "one_arg", "swiglu"):
        assert sum(line.startswith(f"{arm} ") for line in lines) == 2
    assert "(-23.41 to +27.41)" in str(comparison) and not any(line.strip().startswith("to ") for line in lines)
