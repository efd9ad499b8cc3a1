"""Tables for regression and classification; none needs a download.

| name | rows | target | package |
|---|---|---|---|
| `"randhie"` | 20,190 person-years of a health insurance experiment | log(1 + visits to a doctor) | `statsmodels` |
| `"fair"` | 6,366 answers to a survey of 1974 | whether there was an affair, yes or no | `statsmodels` |
| `"bikeshare"` | 8,645 hours of bicycle hire in Washington | log(1 + bicycles hired) | `ISLP` |

They are read as files; neither package is imported. Test and validation have a fifth of the rows each, the same ones
for every seed. Rows with the same inputs are in the same part. Numbers, including targets, are standardised with the
mean and standard deviation of the training rows; categories are one-hot encoded.
"""

import csv
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

_ENDS = (0.2, 0.4)
"""The shares of rows at which the test part and the validation part end."""
_SEED = 20_190
_STATSMODELS = "pip install 'keras_twoarg[tables]'"
_ISLP = "pip install --no-deps ISLP (its dependencies bring PyTorch, and are not needed)"


@dataclass(frozen=True)
class Source:
    """The source of a table, and its target.

    Attributes:
        distribution: The package that contains it.
        path: Its file in the package.
        install: The command that installs the package.
        rows: Its number of rows.
        target: The column to predict.
        answer: Maps that column `(n,)` to targets: floating point for a regression, integers from 0 for classes.
        categories: Columns whose values are names or have no order.
        left_out: Columns that are no inputs.
    """

    distribution: str
    path: str
    install: str
    rows: int
    target: str
    answer: Callable[[np.ndarray], np.ndarray]
    categories: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table's rows in three parts.

    Attributes:
        name: Name for records.
        inputs: Names of the columns of the inputs, such as `"temp"` or `"hr=8"`.
        train: Inputs `(n, inputs)`, float32, and targets `(n,)`, float32 or int64.
        validation: The same for validation.
        test: The same for the test.
        classes: Number of classes; 1 for a regression.
        fingerprint: A checksum, with which a folder of results identifies its table.
    """

    name: str
    inputs: tuple[str, ...]
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    classes: int
    fingerprint: str


SOURCES = {
    "randhie": Source(
        "statsmodels", "statsmodels/datasets/randhie/randhie.csv", _STATSMODELS, 20_190, "mdvis", np.log1p
    ),
    "fair": Source(
        "statsmodels",
        "statsmodels/datasets/fair/fair.csv",
        _STATSMODELS,
        6_366,
        "affairs",
        lambda affairs: (affairs > 0).astype("int64"),
        categories=("occupation", "occupation_husb"),
    ),
    "bikeshare": Source(
        "ISLP",
        "ISLP/data/Bikeshare.csv",
        _ISLP,
        8_645,
        "bikers",
        np.log1p,
        categories=("season", "mnth", "hr", "weekday", "weathersit"),
        left_out=("casual", "registered"),  # their sum is the target
    ),
}
"""By the name under which a run knows it."""


def load_table(name: str) -> Table:
    """Return a table by name.

    Examples:
        >>> tabular.load_table("randhie").inputs[:3]
        ('lncoins', 'idp', 'lpi')

    Raises:
        ValueError: If there is no such table, or its file is not the expected one.
        ImportError: If the package that contains it is not installed.
    """
    if name not in SOURCES:
        raise ValueError(f"Expected a table, {', '.join(map(repr, SOURCES))}. Received: {name!r}")
    source = SOURCES[name]
    rows = _read(name, source)
    target = _numbers(rows, source.target)
    names, inputs, numbers = _inputs(rows, source)
    places = _parts(inputs)
    train = places["train"]
    checksum = zlib.crc32(inputs[train].tobytes(), zlib.crc32(target[train].tobytes()))
    inputs[:, :numbers] = _standardised(inputs[:, :numbers], train)
    answers, classes = source.answer(target), 1
    if np.issubdtype(answers.dtype, np.integer):
        classes = int(answers.max()) + 1
    else:
        answers = _standardised(answers, train).astype("float32")
    x = inputs.astype("float32")
    parts = {part: (x[chosen], answers[chosen]) for part, chosen in places.items()}
    return Table(name, names, classes=classes, fingerprint=f"{checksum:08x}", **parts)


def _read(name: str, source: Source) -> list[dict[str, str]]:
    """Return a table's rows, each by column."""
    try:
        distribution = metadata.distribution(source.distribution)
    except metadata.PackageNotFoundError as error:
        what = f"The table {name!r} comes with the package {source.distribution}"
        raise ImportError(f"{what}: {source.install}") from error
    file = Path(str(distribution.locate_file(source.path)))
    if not file.is_file():
        raise ValueError(f"{source.distribution} {distribution.version} lacks {source.path}. Install another version")
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    missing = {source.target, *source.categories, *source.left_out} - set(rows[0] if rows else ())
    if missing or len(rows) != source.rows:
        wrong = f"lacks {', '.join(sorted(missing))}" if missing else f"has {len(rows):,} rows"
        raise ValueError(f"{file} is not the table {name!r}, which has {source.rows:,} rows: it {wrong}")
    return rows


def _numbers(rows: Sequence[Mapping[str, str]], column: str) -> np.ndarray:
    return np.array([float(row[column]) for row in rows])


def _inputs(rows: Sequence[Mapping[str, str]], source: Source) -> tuple[tuple[str, ...], np.ndarray, int]:
    """Return the names of the inputs, the inputs `(n, inputs)`, and how many of the first ones are numbers."""
    others = {source.target, *source.categories, *source.left_out}
    columns = {column: _numbers(rows, column) for column in rows[0] if column not in others}
    numbers = len(columns)
    for category in source.categories:
        values = np.array([row[category] for row in rows])
        columns |= {f"{category}={value}": (values == value).astype(float) for value in np.unique(values)}
    return tuple(columns), np.stack(list(columns.values()), axis=1), numbers


def _parts(inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows for training, validation and test; rows with the same inputs are in the same part."""
    _, same = np.unique(inputs, axis=0, return_inverse=True)
    groups = int(same.max()) + 1
    place = np.random.default_rng(_SEED).permutation(groups)[same.ravel()]  # each row has the place of its group
    order = np.argsort(place, kind="stable")
    ends = [int(np.searchsorted(place[order], place[order][round(share * len(order))])) for share in _ENDS]
    test, validation, train = np.split(order, ends)
    return {"train": train, "validation": validation, "test": test}


def _standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Scale each column so that its training rows have mean 0 and standard deviation 1."""
    spread = values[train].std(axis=0)
    scaled: np.ndarray = (values - values[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
    return scaled
