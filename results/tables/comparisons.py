"""The list of comparisons: their runs, commands and commits."""

from collections import Counter

from results.tables.documents import markdown
from results.tables.records import EARLY, ROOT, shortened, stored, table

_CNN = "--arms {arms} --widths 30,60,60,60 --subset 20000 --epochs 8 --frozen-epochs 0 --seeds 3 --phi-init {start}"
_FASHION = "twoarg reproduce cnn-fashion --data fashion_mnist.npz"
_CIFAR = "twoarg reproduce cnn-cifar10 --data cifar10.npz"
_ALL = "two_arg,relu,swiglu,one_arg,maxout"
_ATTACKED = "--robustness --points 1000"
_EXACT = "--evaluation exact --phi-init random"
_EXACT_THEN = "phi was evaluated exactly, the default then"
_FIVE = (
    "AutoAttack on two_arg, one_arg, relu, swiglu, maxout, seeds 0 to 2, with the function that `--robustness` calls"
)
_81 = "--table-resolution 81"
"""phi's table where it had 81 nodes by default; dense layers have 41 today."""
_ADDITION = "--weight-decay 0.35 --learning-rate 1e-3 --schedule cosine --epochs 1600 --first-seed 100"
_TABLES = "with `KERAS_BACKEND=jax`, all runs in one process that calls the command's own function"

