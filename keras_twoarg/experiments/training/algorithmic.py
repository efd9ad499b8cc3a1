"""Synthetic tasks: sparse parity and modular addition.

`"parity-N-K"`: N signs; the label is whether an even number of the first K is negative. The training part has a million
samples, of which `epoch_samples` draws some at random for each epoch.

`"addition-P"`: two numbers from 0 to P - 1, each encoded as P signs of which one is positive, and their sum modulo P.
Two fifths of all pairs are for training; validation and test have half of the rest each.
"""

import re

import numpy as np

EXAMPLES = "'parity-40-4', 'addition-97'"
_NAME = re.compile(r"parity-(\d{1,4})-(\d{1,4})|addition-(\d{1,4})")
_SAMPLES = {"train": 1_000_000, "validation": 10_000, "test": 10_000}
_LARGEST_SUM = 499
_MOST_SIGNS = 1000

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, tuple[np.ndarray, np.ndarray]]
"""`x_train`, `y_train`, `x_test`, `y_test`, classes, and samples and labels for validation."""


def is_known(name: str) -> bool:
    """Return whether a name is that of a synthetic task."""
    return _NAME.fullmatch(name) is not None


def draw(name: str) -> Drawn:
    """Return the samples of a task, always the same ones.

    Examples:
        >>> x, y, *_ = algorithmic.draw("parity-6-2")
        >>> bool(((x[:, 0] == x[:, 1]) == (y == 1)).all())
        True

    Raises:
        ValueError: If the numbers in the name are out of range.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"Expected a task such as {EXAMPLES}. Received: {name!r}")
    if match[3]:
        return _addition(int(match[3]))
    return _parity(int(match[1]), int(match[2]))


def _parity(signs: int, relevant: int) -> Drawn:
    if not 1 <= relevant <= signs <= _MOST_SIGNS:
        raise ValueError(
            "Expected 'parity-N-K' with K from 1 to N, and N of at most "
            f"{_MOST_SIGNS:,}. Received: 'parity-{signs}-{relevant}'"
        )
    rng = np.random.default_rng((signs, relevant))
    x = {part: rng.integers(0, 2, (number, signs), "int8").astype(bool) for part, number in _SAMPLES.items()}
    y = {part: 1 - np.count_nonzero(~values[:, :relevant], axis=1) % 2 for part, values in x.items()}
    return x["train"], y["train"], x["test"], y["test"], 2, (x["validation"], y["validation"])


def _addition(modulus: int) -> Drawn:
    if not 5 <= modulus <= _LARGEST_SUM:
        raise ValueError(f"Expected 'addition-P' with P from 5 to {_LARGEST_SUM}. Received: 'addition-{modulus}'")
    first, second = np.divmod(np.random.default_rng(modulus).permutation(modulus**2), modulus)
    numbers = np.arange(modulus)
    x = np.concatenate([first[:, None] == numbers, second[:, None] == numbers], axis=1)
    y = (first + second) % modulus
    train = round(0.4 * len(y))
    validation = train + (len(y) - train) // 2
    parts = [(x[:train], y[:train]), (x[train:validation], y[train:validation]), (x[validation:], y[validation:])]
    return *parts[0], *parts[2], modulus, parts[1]
