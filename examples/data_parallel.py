"""Train one model on several devices of one machine: on its GPUs, or on two virtual CPUs if it has none.

    python examples/data_parallel.py              # --epochs 1 for a quick look

For several machines, see data_parallel_jax.py. Needs: pip install '.[tensorflow-cpu,mnist5k]'
"""

import argparse

import tensorflow as tf

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=20)
options = parser.parse_args()

if not tf.config.list_physical_devices("GPU"):
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)

import keras  # noqa: E402  devices must be set up before Keras looks at them

from keras_twoarg import models  # noqa: E402
from keras_twoarg.experiments.training import datasets  # noqa: E402

data = datasets.split(datasets.load("mnist5k"), seed=0)
devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
print(f"{strategy.num_replicas_in_sync} replicas")
with strategy.scope():
    model = models.mlp((28, 28, 1), classes=10, seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
model.fit(data.x_train, data.y_train, batch_size=100, epochs=options.epochs, verbose=0)
_, accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)
print(f"{accuracy:.2%} of {len(data.y_test):,} test digits")
