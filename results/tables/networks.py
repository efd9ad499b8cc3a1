"""The networks that are compared: where their records are, and how the tables call them."""

from results.tables.records import runs

MNIST, FASHION = "results/mlp-mnist", "results/mlp-fashion"
EARLY = "results/early-training"

PERCEPTRONS = [
    ("**two_arg**", "two_arg", "joint"),
    ("two_arg, phi frozen", "two_arg", "frozen"),
    ("one_arg: a learned curve", "one_arg", "joint"),
    ("one_arg, frozen", "one_arg", "frozen"),
    ("quadratic: six coefficients", "quadratic", "joint"),
    ("quadratic, frozen", "quadratic", "frozen"),
    ("swiglu", "swiglu", "joint"),
    ("maxout", "maxout", "joint"),
    ("gelu", "gelu", "joint"),
    ("relu", "relu", "joint"),
    ("prelu", "prelu", "joint"),
    ("xnor", "xnor", "joint"),
]
"""Label, arm and stage."""

CNNS = [
    ("**two_arg**, phi from Glorot's weights", "two_arg", "-glorot"),
    ("one_arg, from Glorot's weights", "one_arg", "-glorot"),
    ("two_arg, from a random surface, scaled to 0.01", "two_arg", ""),
    ("one_arg, from a random curve", "one_arg", ""),
    ("relu", "relu", ""),
    ("maxout", "maxout", ""),
    ("swiglu", "swiglu", ""),
]
"""Label, arm and what the comparison's name ends with."""


def cnn(data, arm, ending=""):
    """Return the records of a CNN's arm on fashion or cifar10, half width, 8 epochs."""
    return runs(f"{EARLY}/cnn-{data}{ending}", arm)
