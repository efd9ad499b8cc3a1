"""What phi became in tasks that are not the paper's: its start and its end, paired by seed."""

from collections import Counter

import numpy as np

from keras_twoarg.experiments.reports.documents import markdown
from results.tables.pays import NEW_TASKS
from results.tables.records import table
from results.tables.soft_xor import phis


@table("pays-shapes")
def pays_shapes():
    """The learned phis of text, tables and drawn tasks."""
    rows = []
    for task in NEW_TASKS:
        members = list(phis(task.folder).values())
        start, end = (np.array([member[key] for member in members]) for key in ("paper_at_start", "paper"))
        named = Counter(str(member["nearest"]) for member in members).most_common()
        shares = [np.mean([member[key] for member in members]) for key in ("quadrupole_at_start", "quadrupole")]
        rows.append((
            task.label, str(len(members)), f"{np.sum(start > 0)} → {np.sum(end > 0)}",
            ", ".join(f"{a:+.2f} → {b:+.2f}" for a, b in zip(start, end, strict=True)),
            f"{shares[0]:.0%} → {shares[1]:.0%}", ", ".join(f"{name} {number}" for name, number in named),
        ))  # fmt: skip
    columns = ("task", "seeds", "saddles", "score of each seed", "quadrupole, mean", "nearest named function")
    return markdown(columns, rows)
