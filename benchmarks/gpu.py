"""The cost of phi on a GPU, and of several ways to sum the table's gradient. JAX; ends within eight minutes.

    KERAS_BACKEND=jax python benchmarks/gpu.py --out gpu.json            # needs JAX, NumPy, Keras and this package
    KERAS_BACKEND=jax python benchmarks/gpu.py --out gpu.json --small    # tiny, on a CPU: does it run?

Measures the operation alone (one place, with gradients to the pairs and to phi), and then a training step, `predict`
and peak memory of the paper's CNN on 32x32x3, batch 512, and of the character Transformer, batch 128, with matched
parameters.

* relu (on two pre-activations per pair), swiglu
* exact, in chunks as in the package, and exact in one piece
* table: as in the package, differentiated by JAX; on a GPU with 16 private copies
* table, N copies: sums over cells in N private copies of the table, assigned in turn and added at the end
* table, one-hot: the sums as a matrix product
* table, sorted: pairs sorted by their cells, then a sum over segments

Each job has its own process with a time limit: on some versions of jaxlib a scatter into a small table is a
compare-and-swap loop, up to 2,000 times slower. The file is written after each job.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

from keras_twoarg import InnerNetwork, Interpolation, models
from keras_twoarg.ops import table
from keras_twoarg.ops.gpu import adds_slowly
from keras_twoarg.ops.look_up import look_up
from keras_twoarg.utils import files, versions

GRID = Interpolation()
CELLS = GRID.cells(2)
TOLERANCE = 1e-4
"""Tolerance for the order of float32 sums, relative to the largest entry of the table's gradient."""
LONGEST = 100.0  # seconds of a job
ARMS = ("relu", "swiglu", "two_arg")


def one_of(copies):
    """Return a function that sums over cells in private copies of the table."""
    import jax.numpy as jnp

    def sums(row, added):
        place = row + jnp.arange(len(row)) % copies * CELLS
        return jnp.zeros((copies * CELLS, 4)).at[place].add(added).reshape(copies, CELLS, 4).sum(axis=0)

    return sums


