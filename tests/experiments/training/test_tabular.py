"""Tables: what is read, how it is parted and standardised, and what is told where it is not there."""

from importlib import metadata

import numpy as np
import pytest

from keras_twoarg.experiments.training import datasets, tabular

SHAPES = {"randhie": (20_190, 9, 1), "fair": (6_366, 18, 2), "bikeshare": (8_645, 58, 1)}


@pytest.fixture(params=SHAPES)
def table(request):
    try:
        return tabular.load_table(request.param)
    except ImportError as error:
        pytest.skip(str(error))


def test_rows_are_in_three_parts_and_equal_inputs_in_one(table):
    rows, inputs, classes = SHAPES[table.name]
    parts = (table.train, table.validation, table.test)
    assert sum(len(x) for x, _ in parts) == rows and table.classes == classes
    assert [round(len(x) / rows, 2) for x, _ in parts] == [0.6, 0.2, 0.2]
    assert all(x.shape[1] == inputs == len(table.inputs) and x.dtype == np.float32 for x, _ in parts)
    seen = [{row.tobytes() for row in x} for x, _ in parts]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_numbers_are_standardised_on_the_training_rows_and_categories_are_columns(table):
    x, y = table.train
    categories = np.array(["=" in name for name in table.inputs])
    np.testing.assert_allclose(x[:, ~categories].mean(axis=0, dtype="float64"), 0, atol=1e-5)
    np.testing.assert_allclose(x[:, ~categories].std(axis=0, dtype="float64"), 1, atol=1e-5)
    assert abs(table.test[0][:, ~categories].mean(axis=0)).max() > 1e-4
    for category in tabular.SOURCES[table.name].categories:
        columns = [i for i, name in enumerate(table.inputs) if name.startswith(f"{category}=")]
        assert (table.test[0][:, columns].sum(axis=1) == 1).all()
    if table.classes == 1:
        assert abs(y.mean(dtype="float64")) < 1e-5 and abs(y.std(dtype="float64") - 1) < 1e-5
    else:
        assert set(np.unique(y)) == {0, 1}


def test_a_table_is_a_data_set_and_the_same_for_every_seed(table):
    dataset = datasets.load(table.name)
    assert dataset.kind == "features" and dataset.fingerprint == table.fingerprint
    assert dataset.task == ("regression" if table.classes == 1 else "classification")
    first, second = (datasets.split(dataset, seed) for seed in (0, 1))
    np.testing.assert_array_equal(first.x_validation, second.x_validation)
    np.testing.assert_array_equal(first.x_test, table.test[0])  # as it is, not moved as pixels are
    np.testing.assert_array_equal(first.y_train, table.train[1])


@pytest.mark.parametrize("table", ["bikeshare"], indirect=True)
def test_what_tells_the_answer_is_no_input(table):
    columns = {name.partition("=")[0] for name in table.inputs}
    assert columns.isdisjoint({"bikers", "casual", "registered"}) and {"temp", "hr"} <= columns


class _Distribution:
    version = "9.9"

    def __init__(self, folder):
        self.folder = folder

    def locate_file(self, path):
        return self.folder / path


@pytest.mark.parametrize(("name", "command"), [("randhie", r"keras_twoarg\[tables\]"), ("bikeshare", "--no-deps ISLP")])
def test_a_package_that_is_not_installed_is_named(name, command, monkeypatch):
    def missing(distribution):
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(ImportError, match=f"The table '{name}' comes with the package .*{command}"):
        datasets.load(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"9\.9 lacks ISLP/data/Bikeshare\.csv"),
        ("", "lacks bikers, casual"),
        ("season,mnth\n1,Jan\n", "lacks bikers, casual"),
        ("season,mnth,hr,weekday,weathersit,casual,registered,bikers\n1,Jan,0,6,clear,3,13,16\n", "it has 1 rows"),
    ],
)
def test_a_file_that_is_not_the_table_is_named(content, message, monkeypatch, tmp_path):
    monkeypatch.setattr(metadata, "distribution", lambda name: _Distribution(tmp_path))
    if content is not None:
        (tmp_path / "ISLP" / "data").mkdir(parents=True)
        (tmp_path / "ISLP" / "data" / "Bikeshare.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        tabular.load_table("bikeshare")


def test_a_table_that_nobody_knows():
    with pytest.raises(ValueError, match="Expected a table, 'randhie', 'fair', 'bikeshare'. Received: 'boston'"):
        tabular.load_table("boston")
