"""The space of a search: matched networks whatever is chosen, and choices without sense are refused."""

import keras
import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.experiments.training.configuration import Configuration

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
kt = pytest.importorskip("keras_tuner")
from keras_twoarg.experiments import tuning  # noqa: E402
from keras_twoarg.experiments.tuning import hypermodel, oracles  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["two_arg", "one_arg", "relu", "swiglu", "quadratic"])
@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
def test_every_trial_of_every_arm_has_the_same_number_of_parameters(arm, architecture):
    space = {"depth": (1, 2, 3)}
    model = tuning.OuterHyperModel(
        arm, (28, 28, 1), 10, 425_147, configuration=Configuration(architecture=architecture), space=space
    )
    oracle = oracles.make_oracle("random", 6, 1, seed=0)
    hp = kt.HyperParameters()
    for depth in (1, 2, 3):
        hp.values["depth"] = depth
        built = model.build(hp)
        assert abs(built.count_params() / 425_147 - 1) <= 0.01
        widths = model.configuration(hp).widths
        assert len(widths) == depth + (architecture == "cnn")
    oracle.update_space(hp)
    names = {p.name for p in hp.space}
    assert ("inner_units" in names) == (arm in ("two_arg", "one_arg"))
    assert ("phi_init" in names) == (arm in models.ARMS)
    choices = next((p.values for p in hp.space if p.name == "phi_init"), [])
    assert ("product" in choices) == (arm in ("two_arg", "quadratic"))


def test_choices_are_stored_as_one_type():
    model = tuning.OuterHyperModel("relu", (8, 8, 1), 3, 5000, space={"dropout": [0, 0.5], "depth": [1]})
    assert model.space["dropout"] == [0.0, 0.5] and isinstance(model.space["dropout"][0], float)
    model.build(kt.HyperParameters())  # KerasTuner takes no choice between 0 and 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {"deep": [1]}}, r"Received: \['deep'\]"),
        ({"arm": "rel"}, "`arm` must be one of"),
        ({"configuration": Configuration(schedule="cosine")}, "`samples` must be given"),
        ({"configuration": Configuration(architecture="transformer")}, "`architecture` must be one of"),
        ({"configuration": Configuration(epoch_samples=100)}, "`epoch_samples` must be 0 in a search"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        tuning.OuterHyperModel(**{"arm": "relu", "input_shape": (8, 8, 1), "classes": 3, **settings})


def test_fit_gets_arrays_in_batches_where_keras_allows_it():
    x, y = np.zeros((6, 3), "float32"), np.zeros(6, "int32")
    args, kwargs = hypermodel._in_batches((x, y), {"batch_size": 2, "validation_data": (x, y), "epochs": 3})
    on_tensorflow = keras.backend.backend() == "tensorflow"
    assert args == () and kwargs["epochs"] == 3 and ("batch_size" in kwargs) != on_tensorflow
    assert isinstance(kwargs["validation_data"], tuple) != on_tensorflow
    for needs_arrays in ({"validation_split": 0.5}, {"sample_weight": y}, {"validation_batch_size": 3}):
        given = {"batch_size": 2, **needs_arrays}
        assert hypermodel._in_batches((x, y), given) == ((x, y), given)
    assert hypermodel._in_batches(([x], y), {"batch_size": 2})[1] == {"batch_size": 2}


def test_where_hyperband_goes_on_the_optimizer_and_its_schedule_go_on(tmp_path):
    space = {"depth": [1], "phi_init": ["glorot"], "normalization": ["layer"], "batch_size": [4]}
    configuration = Configuration(epochs=4, schedule="cosine")
    searched = tuning.OuterHyperModel("relu", (4, 4, 1), 3, 5000, space=space, samples=8, configuration=configuration)
    x, y, hp = np.ones((8, 4, 4, 1), "float32"), np.zeros(8, "int32"), kt.HyperParameters()
    first = searched.build(hp)
    searched.fit(hp, first, x, y, epochs=1, verbose=0)
    first.save_weights(tmp_path / "best.weights.h5")  # as KerasTuner does behind the best epoch, here of two
    second = searched.build(hp)
    second.load_weights(tmp_path / "best.weights.h5")
    for before, loaded in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(before, loaded)
    rates: list[float] = []
    see = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: rates.append(float(second.optimizer.learning_rate)))
    searched.fit(hp, second, x, y, epochs=4, initial_epoch=2, verbose=0, callbacks=[see])
    rate = searched.configuration(hp).learning_rate
    np.testing.assert_allclose(rates, [0.5 * rate, 0.5 * (1 + np.cos(0.75 * np.pi)) * rate], rtol=1e-5)


def test_a_batch_size_beside_the_hyperparameter_is_refused():
    space = {"depth": [1], "normalization": ["layer"], "batch_size": [2, 4]}
    searched, hp = tuning.OuterHyperModel("relu", (4, 4, 1), 3, 5000, space=space), kt.HyperParameters()
    x, y = np.ones((8, 4, 4, 1), "float32"), np.zeros(8, "int32")
    model = searched.build(hp)
    with pytest.raises(ValueError, match="`batch_size` is a hyperparameter.*Received: batch_size=3 in `search`"):
        searched.fit(hp, model, x, y, batch_size=3, verbose=0)
    searched.fit(hp, model, x, y, batch_size=2, verbose=0)
    assert int(model.optimizer.iterations) == 4


def test_data_in_batches_of_their_own_leave_no_choice_of_batches(tmp_path):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((np.ones((8, 4, 4, 1)), np.zeros(8, "int32"))).batch(4)
    space = {"depth": [1], "normalization": ["layer"], "batch_size": [2, 4]}
    for chosen in ([2, 4], [4]):
        searched = tuning.OuterHyperModel("relu", (4, 4, 1), 3, 5000, space={**space, "batch_size": chosen})
        tuner = kt.RandomSearch(searched, "val_accuracy", max_trials=1, directory=tmp_path, project_name=str(chosen))
        if len(chosen) > 1:
            with pytest.raises(ValueError, match="single choice if the data are already in batches"):
                tuner.search(data, validation_data=data, verbose=0)
        else:
            tuner.search(data, validation_data=data, verbose=0)
            assert tuner.oracle.get_best_trials(1)[0].score is not None
