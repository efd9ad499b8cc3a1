"""Accuracy under corruptions and attacks, arm by arm: the paper's last two claims."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_twoarg.analysis.statistics import in_both, paired
from keras_twoarg.experiments.reports.run_groups import Group, group_items
from keras_twoarg.experiments.robustness.attacks import AUTOATTACK
from keras_twoarg.experiments.robustness.corruption_error import CorruptionError
from keras_twoarg.experiments.robustness.corruptions import NAMES
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.experiments.training.bounds import OURS
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.utils.table import Table

BySeed = Mapping[int, Robustness]


def single_table(record: Robustness, reference: Robustness | None) -> list[Table]:
    """Return the tables of one model, of corruptions relative to a reference, if there is one."""
    tables = [_corruptions(record, reference)] if record.corrupted else []
    return [*tables, _attacks(record)] if record.attacked else tables


def _corruptions(record: Robustness, reference: Robustness | None) -> Table:
    error = record.against(reference) if reference else None
    columns = ("corruption", *(f"{i}" for i in range(1, 6)), "mean", *(("CE", "relative CE") if error else ()))
    rows = []
    for name, accuracies in record.corrupted.items():
        both = (error.by_corruption, error.relative_by_corruption) if error else ()
        relative = [_percent(errors.get(name, float("nan"))) for errors in both]
        rows.append((name, *(f"{a:.1%}" for a in accuracies), f"{np.mean(accuracies):.1%}", *relative))
    mean = f"{np.mean(list(record.corrupted.values())):.1%}"
    rows.append(("all", *[""] * 5, mean, *((_percent(error.mce), _percent(error.relative_mce)) if error else ())))
    s = record.settings
    caption = f"Accuracy at severities 1 to 5, {s['points']:,} test images of {s['data']}; clean {record.clean:.1%}."
    if error:
        caption += " CE: error summed over severities, relative to the reference's; last row: mCE and relative mCE."
        if missing := [name for name in record.corrupted if name not in error.by_corruption]:
            caption += (
                f" The reference was not measured under {', '.join(missing)}: mCE and relative mCE are of the others."
            )
        if error.unusable:
            caption += f" The reference's error hardly rises under {', '.join(error.unusable)}: no relative CE or mCE."
        if faultless := [name for name, ce in error.by_corruption.items() if np.isnan(ce)]:
            caption += f" The reference makes no error under {', '.join(faultless)}: no CE or mCE."
    return Table("Corruptions", columns, tuple(rows), caption)


def _attacks(record: Robustness) -> Table:
    s, rows = record.settings, []
    for name, accuracy in record.attacked.items():
        rows.append((name, f"{accuracy:.1%}", f"{record.seconds.get(name, 0):.0f} s" if name != "clean" else ""))
    caption = (
        f"{s['points']:,} test images of {s['data']}, {s['p_norm']}, eps {s['eps']:.4g} of pixels within [0, 1]. "
        "fgsm and pgd are separate attacks; each part of AutoAttack attacks what the previous parts left."
    )
    if record.warnings:
        caption += f" Beware: {'; '.join(record.warnings)}."
    return Table("Attacks", ("attack", "accuracy", "time"), tuple(rows), caption)


def _percent(value: float) -> str:
    return f"{value:.1%}" if np.isfinite(value) else "-"


def robustness_table(measured: Sequence[tuple[Record, Robustness]]) -> Table | None:
    """Return the robustness of each arm over seeds, and two_arg's difference from it."""
    if not measured:
        return None
    attacked = any(r.attacked for _, r in measured)
    corrupted = any(r.corrupted for _, r in measured)
    columns = ["arm", "seeds", "clean"]
    columns += ["robust", "two_arg minus it"] if attacked else []
    columns += ["corrupted", "mCE", "relative mCE", "relative drop", "two_arg minus it, corrupted"] if corrupted else []
    rows, all_errors = [], []
    for label, groups, (group, own) in _measured_alike(measured):
        base, relu = (_first(groups, arm, group) for arm in ("two_arg", "relu"))
        row = [group.name + label, str(len(own)), f"{np.mean([r.clean for r in own.values()]):.1%}"]
        if attacked:
            row += [_mean([_robust(r) for r in own.values()]), _difference(base, own, _robust)]
        if corrupted:
            errors = _errors(own, relu)
            all_errors += errors
            row += [_mean([_corrupted(r) for r in own.values()]), *_error_cells(errors, len(own))]
            row += [_difference(base, own, _corrupted)]
        rows.append(tuple(row))
    caption = _caption(measured, all_errors) + _compared(measured, ("two_arg", "relu") if corrupted else ("two_arg",))
    return Table("Robustness", tuple(columns), tuple(rows), caption)


def _measured_alike(
    measured: Sequence[tuple[Record, Robustness]],
) -> Iterator[tuple[str, list[tuple[Group, BySeed]], tuple[Group, BySeed]]]:
    """Yield each group of runs with a label of how it was measured, if that differs, and all groups measured alike."""
    by_kind: dict[tuple[str, ...], list[tuple[Record, Robustness]]] = {}
    for record, robustness in measured:
        by_kind.setdefault(_kind(record, robustness), []).append((record, robustness))
    differing = [len(set(words)) > 1 for words in zip(*by_kind, strict=True)]
    for kind, alike in by_kind.items():
        label = "".join(f", {word}" for word, shown in zip(kind, differing, strict=True) if shown and word)
        groups: list[tuple[Group, BySeed]] = [
            (group, _by_seed(members)) for group, members in group_items(alike, lambda item: item[0])
        ]
        for one in groups:
            yield label, groups, one


