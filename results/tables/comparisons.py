"""The list of comparisons: what ran, with which command, at which commit."""

from collections import Counter

from keras_twoarg.experiments.reports.documents import markdown
from results.tables.networks import EARLY
from results.tables.records import ROOT, stored, table

_CNN = "--arms {arms} --widths 30,60,60,60 --subset 20000 --epochs 8 --frozen-epochs 0 --seeds 3 --phi-init {start}"
_FASHION, _CIFAR = (
    "twoarg reproduce cnn-fashion --data fashion_mnist.npz",
    "twoarg reproduce cnn-cifar10 --data cifar10.npz",
)
_ALL = "two_arg,relu,swiglu,one_arg,maxout"
_ATTACKED = "--robustness --points 1000"

COMMANDS = {
    "results/mlp-mnist": "twoarg reproduce mlp-mnist --data mnist.npz --evaluation exact --robustness",
    "results/mlp-fashion": "twoarg reproduce mlp-fashion --data fashion_mnist.npz --evaluation exact --robustness",
    "results/mlp-mnist-interpolated": "twoarg train --arm two_arg --evaluation interpolated --phi-init random "
    "--frozen-epochs 0 --data mnist.npz --seed SEED",
    "results/mlp-fashion-depths": "twoarg reproduce mlp-fashion --data fashion_mnist.npz --arms two_arg,relu,swiglu "
    "--widths WIDTHS --subset 20000 --frozen-epochs 0 --seeds 5, with 64 to 64,64,64,64",
    "results/mlp-mnist-starts": "twoarg reproduce mlp-mnist --data mnist.npz --arms two_arg --phi-init START "
    "--subset 10000 --frozen-epochs 0 --seeds 5, with random, glorot, product, swiglu",
    "results/claim-c": "twoarg train --arm two_arg --phi-init START --phi-init-std 0 --subset 10000 --epochs 20 "
    "--frozen-epochs 0 --data mnist.npz --seed SEED, with random, glorot and seeds from 100",
    f"{EARLY}/cnn-fashion": f"{_FASHION} {_CNN.format(arms=_ALL, start='random')} {_ATTACKED}",
    f"{EARLY}/cnn-cifar10": f"{_CIFAR} {_CNN.format(arms=_ALL, start='random')} {_ATTACKED}",
    f"{EARLY}/cnn-fashion-first": f"{_FASHION} {_CNN.format(arms='two_arg', start='random')}",
    f"{EARLY}/cnn-cifar10-first": f"{_CIFAR} {_CNN.format(arms='two_arg', start='random')}",
    f"{EARLY}/cnn-fashion-glorot": f"{_FASHION} {_CNN.format(arms='two_arg,one_arg', start='glorot')}",
    f"{EARLY}/cnn-cifar10-glorot": f"{_CIFAR} {_CNN.format(arms='two_arg,one_arg', start='glorot')}",
    f"{EARLY}/cnn-cifar10-full": f"{_CIFAR} --arms two_arg,relu,swiglu,one_arg --subset 20000 --epochs 8 "
    "--frozen-epochs 0 --seeds 3 --phi-init random, ended after six runs",
    f"{EARLY}/cnn-fashion-L2": "twoarg robustness MODEL --data fashion_mnist.npz --p-norm L2 --eps 1.5 --points 300 "
    "--corruptions none, MODEL of two_arg and relu of cnn-fashion, whose records stand beside",
    f"{EARLY}/cnn-fashion-exact": "twoarg reproduce cnn-fashion --arms two_arg --subset 20000 --widths 12,24,48 "
    "--epochs 3 --frozen-epochs 0 --evaluation exact",
    f"{EARLY}/cnn-fashion-interpolated": "the same with --evaluation interpolated",
    "tuning/mnist": "see tuning/README.md",
    "tuning/fashion_mnist": "see tuning/README.md",
}
"""Every comparison's command, without its `--out`."""


@table("comparisons")
def comparisons():
    """Every comparison with its runs, command and commits."""
    rows = []
    for folder, command in COMMANDS.items():
        runs = stored(folder)
        arms = Counter(f"{run.record.arm}{', frozen' if run.record.stage == 'frozen' else ''}" for run in runs)
        told = ", ".join(f"{arm} {number}" for arm, number in arms.items())
        measured = sum(len(run.robustness) for run in runs)
        commits = Counter((run.record.commit or "unknown")[:7] for run in runs)
        commits |= Counter(
            f"{m.settings['commit'][:7]} (robustness)" for run in runs for m in run.robustness if "commit" in m.settings
        )
        shown = [commit if number == len(runs) else f"{commit}" for commit, number in commits.items()]
        rows.append((
            f"`{folder.removeprefix('results/')}`", str(len(runs)), told, str(measured or ""), f"`{command}`"
            if command.startswith("twoarg") and "," not in command.split()[-1] else command, ", ".join(shown),
        ))  # fmt: skip
    return markdown(("folder", "records", "of", "robustness", "command", "commit"), rows)


def missing():
    """Return the packed folders that have no entry here."""
    packed = {
        file.parent.relative_to(ROOT).as_posix()
        for top in ("results", "tuning")
        for file in (ROOT / top).rglob("runs.jsonl")
    }
    return sorted(packed - set(COMMANDS))
