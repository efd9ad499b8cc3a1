"""A network goes on with a text: as its probabilities say, the same for a seed, and never beyond what it knows."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from keras_twoarg.experiments.training import datasets, text
from keras_twoarg.experiments.training.generation import before_and_after, generate
from keras_twoarg.experiments.training.sessions import run_sessions

LETTERS = "abcde" * 3000
SMALL = {"architecture": "transformer", "widths": (8,), "sequence_width": 8, "context": 16, "epochs": 4}


@pytest.fixture
def letters(tmp_path):
    (tmp_path / "letters.txt").write_text(LETTERS)
    return text.load_text(str(tmp_path / "letters.txt"))


@pytest.fixture
def certain(letters):
    """A model that is certain of the next letter of the alphabet."""
    tokens = keras.Input((16,), dtype="int32")
    following = keras.layers.Lambda(lambda t: 50.0 * keras.ops.one_hot((t + 1) % 5, 5), output_shape=(16, 5))
    return keras.Model(tokens, following(tokens))


def test_it_writes_what_is_certain(certain, letters):
    assert generate(certain, letters, "c", length=40) == ("cde" + "abcde" * 8)[:41]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": ""}, "at least one character"),
        ({"start": "xyz"}, "does not have: 'xyz'"),
        ({"start": "a", "temperature": 0.0}, "`temperature` above 0"),
    ],
)
def test_what_it_cannot_go_on_with(certain, letters, arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(certain, letters, **arguments)


def test_a_model_for_other_characters(certain):
    with pytest.raises(ValueError, match="for 5"):
        generate(certain, text.load_text("pydocs"), "The")


@pytest.mark.slow
def test_training_shows_in_what_is_written(tmp_path, letters):
    data = datasets.of_text(letters, 16)
    (record,) = run_sessions(
        data,
        tmp_path / "run",
        arm="relu",
        seed=1,
        epoch_samples=640,
        batch_size=16,
        learning_rate=1e-2,
        dropout=0.0,
        **SMALL,
    )
    before, after = before_and_after(tmp_path / "run", letters, length=30)
    following = [np.mean([(ord(b) - ord(a)) % 5 == 1 for a, b in pairwise(w)]) for w in (before, after)]
    assert following[1] > 0.9 > following[0]
    assert record.bits == pytest.approx(record.test_loss / np.log(2)) and record.bits < 0.5
