"""How many networks with Glorot's weights are saddles before any training: the chance for phi that starts from them.

Their surfaces are fitted where the arguments of the learned phi fall, as the learned ones are.

    python results/null_from_glorot.py results/early-training/cnn-fashion-glorot results/mlp-mnist-starts
"""

import sys
from pathlib import Path

from keras_twoarg.experiments.reports.surface_tables import chance, read_surfaces

NETWORKS = 300

for folder in map(Path, sys.argv[1:]):
    learned = [s for s in read_surfaces([folder]) if s.record.settings["phi_init"] == "glorot"]
    if not learned:
        sys.exit(f"{folder} holds no run whose phi started from Glorot's weights")
    for name, paper in (("weighted by the density", False), ("the paper's fit", True)):
        verdicts = [(s.paper, s.paper_at_start) if paper else (s.soft_xor, s.soft_xor_at_start) for s in learned]
        became, was = (sum(v.score > 0 for v in column) for column in zip(*verdicts, strict=True))
        share = chance(learned, NETWORKS, paper=paper)
        print(f"{folder}, {name}: {share:.0%} of {NETWORKS}; of {len(learned)} {was} at the start, {became} learned")
