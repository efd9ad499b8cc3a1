"""Train one model on several machines with the JAX backend; by default, two processes on this machine.

    python examples/data_parallel_jax.py              # --epochs 1 for a quick look

Each process reads its own part of the data. On a cluster, start the program once on each machine, for example on the
first of two:

    python examples/data_parallel_jax.py --coordinator HOST:17000 --processes 2 --process 0

Needs: pip install 'jax[cpu]' '.[mnist5k]'
"""

import argparse
import os
import socket
import subprocess
import sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--coordinator", help="Address of the first process, HOST:PORT.")
parser.add_argument("--processes", type=int, default=2)
parser.add_argument("--process", type=int, help="Number of this process, from 0.")
options = parser.parse_args()
if options.processes < 1 or 100 % options.processes:  # all processes need batches of one size
    parser.error(f"--processes must divide the batch of 100 images. Received: {options.processes}")

if options.process is None:  # not started on each machine: start all processes here
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = options.coordinator or f"127.0.0.1:{free.getsockname()[1]}"
    common = [sys.executable, __file__, "--coordinator", address, "--processes", str(options.processes)]
    common += ["--epochs", str(options.epochs)]
    started = [subprocess.Popen([*common, "--process", str(i)]) for i in range(options.processes)]
    sys.exit(any([process.wait() for process in started]))

os.environ["KERAS_BACKEND"] = "jax"
import jax  # noqa: E402  the backend must be chosen first
import keras  # noqa: E402

keras.distribution.initialize(options.coordinator, options.processes, options.process)
keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))

from keras_twoarg import models  # noqa: E402
from keras_twoarg.experiments.training import datasets  # noqa: E402

data = datasets.split(datasets.load("mnist5k"), seed=0)
mine = slice(options.process, None, options.processes)  # each process reads its own part of the images
model = models.mlp((28, 28, 1), classes=10, seed=0)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
batch = 100 // options.processes  # per process; 100 in all
model.fit(data.x_train[mine], data.y_train[mine], batch_size=batch, epochs=options.epochs, verbose=0)
_, accuracy = model.evaluate(data.x_test[mine], data.y_test[mine], batch_size=batch, verbose=0)
if options.process == 0:
    print(f"{jax.process_count()} processes, {jax.device_count()} devices")
    print(f"{accuracy:.2%} of {len(data.y_test):,} test digits")
