"""Does pretraining change how often a random surface is a saddle? The chance level of claim c, with and without phi.

    python results/null_by_pretraining.py --surfaces 100 --out results/null_by_pretraining.json      # 20 minutes
    python results/null_by_pretraining.py --surfaces 3 --epochs 5                                    # a look

The chance level of reports is the share of saddles among 1,000 random surfaces, but a run starts from phi fitted to
such a surface. Here a quadratic is fitted to both, over the densities of runs in this folder, and the verdicts are
compared surface by surface. Finished surfaces in --out are not fitted again. Needs: pip install '.[tensorflow-cpu]'
"""

import argparse
from pathlib import Path

from keras_twoarg import analysis
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.reports.stored_runs import stored_runs
from keras_twoarg.experiments.training import configuration, networks
from keras_twoarg.utils import files, versions

RUNS = ("mlp-mnist/two_arg-0", "mlp-fashion/two_arg-0", "early-training/cnn-fashion/two_arg-0")
"""The runs whose densities are used."""
FIRST_SEED = 10**6
"""The first seed of the surfaces in reports, far from the seeds of runs."""


def compare(seed, epochs, densities):
    """Return the scores of a random surface, and of phi fitted to it, over each density."""
    settings = configuration.Configuration(seed=seed, pretraining_epochs=epochs)
    phi = networks.make_phi(settings)
    networks.pretrain_phi(phi, settings, lambda done, steps: None)
    field = surfaces.random_field(seed, std=settings.phi_init_std)

    def score(function, density):
        return float(analysis.soft_xor(analysis.fit_quadratic(function, density)).score)

    return {
        "seed": seed,
        "surface": {name: score(lambda nodes: field(*nodes.T), where) for name, where in densities.items()},
        "phi": {name: score(phi.predict, where) for name, where in densities.items()},
        "epochs": epochs,
        "commit": versions.commit(),
    }


def density_of(run):
    """Return the density of phi's arguments in a packed run."""
    (joint,) = [r for r in stored_runs([run.parent]) if r.location == run.resolve() and r.record.stage == "joint"]
    return joint.phi().density


def main():
    """Fit the surfaces that the file lacks, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surfaces", type=int, default=100)
    parser.add_argument("--epochs", type=int, help="Passes over the grid in pretraining; default: the paper's 500")
    parser.add_argument("--out", type=Path, default=Path("null_by_pretraining.json"))
    options = parser.parse_args()
    densities = {run: density_of(Path(__file__).parent / run) for run in RUNS}
    records = files.read_json(options.out) if options.out.exists() else []
    if others := {record.get("epochs") for record in records} - {options.epochs}:
        parser.error(f"{options.out} holds surfaces fitted with epochs={others.pop()}. Use another --out")
    for seed in range(FIRST_SEED + len(records), FIRST_SEED + options.surfaces):
        records.append(compare(seed, options.epochs, densities))
        files.write_json(options.out, records)
        print(f"{len(records)} of {options.surfaces} surfaces", flush=True)
    for run in RUNS:
        surface, phi = ([r[what][run] > 0 for r in records] for what in ("surface", "phi"))
        same = sum(a == b for a, b in zip(surface, phi, strict=True))
        number = len(records)
        print(f"{run}: saddles {sum(surface)} of {number}, after pretraining {sum(phi)}; the same in {same}")


if __name__ == "__main__":
    main()
