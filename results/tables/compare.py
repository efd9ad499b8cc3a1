"""What `twoarg compare` said of a plain Keras model, as an example."""

from keras_twoarg.experiments.comparison import Comparison, Run
from keras_twoarg.experiments.reports.documents import markdown
from keras_twoarg.utils import files
from results.tables.records import ROOT, table


@table("compare")
def compare() -> str:
    """A perceptron on 5,000 digits, as it is and with other units."""
    runs = tuple(Run(**run) for run in files.read_json_lines(ROOT / "results/compare-digits.jsonl"))
    shown = Comparison(runs, "parameters").table()
    return markdown(shown.columns, shown.rows)
