"""Train a character Transformer with two-argument feed-forward units on Python's own documentation.

    python examples/transformer.py                     # some minutes on two cores
    python examples/transformer.py --arm swiglu        # the same with a fixed gate, at equal parameters
    python examples/transformer.py --epochs 1          # a quick look

To run all arms and seeds of the comparison in the documentation: twoarg reproduce lm-kjv --out runs/lm-kjv
Needs: pip install '.[tensorflow-cpu]'
"""

import argparse

import keras
import numpy as np

from keras_twoarg import models
from keras_twoarg.experiments.training import text
from keras_twoarg.experiments.training.generation import generate

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--arm", default="two_arg", help="units of the feed-forward layers")
parser.add_argument("--epochs", type=int, default=40, help="epochs of 25 steps")
arguments = parser.parse_args()

CONTEXT, BATCH, STEPS = 64, 32, 25
docs = text.load_text("pydocs")
characters = len(docs.characters)

widths = models.matched_widths(arguments.arm, reference=models.transformer((CONTEXT,), characters))
model = models.transformer((CONTEXT,), characters, arguments.arm, widths, seed=0)

schedule = keras.optimizers.schedules.CosineDecay(0.0, STEPS * arguments.epochs, warmup_target=2e-3, warmup_steps=STEPS)
model.compile(
    keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=1.0),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)

rng = np.random.default_rng(0)
for epoch in range(arguments.epochs):
    x, y = text.windows(docs.train, CONTEXT, offset=int(rng.integers(CONTEXT)))
    rows = rng.permutation(len(x))[: BATCH * STEPS]
    loss = model.fit(x[rows], y[rows], batch_size=BATCH, verbose=0).history["loss"][0]
    print(f"epoch {epoch + 1}: {loss / np.log(2):.3f} bits a character")

print(generate(model, docs, "The ", length=100))

x, y = text.windows(docs.validation, CONTEXT)
loss, accuracy = model.evaluate(x, y, batch_size=BATCH, verbose=0)
print(
    f"{model.count_params():,} parameters, {loss / np.log(2):.3f} bits a character, {accuracy:.2%} of {y.size:,} right"
)
