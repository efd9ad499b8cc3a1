"""What corruptions and attacks leave, arm by arm: the paper's last two claims."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from keras_twoarg.analysis.statistics import paired
from keras_twoarg.experiments.reports.run_groups import Group, group_runs
from keras_twoarg.experiments.robustness.attacks import AUTOATTACK
from keras_twoarg.experiments.robustness.corruptions import NAMES
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import Stage, stage_file
from keras_twoarg.utils.table import Table


def read_robustness(folders: Sequence[Path], seed: int | None = None) -> list[tuple[Record, Robustness]]:
    """Read the robustness of every run below folders that has it."""
    files = sorted({f.resolve() for folder in folders for f in Path(folder).rglob("robustness.json")})
    of_runs = [(stage_file(file.parents[1], Stage.JOINT, ".json"), file) for file in files]
    found = [(Record.read(record), Robustness.read(file)) for record, file in of_runs if record.exists()]
    return [(record, kept) for record, kept in found if seed is None or record.seed == seed]


def single_table(found: Robustness, reference: Robustness | None = None) -> list[Table]:
    """Return the tables of one model."""
    s = found.settings
    made = []
    if found.corrupted:
        error = found.against(reference) if reference else None
        columns = (
            "corruption",
            *(f"{i}" for i in range(1, 6)),
            "mean",
            *(("CE", "relative CE") if error else ()),
        )
        rows = []
        for name, accuracies in found.corrupted.items():
            relative = [_percent(e[name]) for e in (error.by_corruption, error.relative_by_corruption)] if error else []
            rows.append((name, *(f"{a:.1%}" for a in accuracies), f"{np.mean(accuracies):.1%}", *relative))
        mean = f"{np.mean(list(found.corrupted.values())):.1%}"
        rows.append(("all", *[""] * 5, mean, *((_percent(error.mce), _percent(error.relative_mce)) if error else ())))
        caption = f"Accuracy at severities 1 to 5, {s['points']:,} test images of {s['data']}; clean {found.clean:.1%}."
        if error:
            caption += (
                " CE: error summed over severities, relative to the reference's; last line: mCE and relative mCE."
            )
            if error.unusable:
                caption += f" The reference hardly suffers from {', '.join(error.unusable)}: no relative CE."
        made.append(Table("Corruptions", columns, tuple(rows), caption))
    if found.attacked:
        rows = [
            (n, f"{a:.1%}", f"{found.seconds.get(n, 0):.0f} s" if n != "clean" else "")
            for n, a in found.attacked.items()
        ]
        caption = (
            f"{s['points']:,} test images of {s['data']}, {s['p_norm']}, eps {s['eps']:.4g} of pixels within [0, 1]. "
            "fgsm and pgd stand for themselves; the parts of AutoAttack add up."
        )
        if found.warnings:
            caption += f" Beware: {'; '.join(found.warnings)}."
        made.append(Table("Attacks", ("attack", "accuracy", "time"), tuple(rows), caption))
    return made


def _percent(value: float) -> str:
    return f"{value:.1%}" if np.isfinite(value) else "-"


def robustness_table(found: Sequence[tuple[Record, Robustness]]) -> Table | None:
    """Return the robustness of each arm over seeds, and how two_arg differs from it."""
    if not found:
        return None
    kept = {id(record): robustness for record, robustness in found}
    groups = group_runs([record for record, _ in found])
    attacked = any(r.attacked for _, r in found)
    corrupted = any(r.corrupted for _, r in found)
    columns = ["arm", "seeds", "clean"]
    columns += ["robust", "two_arg minus it"] if attacked else []
    columns += ["corrupted", "mCE", "relative mCE", "two_arg minus it, corrupted"] if corrupted else []
    rows = []
    for group in groups:
        base = next((g for g in groups if g.arm == "two_arg" and g.task == group.task), None)
        relu = next((g for g in groups if g.arm == "relu" and g.task == group.task), None)
        own = [kept[id(r)] for r in group.records]
        row = [group.name, str(len(own)), f"{np.mean([r.clean for r in own]):.1%}"]
        if attacked:
            row += [_mean([_robust(r) for r in own]), _difference(base, group, kept, _robust)]
        if corrupted:
            errors = [
                kept[id(r)].against(kept[id(o)])
                for r in group.records
                for o in (relu.records if relu else ())
                if o.seed == r.seed and np.isfinite([_corrupted(kept[id(r)]), _corrupted(kept[id(o)])]).all()
            ]
            row += [_mean([_corrupted(r) for r in own])]
            row += [_mean([e.mce for e in errors]), _mean([e.relative_mce for e in errors])]
            row += [_difference(base, group, kept, _corrupted)]
        rows.append(tuple(row))
    measured = dict.fromkeys(
        f"{s['data']}: {s['points']:,} test images, {s['p_norm']}, eps {s['eps']:.4g}"
        for s in (r.settings for _, r in found)
    )
    caption = (
        f"{'; '.join(measured)} of pixels within [0, 1]. robust: accuracy after the whole AutoAttack. corrupted: mean "
        "accuracy over 15 corruptions at 5 severities. mCE: against relu of the same seed. Differences in points, "
        "paired over seeds, with a bootstrap 95 % interval."
    )
    doubts = dict.fromkeys(f"{record.arm} seed {record.seed}: {w}" for record, r in found for w in r.warnings)
    if doubts:
        caption += f" Beware: {'; '.join(doubts)}."
    return Table("Robustness", tuple(columns), tuple(rows), caption)


def _robust(found: Robustness) -> float:
    """Return what the whole AutoAttack left; what is attacked in part only does not compare."""
    parts = [found.attacked.get(name, float("nan")) for name in AUTOATTACK]
    return float(np.min(parts))


def _corrupted(found: Robustness) -> float:
    """Return the mean over all corruptions; nothing if some are still to come."""
    return float(np.mean([found.corrupted.get(name, [float("nan")] * 5) for name in NAMES]))


def _mean(values: Sequence[float]) -> str:
    finite = [v for v in values if np.isfinite(v)]
    if not finite:
        return "-"
    return f"{np.mean(finite):.1%}" + (f" ± {100 * np.std(finite, ddof=1):.1f}" if len(finite) > 1 else "")


def _difference(
    base: Group | None, other: Group, kept: dict[int, Robustness], measure: Callable[[Robustness], float]
) -> str:
    if base is None or base is other:
        return ""
    first, second = ({r.seed: measure(kept[id(r)]) for r in g.records} for g in (base, other))
    pairs = [(first[s], second[s]) for s in first if s in second and np.isfinite(first[s]) and np.isfinite(second[s])]
    if len(pairs) < 2:
        return "-"
    found = paired([a for a, _ in pairs], [b for _, b in pairs])
    return f"{100 * found.difference:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
