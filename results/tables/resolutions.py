"""The resolution of tables: their error for exactly trained phis, and the accuracy of networks trained with them."""

import numpy as np

from keras_twoarg import Interpolation
from keras_twoarg.experiments.training.phi_snapshots import evaluate_weights
from keras_twoarg.export.bake import look_up
from results.tables.documents import markdown
from results.tables.records import MNIST, ROOT, accuracy, difference, runs, spread, table

RESOLUTIONS = "results/mlp-mnist-resolutions"
PAIRS = 20_000


@table("resolutions")
def resolutions():
    """Tables of 81, 41 and 33 nodes along each argument."""
    finest, rows = accuracy(runs(RESOLUTIONS, "two_arg", table_resolution=81)), []
    for nodes in (81, 41, 33):
        grid, trained = Interpolation(resolution=nodes), accuracy(runs(RESOLUTIONS, "two_arg", table_resolution=nodes))
        mean, largest = errors(grid)
        minus = "" if nodes == 81 else difference(trained, finest)
        rows.append((str(nodes), f"{grid.step:g}", f"{mean:.1f} %", f"{largest:.0f} %", spread(trained), minus))
    columns = ("nodes", "step", "error, root mean square", "largest", "trained with it: test accuracy", "minus 81")
    return markdown(columns, rows)


def errors(grid):
    """Return a table's mean and largest error, in percent of phi's standard deviation, at normally distributed pairs.

    The phis are from exactly trained perceptrons.
    """
    pairs = np.random.default_rng(0).normal(size=(PAIRS, 2)).astype("float32")
    with np.load(ROOT / MNIST / "arrays.npz") as arrays:
        folders = sorted({name.split("/")[0] for name in arrays if name.startswith("two_arg-") and "/joint/" in name})
        phis = [[arrays[f"{folder}/joint/weight_{i}"][-1] for i in range(6)] for folder in folders]
    mean, largest = [], []
    for phi in phis:
        exact, nodes = (evaluate_weights(phi, tuples)[:, 0] for tuples in (pairs, grid.nodes(2)))
        error = (look_up(grid, nodes, pairs)[:, 0] - exact) / exact.std()
        mean.append(100 * np.sqrt(np.mean(error**2)))
        largest.append(100 * np.abs(error).max())
    return np.mean(mean), max(largest)