COMMANDS = {
    "results/mlp-mnist": (f"twoarg reproduce mlp-mnist --data mnist.npz {_EXACT}", _FIVE),
    "results/mlp-fashion": (f"twoarg reproduce mlp-fashion --data fashion_mnist.npz {_EXACT}", _FIVE),
    "results/mlp-mnist-interpolated": (
        f"twoarg train --arm two_arg --evaluation interpolated {_81} --phi-init random --frozen-epochs 0 "
        "--data mnist.npz --seed SEED",
        "",
    ),
    "results/mlp-mnist-resolutions": (
        "twoarg train --arm two_arg --evaluation interpolated --table-resolution NODES --phi-init random "
        "--subset 10000 --epochs 8 --frozen-epochs 0 --data mnist.npz --seed SEED",
        "NODES 81, 41, 33; run through the command's own function, which fitted phi's first surface once per seed",
    ),
    "results/mlp-mnist-200": (
        "twoarg reproduce mlp-mnist --data mnist.npz --arms two_arg,relu,one_arg --phi-init glorot --epochs 200 "
        "--frozen-epochs 0 --first-seed 100",
        "one_arg was run later; packed with `--ends`",
    ),
    "results/mlp-fashion-200": (
        "twoarg reproduce mlp-fashion --data fashion_mnist.npz --arms two_arg,relu,one_arg --phi-init glorot "
        "--epochs 200 --frozen-epochs 0 --first-seed 100",
        "then the same command with `--robustness --points 1000`, and `twoarg robustness MODEL --p-norm L2 --eps 0.5 "
        "--points 1000 --corruptions none`; packed with `--ends`",
    ),
    **{
        f"results/population-{start}-{networks}{series}": (
            f"twoarg reproduce mlp-mnist --data mnist.npz --subset 10000 --arms two_arg --networks {networks} "
            f"--phi-init {start} --phi-init-std paper --epochs 40 --frozen-epochs 40 --first-seed {seed}",
            f"{backend}packed with `--ends`",
        )
        for series, seed, backend in (("", 300, ""), ("-again", 310, "on JAX; "))
        for start in ("random", "glorot")
        for networks in (1, 8)
    },
    "results/mlp-fashion-depths": (
        f"twoarg reproduce mlp-fashion --data fashion_mnist.npz --arms two_arg,relu,swiglu {_EXACT} "
        "--widths WIDTHS --subset 20000 --frozen-epochs 0 --seeds 5",
        f"WIDTHS from `64` to `64,64,64,64`; {_EXACT_THEN}",
    ),
    "results/mlp-mnist-starts": (
        "twoarg reproduce mlp-mnist --data mnist.npz --arms two_arg --evaluation exact --phi-init START "
        "--subset 10000 --frozen-epochs 0 --seeds 5",
        f"START `random`, `glorot`, `product`, `swiglu`; {_EXACT_THEN}",
    ),
    "results/claim-c": (
        f"twoarg train --arm two_arg {_81} --phi-init START --phi-init-std paper --subset 10000 --frozen-epochs 0 "
        "--data mnist.npz --seed SEED",
        "START `random`, `glorot`; SEED from 100; packed with `--ends`",
    ),
    "results/cnn-cifar10-cosine": (
        "twoarg reproduce cnn-cifar10 --data cifar10.npz --arms two_arg,relu,one_arg,swiglu,product "
        "--widths 30,60,60,60 --phi-init glorot --epochs 12 --frozen-epochs 0 --schedule cosine --dropout 0.2 "
        "--first-seed 100",
        "packed with `--ends`",
    ),
    "results/resnet-cifar10": (
        "twoarg reproduce resnet-cifar10 --data cifar10.npz --arms two_arg,relu,swiglu --widths 8,16,32 --subset 20000 "
        "--epochs 15 --first-seed 100",
        "packed with `--ends`",
    ),
    "results/resnet-cifar10-one-arg": (
        "twoarg reproduce resnet-cifar10 --data cifar10.npz --arms one_arg --widths 8,16,32 --subset 20000 "
        "--epochs 15 --first-seed 100",
        "begun: seeds 100, 101 and 103 of five planned ones; packed with `--ends`",
    ),
    f"{EARLY}/cnn-fashion": (f"{_FASHION} {_CNN.format(arms=_ALL, start='random')} {_ATTACKED}", ""),
    f"{EARLY}/cnn-cifar10": (f"{_CIFAR} {_CNN.format(arms=_ALL, start='random')} {_ATTACKED}", ""),
    f"{EARLY}/cnn-fashion-first": (
        f"{_FASHION} {_CNN.format(arms='two_arg', start='random')}",
        "a first series, with code that differs in rounding alone",
    ),
    f"{EARLY}/cnn-cifar10-first": (f"{_CIFAR} {_CNN.format(arms='two_arg', start='random')}", "as above"),
    f"{EARLY}/cnn-fashion-glorot": (f"{_FASHION} {_CNN.format(arms='two_arg,one_arg', start='glorot')}", ""),
    f"{EARLY}/cnn-cifar10-glorot": (f"{_CIFAR} {_CNN.format(arms='two_arg,one_arg', start='glorot')}", ""),
    f"{EARLY}/cnn-cifar10-full": (
        f"{_CIFAR} --arms two_arg,relu,swiglu,one_arg --subset 20000 --epochs 8 --frozen-epochs 0 --seeds 3 "
        "--phi-init random",
        "stopped after six runs",
    ),
    f"{EARLY}/cnn-fashion-L2": (
        "twoarg robustness MODEL --data fashion_mnist.npz --p-norm L2 --eps 1.5 --points 300 --corruptions none",
        "MODEL of two_arg and relu of cnn-fashion, whose records are copied here",
    ),
    f"{EARLY}/cnn-fashion-exact": (
        "twoarg reproduce cnn-fashion --arms two_arg --subset 20000 --widths 12,24,48 --epochs 3 --frozen-epochs 0 "
        "--phi-init random --evaluation exact",
        "",
    ),
    f"{EARLY}/cnn-fashion-interpolated": (
        "twoarg reproduce cnn-fashion --arms two_arg --subset 20000 --widths 12,24,48 --epochs 3 --frozen-epochs 0 "
        "--phi-init random --evaluation interpolated",
        "",
    ),
    "results/lm-kjv": (
        f"twoarg reproduce lm-kjv {_81} --first-seed 100",
        "from seed 101 on first with `--arms two_arg,swiglu,one_arg`, later with the other arms; packed with `--ends`",
    ),
    "results/lm-pydocs": (
        "twoarg reproduce lm-pydocs --first-seed 100 --arms two_arg,one_arg,swiglu,gelu,relu_squared",
        "all planned arms; packed with `--ends`",
    ),
    "results/lm-kjv-recurrent": (
        "twoarg reproduce lm-kjv-recurrent --first-seed 100",
        "later also with `--arms glu,maxout,swiglu,product`; packed with `--ends`",
    ),
    "results/lm-kjv-recurrent-seconds": (
        "twoarg reproduce lm-kjv-recurrent --first-seed 105 --arms ARM --epochs EPOCHS",
        "EPOCHS 12 for two_arg and one_arg, 15 for gru, 18 for relu and tanh; packed with `--ends`",
    ),
    "results/lm-kjv-recurrent-mixed": (
        "twoarg reproduce lm-kjv-recurrent --first-seed 100 --arms two_arg,swiglu,glu,maxout,product,quadratic "
        "--arguments mixed --widths 176",
        "packed with `--ends`",
    ),
    "results/lm-kjv-recurrent-product": (
        "twoarg reproduce lm-kjv-recurrent --first-seed 100 --arms two_arg --phi-init product --phi-init-std paper",
        "packed with `--ends`",
    ),
    "results/lm-kjv-recurrent-smooth": (
        "twoarg reproduce lm-kjv-recurrent --first-seed 110 --arms product,two_arg",
        "and once more with `--arms two_arg --inner-activation silu --phi-init product --phi-init-std paper`; "
        "packed with `--ends`",
    ),
    "results/lm-kjv-again": (
        "twoarg reproduce lm-kjv --first-seed 105 --arms two_arg,swiglu,one_arg --seeds 10",
        "seed by seed; phi's table has 41 nodes, that of `lm-kjv` 81; packed with `--ends`",
    ),
    "results/pilots/lm-kjv-recurrent-mixed": (
        "twoarg reproduce lm-kjv-recurrent --first-seed 100 --arms two_arg --arguments mixed",
        "256 units, so 76 % more parameters; not part of a planned test; packed with `--ends`",
    ),
    "results/pilots/lm-kjv-recurrent": (
        "twoarg reproduce lm-kjv-recurrent --arms tanh,gru --first-seed 90 --seeds 1 --learning-rate RATE",
        "RATE `1e-3`, `3e-3`, `1e-2`, `3e-2`, the first with tanh alone; used to choose the learning rate",
    ),
    "results/pilots/lm-kjv": (
        "twoarg reproduce lm-kjv --first-seed 90 --seeds 1 --arms two_arg --phi-learning-rate RATE",
        "RATE `3e-3`, `1e-3`, `3e-4`; with `--inner-activation silu --phi-init swiglu --phi-init-std paper`: `3e-3`, "
        "`3e-4`; and swiglu; looked at before the second run of this text, whose plan they did not change; "
        "packed with `--ends`",
    ),
    "results/pilots/lm-kjv-recurrent-smooth": (
        "twoarg reproduce lm-kjv-recurrent --first-seed 90 --seeds 1 --arms two_arg --phi-learning-rate RATE",
        "RATE `1e-2`, `3e-3`, `1e-3`; with `--phi-init product --phi-init-std paper`: `1e-3`, `1e-4`, and with "
        "`--inner-activation silu` besides: `1e-2`, `1e-3`, `1e-4`; and product; looked at before a smooth phi "
        "was planned; packed with `--ends`",
    ),
    "results/lm-kjv-seed-0-two-jobs": (
        "twoarg reproduce lm-kjv --seeds 1 --jobs 2",
        "the same on another machine, with a later version, which draws other initial weights for phi; 6 minutes and "
        "40 seconds; packed with `--ends`",
    ),
    "results/lm-kjv-seed-0": (
        f"twoarg reproduce lm-kjv {_81} --seeds 1",
        "run and timed as a new user would, when 81 nodes were the default; not part of a planned test; "
        "packed with `--ends`",
    ),
    "results/parity": (
        f"twoarg reproduce parity {_81} --first-seed 100",
        "packed with `--ends`",
    ),
    "results/tables-bikeshare": (
        f"twoarg reproduce tables-bikeshare {_81} --first-seed 100",
        f"{_TABLES}; packed with `--ends`",
    ),
    "results/tables-randhie": (
        f"twoarg reproduce tables-randhie {_81} --first-seed 100",
        f"{_TABLES}; packed with `--ends`",
    ),
    "results/tables-fair": (
        f"twoarg reproduce tables-fair {_81} --first-seed 100",
        f"{_TABLES}; packed with `--ends`",
    ),
    "results/pilots/tables-bikeshare": (
        "twoarg reproduce tables-bikeshare --arms relu,swiglu --first-seed 90 --epochs EPOCHS --learning-rate RATE",
        "EPOCHS 20, 40; RATE `1e-3`, `3e-3`, `1e-2`; some were stopped; used to choose both",
    ),
    "results/pilots/tables-randhie": (
        "twoarg reproduce tables-randhie --arms relu,swiglu --first-seed 90 --seeds 3 --learning-rate RATE",
        "RATE `3e-4`, `1e-3`, `3e-3`; used to choose the learning rate",
    ),
    "results/pilots/tables-fair": (
        "twoarg reproduce tables-fair --arms relu,swiglu --first-seed 90 --seeds 3 --learning-rate RATE",
        "RATE `3e-4`, `1e-3`, the latter with relu alone; used to choose the learning rate",
    ),
    "results/addition": ("twoarg reproduce addition --first-seed 100", "stopped after one seed; packed with `--ends`"),
    "results/addition-cosine": (
        f"twoarg reproduce addition {_ADDITION}",
        "with `KERAS_BACKEND=jax`, seed by seed; packed with `--ends`",
    ),
    "results/addition-cosine-phi-without-decay": (
        f"twoarg reproduce addition {_ADDITION} --arms two_arg,one_arg --phi-without-decay",
        "with `KERAS_BACKEND=jax`, seed by seed; packed with `--ends`",
    ),
    "results/pilots/lm-pydocs": (
        "twoarg reproduce lm-pydocs --arms swiglu,gelu --first-seed 90 --epochs 6 --learning-rate RATE",
        "RATE `1.5e-3`, `3e-3`, `6e-3`; some were stopped; used to choose the learning rate",
    ),
    "results/pilots/cnn-cifar10": (
        "twoarg reproduce cnn-cifar10 --data cifar10.npz --arms relu --widths 30,60,60,60 --epochs 12 "
        "--frozen-epochs 0 --schedule cosine --dropout 0.2 --first-seed 90 --seeds 1",
        "looked at before dropout and epochs were fixed; packed with `--ends`",
    ),
    "results/pilots/addition": (
        "twoarg reproduce addition --arms relu --first-seed 90 --learning-rate RATE --weight-decay DECAY "
        "--schedule SCHEDULE --epochs EPOCHS",
        "RATE `3e-3` (DECAY `0.3`, `0.03`, and `0.1` with a cosine, without, and with `--data addition-31`), `1e-3` "
        "(DECAY `0.3` and `0.9`; with a cosine from `0.3` to `0.6`); some with `KERAS_BACKEND=jax`; the search for a "
        "difficulty at which ReLU solves about half of its seeds; packed with `--ends`",
    ),
    "results/pilots/parity": (
        "twoarg reproduce parity --data parity-40-K --arms relu --first-seed 90 --epochs 40",
        "K 4, 5, 6; used to choose K",
    ),
    "tuning/mnist": ("twoarg train --hparams best-ARM.json", "[how](../tuning/README.md)"),
    "tuning/mnist-again": (
        "twoarg train --hparams best-ARM.json --data mnist.npz --subset 25000 --epochs 30 --frozen-epochs 0 "
        "--seed SEED",
        "SEED 120 to 124, on JAX; packed with `--ends`; [how](../tuning/README.md)",
    ),
    "tuning/mnist-unrepeated": (
        "twoarg train --hparams best-ARM.json --data mnist.npz --subset 25000 --epochs 30 --frozen-epochs 0 "
        "--seed SEED",
        "SEED 130 to 134, on JAX; packed with `--ends`; [how](../tuning/README.md)",
    ),
    "tuning/fashion-unrepeated": (
        "twoarg train --hparams best-ARM.json --data fashion_mnist.npz --subset 25000 --epochs 30 --frozen-epochs 0 "
        "--seed SEED",
        "SEED 130 to 134, on JAX; unfinished: searches 300 and 301 of three, two_arg and relu; packed with `--ends`",
    ),
    "tuning/fashion-again": (
        "twoarg train --hparams best-ARM.json --data fashion_mnist.npz --subset 25000 --epochs 30 --frozen-epochs 0 "
        "--seed SEED",
        "SEED 120 to 124, on JAX; packed with `--ends`; [how](../tuning/README.md)",
    ),
    "tuning/mnist-planned": (
        "twoarg train --hparams best-ARM.json --data mnist.npz --subset 25000 --epochs 30 --frozen-epochs 0 "
        "--seed SEED",
        "SEED 110 to 114, on JAX; packed with `--ends`; [how](../tuning/README.md)",
    ),
    "tuning/fashion-planned": (
        "twoarg train --hparams best-ARM.json --data fashion_mnist.npz --subset 25000 --epochs 30 --frozen-epochs 0 "
        "--seed SEED",
        "SEED 110 to 114, on JAX; packed with `--ends`; [how](../tuning/README.md)",
    ),
    "tuning/fashion_mnist": ("twoarg train --hparams best-ARM.json", "[how](../tuning/README.md)"),
}
"""The command of every comparison, without its `--out`, and a note."""


