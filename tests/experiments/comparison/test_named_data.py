"""Data that `twoarg compare` is given become what the user's model takes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_twoarg.experiments.comparison import named_data
from keras_twoarg.experiments.training import datasets, text

RNG = np.random.default_rng(0)
PARTS = {"train": 30, "test": 10}


def file(tmp_path, x, y):
    arrays = {f"x_{part}": x[:number] for part, number in PARTS.items()}
    arrays |= {f"y_{part}": y[:number] for part, number in PARTS.items()}
    np.savez(tmp_path / "data.npz", **arrays)
    return str(tmp_path / "data.npz")


def of(shape, loss="sparse_categorical_crossentropy", dtype=None):
    inputs = keras.Input(shape, dtype=dtype)
    x = layers.Embedding(1000, 4)(inputs) if dtype else layers.Flatten()(inputs)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", loss)
    return model


IMAGES, LABELS = RNG.integers(0, 256, (30, 4, 4, 1)).astype("uint8"), np.arange(30) % 3


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)])
def test_images_are_scaled_to_what_the_model_takes_for_black_and_white(bounds, tmp_path):
    (x, y), (x_test, _), _ = named_data.samples(of((4, 4, 1)), file(tmp_path, IMAGES, LABELS), None, bounds)
    low, high = bounds
    np.testing.assert_allclose(x, low + IMAGES / 255 * (high - low), atol=1e-4)
    assert x.dtype == x_test.dtype == np.float32 and len(x_test) == 10
    np.testing.assert_array_equal(y, LABELS)


def test_labels_become_vectors_where_the_loss_asks_for_them(tmp_path):
    (_, y), *_ = named_data.samples(
        of((4, 4, 1), "categorical_crossentropy"), file(tmp_path, IMAGES, LABELS), None, (-1, 1)
    )
    np.testing.assert_array_equal(y, np.eye(3)[LABELS])


def test_arrays_that_are_no_images_are_used_as_they_are(tmp_path):
    x, y = RNG.normal(size=(30, 8)).astype("float32"), RNG.normal(size=30).astype("float32")
    (own, targets), *_ = named_data.samples(of((8,), "mse"), file(tmp_path, x, y))
    np.testing.assert_array_equal(own, x)
    np.testing.assert_array_equal(targets, y)
    masks = (IMAGES > 127).astype("float32")  # a target that is an image: segmentation
    (own, targets), *_ = named_data.samples(of((4, 4, 1), "mse"), file(tmp_path, IMAGES, masks))
    np.testing.assert_array_equal(own, IMAGES)
    np.testing.assert_array_equal(targets, masks)


def test_of_a_text_each_character_is_there_once(tmp_path):
    (tmp_path / "own.txt").write_text("In the beginning was the word. " * 400)
    (x, y), *_ = named_data.samples(of((16,), dtype="int32"), str(tmp_path / "own.txt"), None, (-1, 1))
    part = text.load_text(str(tmp_path / "own.txt")).train
    np.testing.assert_array_equal(x.ravel(), part[: x.size])
    np.testing.assert_array_equal(y.ravel(), part[1 : y.size + 1])
    assert x.size > len(part) - 2 * 16


@pytest.mark.parametrize(("name", "shape"), [("own.txt", (16,)), ("parity-8-2", (8,))])
def test_data_with_samples_for_validation_are_validated_on_these(name, shape, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.txt").write_text("In the beginning was the word. " * 400)
    model = of(shape, "categorical_crossentropy", "int32" if name == "own.txt" else None)
    train, test, validation = named_data.samples(model, name)
    dataset = datasets.load_for(model, name)
    x, y = dataset.validation
    np.testing.assert_array_equal(validation[0], datasets.scale(x))
    np.testing.assert_array_equal(validation[1].argmax(axis=-1), y)
    assert train[0].shape[1:] == test[0].shape[1:] == validation[0].shape[1:] == shape


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.npz", "no file"),
        ("empty.npz", "not a readable"),
        ("part.npz", "expected the arrays .* Received: x_train"),
        ("objects.npz", "Python objects.*astype"),
        ("mnist5k", "shape"),
    ],
)
def test_what_is_wrong_with_the_data_is_named(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "part.npz", x_train=IMAGES)
    np.savez(tmp_path / "objects.npz", **dict.fromkeys(("x_train", "y_train"), np.array(["cat", 1], object)))
    with pytest.raises(ValueError, match=message):
        named_data.samples(of((8,)), name)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64", "bool"])
def test_series_are_no_images_and_what_a_model_scales_by_itself_is_left_to_it(dtype, tmp_path):
    series = RNG.integers(0, 2, (30, 10, 4)).astype(dtype)  # three axes and a label for each, as grey images have
    (x, y), *_ = named_data.samples(of((10, 4)), file(tmp_path, series, LABELS))
    np.testing.assert_array_equal(x, series)
    assert x.dtype == dtype and y.dtype == LABELS.dtype
    (x, _), *_ = named_data.samples(of((4, 4, 1)), file(tmp_path, IMAGES / np.float32(255), LABELS))
    np.testing.assert_array_equal(x, IMAGES / np.float32(255))


def test_bounds_are_for_images_alone(tmp_path):
    with pytest.raises(ValueError, match="--bounds scales images .* Leave --bounds out"):
        named_data.samples(of((8,), "mse"), file(tmp_path, RNG.normal(size=(30, 8)), LABELS), None, (0.0, 1.0))


def test_what_a_file_holds_besides_is_used_for_validation_or_named(tmp_path):
    path, told = file(tmp_path, IMAGES, LABELS), []
    with np.load(path) as arrays:
        np.savez(path, **arrays, x_val=IMAGES[:5, ..., 0], y_val=LABELS[:5], class_weight=np.ones(3))
    *_, validation = named_data.samples(of((4, 4, 1)), path, tell=told.append)
    assert validation[0].shape == (5, 4, 4, 1) and len(validation[1]) == 5
    assert any("not used: class_weight" in text for text in told) and any("0 to 255" in text for text in told)
    with np.load(path) as arrays:
        np.savez(path, **{key: array for key, array in arrays.items() if key != "y_val"})
    with pytest.raises(ValueError, match="y_val"):
        named_data.samples(of((4, 4, 1)), path)


def test_a_file_may_hold_weights_of_samples(tmp_path):
    path, weights = file(tmp_path, IMAGES, LABELS), np.linspace(0, 1, len(LABELS))
    with np.load(path) as arrays:
        arrays = dict(arrays)
    np.savez(path, **arrays, weight_train=weights)
    train, test, validation = named_data.samples(of((4, 4, 1)), path)
    np.testing.assert_array_equal(train[2], weights)
    assert len(test) == 2 and validation is None
    np.savez(path, **arrays, weight_val=weights)
    with pytest.raises(ValueError, match="x_val and y_val .* Received: .*weight_val"):
        named_data.samples(of((4, 4, 1)), path)


def test_vectors_are_made_of_the_models_own_classes(tmp_path):
    x, loss = RNG.normal(size=(30, 8)), "categorical_crossentropy"
    (_, y), *_ = named_data.samples(of((8,), loss), file(tmp_path, x, LABELS.reshape(-1, 1) % 2))
    assert y.shape == (30, 3)
    with pytest.raises(ValueError, match="has 3 classes, so labels must be from 0 to 2. Received: 1 to 3"):
        named_data.samples(of((8,), loss), file(tmp_path, x, LABELS + 1))
