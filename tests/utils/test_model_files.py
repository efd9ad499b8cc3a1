"""A file that cannot be loaded says why, and what to do."""

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation
from keras_twoarg.utils import model_files
from tests.helpers import Doubling

pytestmark = pytest.mark.jax


@pytest.mark.parametrize(("content", "message"), [(None, "There is no file"), (b"PK", "is not a readable .keras file")])
def test_no_file_and_a_broken_one(content, message, tmp_path):
    if content:
        (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        model_files.load(tmp_path / "m.keras")


def test_a_model_takes_its_place_after_the_block_or_not_at_all(tmp_path):
    file, model = tmp_path / "m.keras", keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(KeyError), model_files.saved(model, file):
        raise KeyError
    assert not list(tmp_path.iterdir())
    model_files.save(model, file)
    before = file.read_bytes()
    model.set_weights([weight + 1 for weight in model.get_weights()])
    with model_files.saved(model, file):
        assert file.read_bytes() == before
    assert file.read_bytes() != before and list(tmp_path.iterdir()) == [file]


def test_a_file_with_code_of_ones_own_says_what_to_do(tmp_path):
    for layer, message in (
        (Doubling(), "holds the class 'Doubling'.*keras.models.load_model"),
        (keras.layers.Lambda(lambda x: 2 * x), "holds Python code, such as a Lambda layer.*safe_mode=False"),
    ):
        keras.Sequential([keras.Input((4,)), layer]).save(tmp_path / "own.keras")
        with pytest.raises(ValueError, match=message):
            model_files.load(tmp_path / "own.keras")


def test_a_registered_function_that_was_not_imported_says_what_to_do(tmp_path):
    registered = keras.saving.register_keras_serializable("mine")(_score)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=[registered])
    model.save(tmp_path / "own.keras")
    keras.saving.get_custom_objects().pop("mine>_score")  # as in a process that did not import it
    with pytest.raises(ValueError, match="holds the function 'mine>_score'.*keras.models.load_model"):
        model_files.load(tmp_path / "own.keras", compile=True)


def _score(y, z):
    return keras.ops.mean(y - z, axis=-1)


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_model_without_weights_says_what_to_do(tmp_path):
    keras.Sequential([keras.layers.Dense(2)]).save(tmp_path / "unbuilt.keras")
    with pytest.raises(ValueError, match=r"unbuilt.keras was saved before it was built.*keras.Input"):
        model_files.load(tmp_path / "unbuilt.keras")


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_phi_with_a_lambda_is_not_lost(tmp_path):
    def network(activation):
        phi = InnerNetwork((4,), activation, name="phi")
        return keras.Sequential([keras.Input((4,)), TwoArgActivation(phi)])

    network(lambda x: 2 * x).save(tmp_path / "m.keras")
    for load in (keras.models.load_model, model_files.load):
        with pytest.raises((ValueError, TypeError), match="'phi' is a lambda.*call its `load_weights` with the same"):
            load(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=f"^{tmp_path}/m.keras: The activation of"):
        model_files.load(tmp_path / "m.keras")
    before = network(lambda x: 2 * x)
    before.load_weights(tmp_path / "m.keras")
    again = network("linear")
    again.load_weights(tmp_path / "m.keras")
    for one, other in zip(before.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