@table("comparisons")
def comparisons():
    """Every comparison with its runs, command and commits."""
    rows = []
    for folder, (command, note) in COMMANDS.items():
        runs = stored(folder)
        arms = Counter(f"{run.record.arm}{', frozen' if run.record.stage == 'frozen' else ''}" for run in runs)
        told = ", ".join(f"{arm} {number}" for arm, number in arms.items())
        measured = [m for run in runs for m in run.robustness]
        commits = dict.fromkeys(shortened(commit) for run in runs for commit in run.record.commits)
        others = dict.fromkeys(shortened(m.settings.get("commit")) for m in measured)
        commits |= dict.fromkeys(f"{commit} (robustness)" for commit in others if commit not in commits)
        rows.append((
            f"`{folder.removeprefix('results/')}`", str(len(runs)), told, str(len(measured) or ""),
            f"`{command}`" + (f"; {note}" if note else ""), ", ".join(commits),
        ))  # fmt: skip
    return markdown(("folder", "records", "records by arm", "robustness records", "command", "commit"), rows)


def missing():
    """Return the packed folders that have no entry here."""
    packed = {
        file.parent.relative_to(ROOT).as_posix()
        for top in ("results", "tuning")
        for file in (ROOT / top).rglob("runs.jsonl")
    }
    return sorted(packed - set(COMMANDS))
