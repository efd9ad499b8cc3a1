"""Tables whose rows ask for a number or for a class, none of which needs a download of its own.

| name | rows | asks for | comes inside |
|---|---|---|---|
| `"randhie"` | 20,190 person-years of a health insurance experiment | log(1 + visits to a doctor) | `statsmodels` |
| `"fair"` | 6,366 answers to a survey of 1974 | whether there was an affair, yes or no | `statsmodels` |
| `"bikeshare"` | 8,645 hours of bicycle hire in Washington | log(1 + bicycles hired) | `ISLP` |

They are read as files: neither package is imported. A fifth of the rows is for the test and a fifth for validation, the
same ones for every seed; rows with the same inputs are in the same part. Numbers are standardised by the training
rows, also those that are asked for; of a category each value has a column of 0 and 1.
"""

import csv
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

_ENDS = (0.2, 0.4)
"""Shares of the rows at which the test and the validation part end."""
_SEED = 20_190
_STATSMODELS = "pip install 'keras_twoarg[tables]'"
_ISLP = "pip install --no-deps ISLP (its dependencies bring PyTorch, and are not needed)"


@dataclass(frozen=True)
class Source:
    """Where a table is, and what it asks for.

    Attributes:
        distribution: The package that brings it.
        path: Its file there.
        install: What installs the package.
        rows: How many rows it has.
        target: The column that is asked for.
        answer: From that column `(n,)` to what a network is to say: floating point for a number, integers from 0 for
            classes.
        categories: Columns whose values are names or have no order.
        left_out: Columns that a network must not see.
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
        inputs: What each column of the inputs is, such as `"temp"` or `"hr=8"`.
        train: Inputs `(n, inputs)`, float32, and answers `(n,)`, float32 or int64.
        validation: The same for validation.
        test: The same for the test.
        classes: Number of classes; 1 where a number is asked for.
        fingerprint: A checksum of what was read, by which a folder of results knows the table it was made from.
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
        left_out=("casual", "registered"),  # their sum is what is asked for
    ),
}
"""By the name under which a run knows it."""


def load_table(name: str) -> Table:
    """Return a table by name.

    Examples:
        >>> tabular.load_table("randhie").inputs[:3]
        ('lncoins', 'idp', 'lpi')

    Raises:
        ValueError: If there is no such table, or its file is not the one that was expected.
        ImportError: If the package that holds it is not installed.
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
        what = f"The table {name!r} comes inside a package, {source.distribution}"
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
    """Return the names of the inputs, the inputs `(n, inputs)`, and how many of them, the first ones, are numbers."""
    others = {source.target, *source.categories, *source.left_out}
    columns = {column: _numbers(rows, column) for column in rows[0] if column not in others}
    numbers = len(columns)
    for category in source.categories:
        values = np.array([row[category] for row in rows])
        columns |= {f"{category}={value}": (values == value).astype(float) for value in np.unique(values)}
    return tuple(columns), np.stack(list(columns.values()), axis=1), numbers


def _parts(inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return which rows are for training, validation and test, those with the same inputs in one part."""
    _, same = np.unique(inputs, axis=0, return_inverse=True)
    groups = int(same.max()) + 1
    place = np.random.default_rng(_SEED).permutation(groups)[same.ravel()]  # each group's place, for each of its rows
    order = np.argsort(place, kind="stable")
    ends = [int(np.searchsorted(place[order], place[order][round(share * len(order))])) for share in _ENDS]
    test, validation, train = np.split(order, ends)
    return {"train": train, "validation": validation, "test": test}


def _standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return values with the training rows' mean at 0 and their standard deviation, of each column, at 1."""
    spread = values[train].std(axis=0)
    scaled: np.ndarray = (values - values[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
    return scaled