def one_hot(row, added):
    """Return sums over cells as a matrix product: each pair's column times its row of the table, in chunks."""
    import jax
    import jax.numpy as jnp

    side, chunk = GRID.resolution + 1, 2**15
    short = -len(row) % chunk
    rows = jnp.pad(row, (0, short)).reshape(-1, chunk)
    parts = jnp.pad(added, ((0, short), (0, 0))).reshape(-1, chunk, 4)

    def add(total, chunk):
        row, added = chunk
        first, second = jax.nn.one_hot(row // side, side), jax.nn.one_hot(row % side, side)
        factors = (second[:, :, None] * added[:, None]).reshape(len(row), -1)
        return total + jnp.matmul(first.T, factors, precision=jax.lax.Precision.HIGHEST), None

    return jax.lax.scan(add, jnp.zeros((side, side * 4)), (rows, parts))[0].reshape(CELLS, 4)


def by_segments(row, added):
    """Return sums over cells of pairs sorted by cell."""
    import jax
    import jax.numpy as jnp

    order = jnp.argsort(row)
    return jax.ops.segment_sum(added[order], row[order], CELLS, indices_are_sorted=True)


SUMS = {
    **{f"table, {n} copies": one_of(n) for n in (1, 16, 64)},
    "table, one-hot": one_hot,
    "table, sorted": by_segments,
}
"""Ways to form the gradient to the table, `(N,)` cells and `(N, 4)` terms to `(cells, 4)`."""


def looking_up(sums):
    """Return the look-up `(N, 2)`, `(cells, 4)` -> `(N,)` with a given sum for the gradient to the table."""
    import jax
    import jax.numpy as jnp

    @jax.custom_vjp
    def looked_up(pairs, cells):
        return look_up(pairs, cells, GRID)

    def backward(inputs, upstream):
        pairs, cells = inputs
        (slopes,) = jax.vjp(lambda pairs: look_up(pairs, cells, GRID), pairs)[1](upstream)
        scaled = (pairs + GRID.extent) / GRID.step + 1
        cell = jnp.clip(jnp.floor(scaled), 0, GRID.resolution)
        first, second = (scaled - cell).T
        row = (cell[:, 0] * (GRID.resolution + 1) + cell[:, 1]).astype("int32")
        terms = jnp.stack([jnp.ones_like(first), first, second, first * second], axis=-1)
        return slopes, sums(row, terms * upstream[:, None])

    looked_up.defvjp(lambda pairs, cells: (looked_up(pairs, cells), (pairs, cells)), backward)
    return looked_up


def operations(inner):
    """Return the operations by name, as functions of pairs `(N, 2)` and phi's weights."""
    import jax

    def by_table(function, pairs, weights):
        return function(pairs, table.make_table(weights, inner.evaluate, GRID, 2, True))

    return {
        "relu": lambda pairs, weights: jax.nn.relu(pairs),
        "swiglu": lambda pairs, weights: jax.nn.silu(pairs[:, 0]) * pairs[:, 1],
        "exact": lambda pairs, weights: inner.evaluate(pairs, weights, True)[:, 0],
        "exact, in one piece": lambda pairs, weights: inner.evaluate(pairs, weights, False)[:, 0],
        "table": partial(by_table, partial(look_up, grid=GRID)),
        **{name: partial(by_table, looking_up(sums)) for name, sums in SUMS.items()},
    }


def phi():
    """Return an inner network, and its weights as JAX arrays."""
    keras.utils.set_random_seed(0)
    inner = InnerNetwork()
    inner.ensure_built()
    return inner, [weight.value for weight in inner.weights]


def gradient_error(name, pairs):
    """Return the error of a sum relative to JAX's derivative of the look-up, over its largest entry."""
    import jax

    rng = np.random.default_rng(1)
    cells, upstream = (rng.normal(size=size).astype("float32") for size in ((CELLS, 4), len(pairs)))

    def gradient(function):
        return np.asarray(jax.jit(lambda cells: jax.vjp(partial(function, pairs), cells)[1](upstream)[0])(cells))

    expected = gradient(partial(look_up, grid=GRID))
    return float(np.abs(gradient(looking_up(SUMS[name])) - expected).max() / np.abs(expected).max())


def alone(name, sizes, seconds):
    """Measure one operation, forward, and forward and backward; return rows."""
    import jax

    inner, weights = phi()
    operation, rows = operations(inner)[name], []

    @jax.jit
    def both(pairs, weights):
        values, back = jax.vjp(operation, pairs, weights)
        return values, back(jax.numpy.ones_like(values))

    for size in sizes:
        pairs = jax.numpy.asarray(np.random.default_rng(0).normal(size=(size, 2)).astype("float32"))
        error = gradient_error(name, pairs[:100_000]) if name in SUMS else None
        for what, function in (("forward", jax.jit(operation)), ("forward and backward", both)):
            task = partial(function, pairs, weights)
            rows.append(row(name, f"{size:,} pairs", what, task, seconds))
        rows[-1]["gradient_error"] = error
    return rows


def network(architecture, arm, small, seconds):
    """Measure `predict`, a training step and the peak memory after each; return rows."""
    import jax

    batch = 2 if small else {"cnn": 512, "transformer": 128}[architecture]
    rng = np.random.default_rng(0)
    if architecture == "cnn":
        make, widths = partial(models.cnn, (32, 32, 3), 10, seed=0), {"widths": (6, 12, 12, 12)} if small else {}
        x, y = rng.normal(size=(batch, 32, 32, 3)).astype("float32"), rng.integers(0, 10, batch)
    else:
        make, widths = partial(models.transformer, (64,), 80, seed=0), {"widths": (16, 16, 16)} if small else {}
        x, y = (rng.integers(0, 80, (batch, 64)) for _ in range(2))
    model = make(**widths)
    if arm != "two_arg":  # tiny networks cannot be matched as closely
        model = make(arm, models.matched_widths(arm, model, tolerance=0.2 if small else 0.005))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = jax.device_put(x), jax.device_put(y)
    case = f"{architecture}, batch {batch}"
    return [
        row(arm, case, "predict", partial(model.predict_on_batch, x), seconds),
        row(arm, case, "training step", partial(model.train_on_batch, x, y), seconds),
    ]


def row(name, case, what, function, enough):
    """Time a function for about `enough` seconds, and return a row."""
    import jax

    def once():
        start = time.perf_counter()
        jax.block_until_ready(function())
        return time.perf_counter() - start

    first, seconds = once(), []
    once()
    while len(seconds) < 3 or (sum(seconds) < enough and len(seconds) < 200):
        seconds.append(once())
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    times = {"median": median, "quartiles": [low, high], "rounds": len(seconds), "first_call": first}
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {"name": name, "case": case, "pass": what, **times, "peak_bytes": peak, "gradient_error": None}


def jobs(small):
    """Return the jobs by name, the most important first: functions of this module and their arguments."""
    sizes, seconds = ([1000, 4000], 0.05) if small else ([10**6, 10**7], 2.0)  # of one measurement
    names = ["relu", "table", "table, 64 copies", "exact, in one piece", "swiglu", "table, 1 copies"]
    names += ["table, 16 copies", "table, sorted", "table, one-hot", "exact"]
    operations = {name: [("alone", name, sizes, seconds)] for name in names}
    networks = {
        net: {f"{net}, {arm}": [("network", net, arm, small, seconds)] for arm in ARMS}
        for net in ("cnn", "transformer")
    }
    if small:  # there, starting processes takes longest
        kinds = {"operations": operations, **networks}
        return {kind: [call for calls in each.values() for call in calls] for kind, each in kinds.items()}
    first, rest = list(operations.items())[:4], list(operations.items())[4:]
    return dict([*first, *networks["cnn"].items(), *networks["transformer"].items(), *rest])


def device():
    """Return a description of the device, as a list."""
    import jax

    return [f"{jax.devices()[0].device_kind}, {jax.default_backend()}"]


def in_a_process(calls, seconds):
    """Run a job in its own process; return the results of its calls, and the reason if there are none."""
    command = [sys.executable, str(Path(__file__).resolve()), "--job", json.dumps(calls)]
    # Memory is allocated on demand, so that peaks are meaningful.
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=max(seconds, 0.1))
    except subprocess.TimeoutExpired:
        return None, f"not done in {seconds:.0f} s"
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1]), None


