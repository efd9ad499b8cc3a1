"""mCE and related measures: a classifier's errors under corruption, relative to a reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEAST_RISE = 0.01
"""If a reference's error rises by less than this, summed over severities, nothing is divided by it."""


@dataclass(frozen=True)
class CorruptionError:
    """Errors under corruption, relative to a reference's.

    Attributes:
        by_corruption: CE of each corruption: the error summed over severities, over the reference's; NaN if the
            reference makes no error.
        relative_by_corruption: The same for the rise over the clean error; NaN if the reference's hardly rises.
        mean_accuracy: Mean accuracy over all corruptions and severities.
        relative_drop: The fall of the mean accuracy over all corruptions and severities, over the reference's fall; NaN
            if that is too small.
        unusable: Corruptions under which the reference's error hardly rises.
    """

    by_corruption: dict[str, float]
    relative_by_corruption: dict[str, float]
    mean_accuracy: float
    relative_drop: float
    unusable: tuple[str, ...]

    @property
    def mce(self) -> float:
        """Mean CE over the corruptions: 1 for the reference itself; NaN if a corruption has none."""
        return float(np.mean(list(self.by_corruption.values())))

    @property
    def relative_mce(self) -> float:
        """Mean relative CE; NaN if a corruption has none, since a mean over fewer is another measure."""
        return float(np.mean(list(self.relative_by_corruption.values())))


def corruption_error(
    errors: Mapping[str, Sequence[float]],
    reference: Mapping[str, Sequence[float]],
    clean_error: float,
    reference_clean_error: float,
) -> CorruptionError:
    """Return mCE and relative mCE: means over corruptions of ratios of sums over severities.

    Args:
        errors: For each corruption the error, within [0, 1], at each severity.
        reference: The same for the reference.
        clean_error: Error without corruption.
        reference_clean_error: The reference's.

    Examples:
        >>> error = robustness.corruption_error({"fog": [0.2, 0.4]}, {"fog": [0.25, 0.55]}, 0.1, 0.1)
        >>> round(error.mce, 3), round(error.relative_mce, 3), round(error.relative_drop, 3)
        (0.75, 0.667, 0.667)

    Raises:
        ValueError: If the corruptions or severities differ.

    References:
        - [Hendrycks, Dietterich, 2019](https://arxiv.org/abs/1903.12261), section 4.
    """
    if not errors or {k: len(v) for k, v in errors.items()} != {k: len(v) for k, v in reference.items()}:
        raise ValueError(
            "Both need the same corruptions and severities. "
            f"Received: { {k: len(v) for k, v in errors.items()} } and { {k: len(v) for k, v in reference.items()} }"
        )
    plain, relative, unusable = {}, {}, []
    for name, own in errors.items():
        theirs = reference[name]
        plain[name] = float(sum(own) / sum(theirs)) if sum(theirs) > 0 else float("nan")
        rise = sum(theirs) - len(theirs) * reference_clean_error
        if rise < LEAST_RISE:
            unusable.append(name)
        relative[name] = float((sum(own) - len(own) * clean_error) / rise) if rise >= LEAST_RISE else float("nan")
    accuracy, other = (float(np.mean([1 - e for own in both.values() for e in own])) for both in (errors, reference))
    fall = 1 - reference_clean_error - other
    drop = (1 - clean_error - accuracy) / fall if fall >= LEAST_RISE else float("nan")
    return CorruptionError(plain, relative, accuracy, drop, tuple(unusable))
