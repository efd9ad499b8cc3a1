"""What two arguments did for networks of one's own: converted ReLU networks, and an example of `twoarg compare`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_twoarg.experiments.comparison import Comparison, Run
from keras_twoarg.utils import files
from results.tables.documents import markdown
from results.tables.records import ROOT, difference, mean_of, table

ARMS = ("as it is", "widened", "converted")
RATES = 3
"""Number of learning rates tried for each arm."""
DATA = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
NETWORKS = {"mlp": "perceptron", "cnn": "CNN", "mobilenet": "MobileNetV3Small"}


def percent(accuracies: Mapping[str, float]) -> dict[int, float]:
    """Return accuracies in percent, by seed."""
    return {int(seed): 100 * value for seed, value in accuracies.items()}


def chosen(runs: Sequence[Mapping[str, Any]], arm: str) -> list[Mapping[str, Any]]:
    """Return an arm's runs at the rate with the best mean validation accuracy."""
    of_arm = [run for run in runs if run["arm"] == arm]
    by_rate = {rate: [run for run in of_arm if run["rate"] == rate] for rate in {run["rate"] for run in of_arm}}
    return max(by_rate.values(), key=lambda group: float(np.mean([run["validation"] for run in group])))


@table("convert")
def convert() -> str:
    """The three continuations, for each data set."""
    rows: list[list[str]] = []
    for comparison in files.read_json(ROOT / "results/convert.json"):
        if "test" not in comparison:  # unfinished: reported in the plan's answers
            continue
        runs, test = comparison["runs"], {arm: percent(values) for arm, values in comparison["test"].items()}
        name = f"{DATA[Path(runs[0]['data']).stem]}, {NETWORKS[runs[0]['network']]}"
        if any(row[0] == name for row in rows):
            name += f", seeds {min(test['before'])} to {max(test['before'])}"
        rows.append([name, "before", "", "", mean_of(list(test["before"].values())), "", ""])
        for arm in ARMS:
            own = chosen(runs, arm)
            rows.append([
                "", arm, f"{own[0]['parameters']:,}", f"{own[0]['rate']:g}", mean_of(list(test[arm].values())),
                "" if arm == "as it is" else difference(test[arm], test["as it is"]),
                difference(test["converted"], test["widened"]) if arm == "converted" else "",
            ])  # fmt: skip
    columns = ["data", "network", "parameters", "rate", "test, %", "minus as it is", "minus widened"]
    return markdown(columns, rows)


@table("compare")
def compare() -> str:
    """A perceptron on 5,000 digits, unchanged and with other units."""
    runs = tuple(Run(**run) for run in files.read_json_lines(ROOT / "results/compare-digits.jsonl"))
    shown = Comparison(runs, "parameters").table()
    return markdown(shown.columns, shown.rows)
