"""A file that cannot be loaded says why, and what to do."""

import keras
import pytest

from keras_twoarg.utils import model_files

pytestmark = pytest.mark.jax


@pytest.mark.parametrize(("content", "message"), [(None, "There is no file"), (b"PK", "is not a readable .keras file")])
def test_no_file_and_a_broken_one(content, message, tmp_path):
    if content:
        (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        model_files.load(tmp_path / "m.keras")


class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def test_a_file_with_code_of_ones_own_says_what_to_do(tmp_path):
    for layer, message in (
        (Doubling(), "holds the class 'Doubling'.*keras.models.load_model"),
        (keras.layers.Lambda(lambda x: 2 * x), "holds Python code, such as a Lambda layer.*safe_mode=False"),
    ):
        keras.Sequential([keras.Input((4,)), layer]).save(tmp_path / "own.keras")
        with pytest.raises(ValueError, match=message):
            model_files.load(tmp_path / "own.keras")


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_model_without_weights_says_what_to_do(tmp_path):
    keras.Sequential([keras.layers.Dense(2)]).save(tmp_path / "unbuilt.keras")
    with pytest.raises(ValueError, match=r"unbuilt.keras was saved before it was built.*keras.Input"):
        model_files.load(tmp_path / "unbuilt.keras")
