"""How many networks with Glorot's weights are saddles before any training: the null for phi that starts from them.

Their surfaces are fitted where the arguments of the learned phi fall, as the learned ones are.

python results/null_from_glorot.py results/cnn-fashion-glorot results/cnn-cifar10-glorot results/mlp-mnist-starts
"""

import sys
from pathlib import Path

import numpy as np

from keras_twoarg import analysis
from keras_twoarg.experiments.reports.surface_tables import glorot_surface, read_surfaces

NETWORKS = 300


def is_saddle(surface: np.ndarray, density: analysis.Density) -> bool:
    """Judge a surface on the density's grid, fitted where the arguments fall."""
    used = density.values > 0
    return analysis.soft_xor(analysis.fit_quadratic(lambda _: surface[used], density)).score > 0


for folder in map(Path, sys.argv[1:]):
    learned = [s for s in read_surfaces([folder]) if s.record.settings["phi_init"] == "glorot"]
    density = analysis.pool([surface.density for surface in learned])
    share = np.mean([is_saddle(glorot_surface(seed, density), density) for seed in range(NETWORKS)])
    became = sum(is_saddle(surface.trace.learned, surface.density) for surface in learned)
    print(f"{folder}: {share:.0%} of {NETWORKS} at the start; learned {became} of {len(learned)}")