def warning(kind):
    """Return a warning about this version of jaxlib on this device, or None."""
    version = metadata.version("jaxlib")
    if kind.endswith("gpu") and adds_slowly(version):
        return f"jaxlib {version} adds into small float32 tables by a compare-and-swap loop: expect slow scatters"
    return None


def line(row):
    """Return a line of the printed table."""
    low, high = row["quartiles"]
    memory = f"{row['peak_bytes'] / 1e6:9,.0f}" if row["peak_bytes"] else " " * 9
    error = "" if row["gradient_error"] is None else f"  {row['gradient_error']:.1e}"
    times = f"{1e3 * row['median']:10.3f} ({1e3 * low:.3f} to {1e3 * high:.3f})"
    return f"{row['case']:24} {row['name']:20} {row['pass']:21} {times:38} {memory}{error}"


def main():
    """Run the jobs within the time limit, or one job in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=480.0, help="time limit for all jobs")
    parser.add_argument("--small", action="store_true", help="tiny sizes, for a CPU")
    parser.add_argument("--only", help="jobs whose names contain this")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if keras.backend.backend() != "jax":
        sys.exit(f"Expected KERAS_BACKEND=jax. Received: {keras.backend.backend()}. Set it before the command.")
    if options.job:
        calls = json.loads(options.job)
        print(json.dumps([result for function, *arguments in calls for result in globals()[function](*arguments)]))
        return
    run(options, time.monotonic() + options.seconds)


def run(options, end):
    """Run every job for which there is time, write the file after each, and print all results."""
    kinds, failed = in_a_process([["device"]], end - time.monotonic())
    if failed:
        sys.exit(f"No device: {failed}")
    (kind,) = kinds
    machine = {"device": kind, "jaxlib": metadata.version("jaxlib"), "commit": versions.commit(), **versions.versions()}
    record = {"machine": {**machine, "small": options.small, "warning": warning(kind)}, "rows": [], "left_out": {}}
    longest = options.seconds if options.small else LONGEST
    for name, calls in jobs(options.small).items():
        if options.only and options.only not in name:
            continue
        left = end - time.monotonic()
        rows, failed = in_a_process(calls, min(left, longest)) if left > 5 else (None, "no time left")
        record["rows"] += rows or []
        if failed:
            record["left_out"][name] = failed
        if options.out:
            files.write_json(options.out, record)
        print(f"{name}: {failed or 'done'}", flush=True)
    print("\n".join([f"\n{kind}", *filter(None, [record["machine"]["warning"]])]))
    print(f"{'':24} {'':20} {'':21} {'ms, median (quartiles)':38} {'peak, MB':>9}  gradient off by")
    print("\n".join(line(each) for each in record["rows"]))
    print("\n".join(f"Left out: {name}: {why}" for name, why in record["left_out"].items()))


if __name__ == "__main__":
    main()
