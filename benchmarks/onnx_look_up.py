"""The cost of a look-up in ONNX Runtime, exported by Keras and by `formats.export`, compared with ReLU.

    python benchmarks/onnx_look_up.py --seconds 60 --out benchmarks/two-cores-onnx.json

The paper's CNN on 32x32x3, batch 128, and its perceptron on 28x28x1, batch 200. All take turns in one process. Reports
wall time, and the processor time of all threads, which other load affects less. Needs: pip install
'keras_twoarg[tensorflow-cpu,cli,export]'
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from keras_twoarg.experiments.benchmark import networks
from keras_twoarg.experiments.timing import summary
from keras_twoarg.export import formats, runtimes
from keras_twoarg.utils import files, versions


def exported(name, folder):
    """Export ReLU, and the baked network in both ways; return functions that run them."""
    relu, baked = (networks.build(name, variant) for variant in ("relu", "baked"))
    paths = {way: Path(folder) / f"{name}-{way}.onnx" for way in ("relu", "rows", "planes")}
    formats.export(relu, paths["relu"], "onnx")
    baked(np.zeros((1, *baked.input_shape[1:]), "float32"))  # Keras exports only models that were called
    baked.export(paths["rows"], format="onnx", verbose=False)
    formats.export(baked, paths["planes"], "onnx")
    return {way: runtimes.load(path, "onnx") for way, path in paths.items()}


def timed(runs, x, seconds):
    """Return the wall and processor times of each variant; they take turns for a number of seconds."""
    wall, processor = ({way: [] for way in runs} for _ in range(2))
    for run in runs.values():
        run(x)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for way, run in runs.items():
            start = time.perf_counter(), time.process_time()
            run(x)
            wall[way].append(time.perf_counter() - start[0])
            processor[way].append(time.process_time() - start[1])
    return {way: {"wall": summary(wall[way]), "processor": summary(processor[way])} for way in runs}


def main():
    """Measure both networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    machine = {"cores": os.cpu_count(), "commit": versions.commit(), **versions.versions()}
    measured = {"machine": {**machine, "load": os.getloadavg()[0]}}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cnn32", "mlp28"):
            _, shape, batch = networks.NETWORKS[name]
            x = np.random.default_rng(0).normal(size=(batch, *shape)).astype("float32")
            measured[name] = times = timed(exported(name, folder), x, options.seconds)
            for way, each in times.items():
                ratios = [each[kind]["median"] / times["relu"][kind]["median"] for kind in ("wall", "processor")]
                print(
                    name, way, f"{1e3 * each['wall']['median']:.1f} ms, x relu", *(f"{ratio:.2f}" for ratio in ratios)
                )
                for kind in each.values():
                    kind["rounds"] = len(kind.pop("seconds"))
    if options.out:
        files.write_json(options.out, measured)


if __name__ == "__main__":
    main()