def _kind(record: Record, robustness: Robustness) -> tuple[str, ...]:
    """Return in words what must be the same to compare measurements: all settings but the model and the commit."""
    s = robustness.settings
    return (
        f"{s['p_norm']} {s['eps']:.4g}, {s['points']:,} images",
        "" if s["data"] == Path(record.dataset.split(",")[0]).stem else f"on {s['data']}",
        f"images of seed {s.get('seed', 0)}",
        "bounds {:g} and {:g}".format(*s.get("bounds", OURS)),
        "published corruptions" if robustness.corrupted and "corrupted" in s else "",
    )


def _by_seed(measured: Sequence[tuple[Record, Robustness]]) -> BySeed:
    """Return the last network's measurement for each seed, complete if it was measured in parts."""
    own: dict[int, Robustness] = {}
    for record, later in measured:
        before = own.get(record.seed, later)
        same = before.settings.get("model") == later.settings.get("model")
        own[record.seed] = _joined(before, later) if same else later
    return own


def _joined(before: Robustness, later: Robustness) -> Robustness:
    """Return what two measurements of a network tell. The parts of AutoAttack follow on each other: they stay apart."""
    attacked = max(later, before, key=lambda robustness: len(set(AUTOATTACK) & set(robustness.attacked))).attacked
    return replace(later, corrupted={**before.corrupted, **later.corrupted}, attacked=attacked)


def _compared(measured: Sequence[tuple[Record, Robustness]], arms: Sequence[str]) -> str:
    """Return a sentence that names the runs with which others are compared, where an arm has several, or nothing."""
    named: dict[str, None] = {}
    for _, groups, (other, _) in _measured_alike(measured):
        for arm in arms:
            alike = [group.name for group, _ in groups if group.arm == arm and group.task == other.task]
            if len(alike) > 1:
                named[alike[0]] = None
    return f" Compared with each arm: {'; '.join(named)}." if named else ""


def _first(groups: Sequence[tuple[Group, BySeed]], arm: str, other: Group) -> BySeed:
    """Return the first group of an arm on the task of another group, or nothing."""
    return next((own for group, own in groups if group.arm == arm and group.task == other.task), {})


def _errors(own: BySeed, relu: BySeed) -> list[CorruptionError]:
    """Return the errors against relu of the same seed, for seeds for which both have all corruptions."""
    return [
        own[seed].against(relu[seed])
        for seed in own
        if seed in relu and np.isfinite([_corrupted(own[seed]), _corrupted(relu[seed])]).all()
    ]


def _error_cells(errors: Sequence[CorruptionError], seeds: int) -> tuple[str, str, str]:
    """Return mCE, relative mCE and the relative drop; of the first two none where a corruption or seed is missing."""
    means = ([e.mce for e in errors], [e.relative_mce for e in errors])
    mce, relative = (_mean(each, seeds) if np.isfinite(each).all() else "-" for each in means)
    return mce, relative, _mean([e.relative_drop for e in errors], seeds)


def _caption(measured: Sequence[tuple[Record, Robustness]], errors: Sequence[CorruptionError]) -> str:
    conditions = dict.fromkeys(
        f"{s['data']}: {s['points']:,} test images, {s['p_norm']}, eps {s['eps']:.4g}"
        for s in (r.settings for _, r in measured)
    )
    caption = (
        f"{'; '.join(conditions)} of pixels within [0, 1]. robust: accuracy after the whole AutoAttack. corrupted: "
        "mean accuracy over 15 corruptions at 5 severities. mCE: against relu of the same seed. relative drop: fall of "
        "the mean accuracy over relu's. Differences: in points, paired over seeds, with a 95 % interval by Student's t."
    )
    if unusable := sorted({name for error in errors for name in error.unusable}):
        caption += f" There is no relative mCE if relu's error hardly rises under a corruption ({', '.join(unusable)})."
    if faultless := sorted({name for error in errors for name, ce in error.by_corruption.items() if np.isnan(ce)}):
        caption += f" There is no mCE if relu makes no error under a corruption ({', '.join(faultless)})."
    doubts = dict.fromkeys(f"{record.arm} seed {record.seed}: {w}" for record, r in measured for w in r.warnings)
    return caption + (f" Beware: {'; '.join(doubts)}." if doubts else "")


def _robust(record: Robustness) -> float:
    """Return the accuracy after the whole AutoAttack, or NaN if a part of it is missing."""
    parts = [record.attacked.get(name, float("nan")) for name in AUTOATTACK]
    return float(np.min(parts))


def _corrupted(record: Robustness) -> float:
    """Return the mean accuracy over all corruptions, or NaN if one is missing."""
    return float(np.mean([record.corrupted.get(name, [float("nan")] * 5) for name in NAMES]))


def _mean(values: Sequence[float], seeds: int | None = None) -> str:
    """Return the mean and standard deviation of the finite values, and how many there are unless it is all seeds."""
    finite, seeds = [v for v in values if np.isfinite(v)], len(values) if seeds is None else seeds
    if not finite:
        return "-"
    spread = f" ± {100 * np.std(finite, ddof=1):.1f}" if len(finite) > 1 else ""
    return f"{np.mean(finite):.1%}{spread}" + (f", {len(finite)} of {seeds}" if len(finite) < seeds else "")


def _difference(base: BySeed, own: BySeed, measure: Callable[[Robustness], float]) -> str:
    """Return two_arg's difference from another arm over the seeds that both have."""
    if not base or base is own:
        return ""
    both = in_both(*({seed: measure(record) for seed, record in arm.items()} for arm in (base, own)))
    if len(both[0]) < 2:
        return "-"
    comparison = paired(*both)
    low, high = 100 * comparison.low, 100 * comparison.high
    return f"{100 * comparison.difference:+.1f}" + (f" ({low:+.1f} to {high:+.1f})" if comparison.has_interval else "")
