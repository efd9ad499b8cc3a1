"""The time of a training step, or of an epoch, of each arm of a plan; the arms take turns.

    python benchmarks/plan_steps.py lm-kjv lm-kjv-recurrent --out benchmarks/two-cores-plans.json
    python benchmarks/plan_steps.py cnn-cifar10 --data cifar10.npz --widths 30,60,60,60 \
        --arms two_arg,one_arg,swiglu,relu --out benchmarks/two-cores-plans.json
    KERAS_BACKEND=jax taskset -c 1 python benchmarks/plan_steps.py tables-bikeshare tables-randhie tables-fair \
        --epochs --out benchmarks/one-core-plans.json

These times are the basis of comparisons "at equal seconds", since runs may have been trained on a busy machine. The
file holds one entry for each plan; entries of other plans are kept. With `--nodes 81`, two_arg is also timed with
tables of 81 x 81 nodes, as `two_arg_81`. With `--epochs`, whole epochs are timed as in runs: small steps take less time
than the call of one.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from keras_twoarg.experiments import timing
from keras_twoarg.experiments.plan import arm_widths, load_data, read_plan
from keras_twoarg.experiments.training import datasets, networks, optimizers
from keras_twoarg.experiments.training.training_loop import compile_network
from keras_twoarg.utils import batches, files, versions


def training(arm, plan, dataset, widths, whole_epoch, nodes=None):
    """Return a function that trains an arm's network for one step or epoch; `nodes` sets phi's table."""
    configuration = plan.of_run(arm, 0)
    inner = networks.make_phi(configuration) if arm in networks.models.ARMS else None
    if nodes:
        inner.table_resolution = nodes
    model = networks.build_network(configuration, dataset.input_shape, dataset.classes, widths, inner, seed=0)
    split = datasets.split(dataset, 0)
    optimizer = optimizers.make_optimizer(configuration, configuration.epochs, len(split.x_train), inner)
    compile_network(model, optimizer, dataset.task)
    if whole_epoch:
        part = slice(configuration.epoch_samples or len(split.x_train))
        data = batches.for_fit(split.x_train[part], split.y_train[part], configuration.batch_size)
        return partial(model.fit, **data, verbose=0)
    rows = np.random.default_rng(0).permutation(len(dataset.x_train))[: configuration.batch_size]
    return partial(model.train_on_batch, datasets.scale(dataset.x_train[rows]), dataset.y_train[rows])


def main():
    """Time the plans, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", nargs="+")
    parser.add_argument("--data", help="instead of the plan's")
    parser.add_argument("--arms", type=lambda names: names.split(","), help="instead of all arms of the plan")
    parser.add_argument(
        "--widths", type=lambda widths: [int(width) for width in widths.split(",")], help="instead of the plan's"
    )
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--epochs", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for name in arguments.plans:
        plan = read_plan(name, data=arguments.data, arms=arguments.arms, widths=arguments.widths)
        dataset = load_data(plan)
        widths = arm_widths(plan, dataset)
        timed = partial(training, plan=plan, dataset=dataset, whole_epoch=arguments.epochs)
        tasks = {arm: timed(arm, widths=widths[arm]) for arm in plan.arms}
        if arguments.nodes:
            tasks[f"two_arg_{arguments.nodes}"] = timed("two_arg", widths=widths["two_arg"], nodes=arguments.nodes)
        times = timing.timed(tasks, arguments.rounds, lambda done: None, lambda arm: 1 if arguments.epochs else 5)
        summaries = {arm: timing.summary(seconds) for arm, seconds in times.items()}
        fastest = min(each["median"] for each in summaries.values())
        for arm, each in summaries.items():
            print(f"{name:18} {arm:14} {1e3 * each['median']:8.1f} ms  x {each['median'] / fastest:.2f}")
        stored = files.read_json(arguments.out) if arguments.out.exists() else {}
        machine = {"versions": versions.versions(), "commit": versions.commit(), "rounds": arguments.rounds}
        files.write_json(arguments.out, {**stored, name: {"machine": machine, "arms": summaries}})


if __name__ == "__main__":
    main()
