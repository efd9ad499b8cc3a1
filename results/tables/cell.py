"""The recurrent cell: at equal seconds, with mixed arguments, and with a smooth phi that starts as a product."""

import numpy as np

from results.tables.documents import markdown
from results.tables.pays import CELL, DIGITS, FIGURES, Task, of, seconds_of, tested
from results.tables.records import against, each, interval, runs, spread, table

CELL_SECONDS = Task("next character, recurrent cell, equal seconds", "results/lm-kjv-recurrent-seconds", "bits")
"""Each unit has as many epochs of its own as fit into two_arg's seconds: reported beside the cell."""
CELL_MIXED = Task("next character, recurrent cell, mixed arguments", "results/lm-kjv-recurrent-mixed", "bits")
"""Every argument, of fixed functions too, has a projection of input and state: reported beside the cell."""
CELL_PRODUCT = Task("next character, recurrent cell, phi from a product", "results/lm-kjv-recurrent-product", "bits")
"""The cell whose phi starts as the best fixed unit: reported beside it."""
SMOOTH = "results/lm-kjv-recurrent-smooth"
"""The cell with a phi of SiLUs that starts as the product; with the same seeds, the product and the default phi."""


@table("pays-cell-planned-seconds")
def pays_cell_planned_seconds():
    """The recurrent cell, each unit trained for the same seconds: final figures, and two_arg minus each."""
    rows, figure = [], FIGURES[CELL.figure]
    two_arg = of(CELL_SECONDS, "two_arg", figure)
    for arm in ("two_arg", "one_arg", "gru", "relu", "tanh"):
        records, own = runs(CELL_SECONDS.folder, arm), of(CELL_SECONDS, arm, figure)
        validation = spread({r.seed: min(r.curve("val_loss")) / np.log(2) for r in records}, 3, "")
        ahead = "" if arm == "two_arg" else interval(against(two_arg, own), DIGITS[CELL.figure])
        rows.append((
            arm, str(len(records[0].epochs)), f"{seconds_of_steps(arm):.0f}", validation,
            f"{spread(own, 3, '')} ({each(own, 3)})", ahead,
        ))  # fmt: skip
    return markdown(("units", "epochs", "seconds of its steps", "validation", "test, bits", "two_arg minus it"), rows)


def seconds_of_steps(arm):
    """Return the time that a run at equal seconds takes, by today's time of a step."""
    record = runs(CELL_SECONDS.folder, arm)[0]
    steps = len(record.epochs) * record.settings["epoch_samples"] // record.settings["batch_size"]
    return steps * seconds_of(CELL, arm)


@table("pays-cell-mixed")
def pays_cell_mixed():
    """Two-argument cells, learned and fixed, mixed and separate, compared with the separate learned one."""
    rows, two_arg = [], of(CELL, "two_arg", FIGURES[CELL.figure])
    fixed = ("product", "swiglu", "glu", "maxout")
    cells = [(CELL, arm) for arm in ("two_arg", "quadratic", *fixed)]
    mixed = ((CELL_MIXED, arm) for arm in ("two_arg", "quadratic", *fixed))
    for task, arm in (*cells, (CELL_PRODUCT, "two_arg"), *mixed):
        everyone = runs(task.folder, arm)
        own = {record.seed: record.bits for record in everyone if record.bits is not None}
        rows.append((
            f"{arm}, from a product" if task is CELL_PRODUCT else arm, everyone[0].settings["arguments"],
            str(everyone[0].widths[0]), f"{everyone[0].parameters:,}",
            f"{spread(own, 3, '')} ({each(own, 3)})" if own else "",
            "" if (task, arm) == (CELL, "two_arg") or not own else interval(against(two_arg, own), DIGITS[CELL.figure]),
            tested(everyone),
        ))  # fmt: skip
    columns = ("units", "arguments", "width", "parameters", "test, bits", "separate two_arg minus it", "seeds")
    return markdown(columns, rows)


def smooth_cells():
    """Return the records of a smooth phi that starts as a product, then those of its comparisons."""
    return {
        "two_arg, smooth phi from a product": runs(SMOOTH, "two_arg", inner_activation="silu"),
        "product": runs(SMOOTH, "product"),
        "two_arg, default phi": runs(SMOOTH, "two_arg", inner_activation="relu"),
    }


@table("pays-cell-smooth")
def pays_cell_smooth():
    """A smooth phi that starts as a product, beside the product and the default phi."""
    cells = smooth_cells()
    rows, smooth = [], {r.seed: r.bits for r in next(iter(cells.values()))}
    for name, records in cells.items():
        own = {record.seed: record.bits for record in records}
        difference = interval(against(smooth, own), DIGITS[CELL.figure]) if own != smooth else ""
        rows.append((
            name, f"{records[0].parameters:,}", f"{spread(own, 3, '')} ({each(own, 3)})", difference, tested(records)
        ))  # fmt: skip
    return markdown(("units", "parameters", "test, bits", "smooth phi minus it", "seeds"), rows)
