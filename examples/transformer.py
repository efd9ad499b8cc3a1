"""A character Transformer whose feed-forward units are of two arguments, on Python's own documentation.

    python examples/transformer.py                     # some minutes on two cores
    python examples/transformer.py --arm swiglu        # the same with a fixed gate and as many parameters
    python examples/transformer.py --epochs 1          # a look

Needs: pip install 'keras_twoarg[tensorflow-cpu]'
"""

import argparse

import keras
import numpy as np

from keras_twoarg import models
from keras_twoarg.experiments.training import text

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--arm", default="two_arg", help="what fills the feed-forward layers")
parser.add_argument("--epochs", type=int, default=40, help="epochs of 25 steps")
arguments = parser.parse_args()

CONTEXT, BATCH, STEPS = 64, 32, 25
docs = text.load_text("pydocs")
sizes = {"vocabulary": len(docs.characters), "context": CONTEXT}

parameters = models.transformer(**sizes).count_params()
hidden_width = models.hidden_width_for(arguments.arm, parameters, **sizes)
model = models.transformer(arm=arguments.arm, hidden_width=hidden_width, seed=0, **sizes)

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

tokens = docs.encode("The ")
for _ in range(100):
    padded = np.zeros((1, CONTEXT), "int32")
    recent = tokens[-CONTEXT:]
    padded[0, : len(recent)] = recent
    logits = model.predict_on_batch(padded)[0, len(recent) - 1]
    probabilities = np.exp(1.25 * (logits - logits.max()))
    tokens = np.append(tokens, rng.choice(len(logits), p=probabilities / probabilities.sum()))
print(docs.decode(tokens))

x, y = text.windows(docs.validation, CONTEXT)
loss, accuracy = model.evaluate(x, y, batch_size=BATCH, verbose=0)
print(
    f"{model.count_params():,} parameters, {loss / np.log(2):.3f} bits a character, {accuracy:.2%} of {y.size:,} right"
)
