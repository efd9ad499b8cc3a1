"""The time of one place as its work grows: pairs, cores, places that share phi. TensorFlow.

    python benchmarks/growth.py --out benchmarks/two-cores-growth.json     # some ten minutes

A place is measured alone: forward as in `predict`, and forward and backward as in `fit`, with gradients to the
pre-activations and to phi. Batches have 128 samples, so there are 128 pairs per unit. All variants take turns.

* exact; a table of 41 x 41 or 81 x 81 nodes, computed at each call; and a baked table (forward only)
* SwiGLU on the same pairs
* ReLU on the same pre-activations, two per pair, as after the same linear layer
"""

import argparse
import os
from functools import partial
from pathlib import Path

import keras
import numpy as np

from keras_twoarg import InnerNetwork, Interpolation, TwoArgActivation, bake, models
from keras_twoarg.experiments import timing
from keras_twoarg.ops.xla import not_for_export
from keras_twoarg.utils import files, subprocesses, versions

ROOT = Path(__file__).parents[1]
BATCH = 128
UNITS = (8, 24, 78, 234, 781, 2344, 7812, 23437, 78125)
"""Units of one sample: from a thousand to ten million pairs, in half decades."""
FEWER = (8, 78, 781, 7812)
"""Units for which one core is compared with two."""
PLACES, UNITS_OF_PLACES = (1, 3, 10), 780
"""Numbers of places that share phi, and their total number of units."""
WAYS = ("exact", "table_41", "table_81", "baked", "relu", "swiglu")
PASSES = ("forward", "both")
PARTS = ("pairs", "places", "one_core")
_LEAST = 0.02  # seconds of a turn


def layers(way, units, inner):
    """Return a built layer for a number of units per sample."""
    pairs = (None, 2 * units)
    if way == "relu":
        layer = keras.layers.Activation("relu")
    elif way == "swiglu":
        layer = models.PairActivation("swiglu")
    elif way == "baked":
        exact = TwoArgActivation(inner, evaluation=Interpolation(resolution=81))
        layer = bake(keras.Sequential([keras.Input(pairs[1:]), exact]))[0].layers[-1]
    else:
        evaluation = "exact" if way == "exact" else Interpolation(resolution=int(way.removeprefix("table_")))
        layer = TwoArgActivation(inner, evaluation=evaluation)
    if not layer.built:
        layer.build(pairs)
    return layer


def passes(way, parts):
    """Return functions that run the forward pass, or both passes, of a place for each input; they share phi."""
    import tensorflow as tf

    inner = InnerNetwork()
    places = [layers(way, part.shape[-1] // 2, inner) for part in parts]
    weights = inner.trainable_weights if way in ("exact", "table_41", "table_81") else []
    upstreams = [tf.ones_like(place(part[:1])) for place, part in zip(places, parts, strict=True)]
    upstreams = [tf.repeat(upstream, BATCH, axis=0) for upstream in upstreams]

    @tf.function
    def forward(parts):
        with not_for_export():  # as in `predict`
            return [place(part, training=False) for place, part in zip(places, parts, strict=True)]

    @tf.function
    def both(parts, upstreams):
        with tf.GradientTape() as tape:
            tape.watch(parts)
            outputs = [place(part, training=True) for place, part in zip(places, parts, strict=True)]
        return outputs, tape.gradient(outputs, [*parts, *weights], output_gradients=upstreams)

    tasks = {(way, "forward"): partial(forward, parts)}
    return tasks if way == "baked" else {**tasks, (way, "both"): partial(both, parts, upstreams)}


def measured(ways, units, rounds, progress, note):
    """Return the times of each variant and pass, for places with the given units per sample."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    parts = [tf.constant(rng.normal(size=(BATCH, 2 * each)).astype("float32")) for each in units]
    tasks = {key: task for way in ways for key, task in passes(way, parts).items()}
    once = timing.timed(tasks, 2, lambda done: None)  # the first of three calls traces and compiles
    steps = {key: max(1, round(_LEAST / min(seconds))) for key, seconds in once.items()}
    times = timing.timed(tasks, rounds, lambda done: progress(note, done, rounds + 1, ""), steps.get)
    return {way: {name: quartiles(times[way, name]) for name in PASSES if (way, name) in times} for way in ways}


def quartiles(seconds):
    """Return the median, the quartiles, and the fastest round, which other load on the machine affects least."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return {"median": median, "quartiles": [low, high], "fastest": min(seconds), "rounds": len(seconds)}


def against_pairs(progress, units, rounds):
    """Measure one place of each size; return the times by number of pairs."""
    note = f"pairs, {len(os.sched_getaffinity(0))} cores"
    return {str(BATCH * each): measured(WAYS, [each], rounds, progress, f"{note}: {BATCH * each:,}") for each in units}


def against_places(progress, rounds):
    """Measure one place, and several with the same total of pairs; return the times by number of places."""
    ways = [way for way in WAYS if way != "baked"]
    return {
        str(number): measured(ways, [UNITS_OF_PLACES // number] * number, rounds, progress, f"places: {number}")
        for number in PLACES
    }


def child(cores, function, *arguments):
    """Call a function of this module in its own process, limited to a number of cores."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:cores])
    try:
        ended = subprocesses.call(f"benchmarks.growth:{function}", _show, *arguments)
    finally:
        os.sched_setaffinity(0, mine)
    if ended.status:
        raise SystemExit(f"{function} failed: {ended.reason}")
    return ended.result


def _show(part, done, of, note):
    if done == of:
        print(f"{part}: {of - 1} rounds", flush=True)


def main():
    """Measure the parts, and write the file after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--units", type=int, nargs="+", default=UNITS, help="of one sample, of 128")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    out, units = options.out.resolve(), list(options.units)
    os.chdir(ROOT)  # where the children find this module
    cores = len(os.sched_getaffinity(0))
    machine = {"cores": cores, "commit": versions.commit(), "batch": BATCH, **versions.versions()}
    record = files.read_json(out) if out.exists() else {"machine": machine, "load": {}}
    if record["machine"] != machine:
        parser.error(f"{out} was measured with {record['machine']}. Use another --out")
    fewer = [each for each in units if each in FEWER]
    tasks = {
        "pairs": lambda: child(cores, "against_pairs", units, options.rounds),
        "places": lambda: child(cores, "against_places", options.rounds),
        "one_core": lambda: child(1, "against_pairs", fewer, options.rounds),
    }
    for part in options.parts:
        record[part], record["load"][part] = tasks[part](), os.getloadavg()[1]
        files.write_json(out, record)


if __name__ == "__main__":
    main()
