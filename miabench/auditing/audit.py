"""Attacks on predictions that were made elsewhere, by any framework: no model, no training, only files of outputs.

A file is an npz with `logits` or `probabilities` (N, C) and `labels` (N,), or a CSV with the columns p0 ... pC-1 of
probabilities and `label`. An npz may hold `features` (N, ...) too, a CSV the columns f0 ... fF-1: the records' own
inputs, for the model-free classifier.

Attacks take logits. Logarithms of probabilities are logits: softmax(log p) = p for rows that sum to 1, and rows that
sum to 1 but for rounding are put right by it. So probabilities are handed to attacks as log p in float64, zeros as
log 1e-30 (Song and Mittal's floor). From there 1 - p_i is the sum of the other classes, so a float32 probability that
rounded to 1 is still ranked by what is left for the others. The probability form computes 1 - p_i by subtraction and
floors it; the two agree on the reference's values to 1e-12, but for m-entropies of records whose wrong class has a p_i
within 1e-5 of 1, where the subtraction loses digits.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from miabench import metrics, seeds
from miabench.errors import TrainingError, UserError
from miabench.evaluation.measure import ATTACK_METRICS, FPRS, Row, measure_accuracy, measure_attack, row
from miabench.evaluation.scoring import checked_scores, score_hidden
from miabench.files.csv_rows import Row as CsvRow
from miabench.files.csv_rows import csv_rows
from miabench.files.npz import open_npz
from miabench.jobs.execute import arithmetic
from miabench.jobs.specs import Compute
from miabench.logprob import FLOOR
from miabench.plugins.attack import Attack, Logits, Observed, Probe
from miabench.plugins.discover import PluginInfo, describe, discover
from miabench.reports.numbers.summary import printed
from miabench.reports.tables.terminal import METRICS
from miabench.reports.tables.terminal_layout import Column, Item, Rows, open_console, print_columns, print_note
from miabench.reports.words.footnotes import Reasons

COLUMNS = ("attack", "metric", "value", "low", "high", "n_members", "n_nonmembers", "reason")  # of a report's
GAP, MODEL_FREE = "gap", "model-free"
FORMS = ("logits", "probabilities")
FEWEST = 10  # records a file: with five folds, two of each kind in every fold
FOLDS = 5
SUM_TOLERANCE = 1e-3  # of a row of probabilities; what rounding to four decimals does to 20 classes
SEED = 0  # of everything random here
SAME_DISTRIBUTION = (
    "members and non-members must come from one distribution, told apart by nothing but training: where they differ "
    "otherwise (in time, source or filtering), every value measures that difference too"
)
NEEDS_SHADOWS = "its thresholds are learnt on shadow models: give --shadow-members and --shadow-nonmembers"
NOTHING_TO_LEARN_ON = "it learns on shadow models: give --shadow-members and --shadow-nonmembers"


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        table: a row per attack and metric, columns as in an experiment's results where they apply; values are
            fractions. Accuracies have no attack; `gap` and `model-free` are baselines.
        num_classes: C.
        shadows: how many shadow models.
        warnings: what limits what the values say.
    """

    table: pd.DataFrame
    num_classes: int
    shadows: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Predictions:
    """One file.

    Attributes:
        form: `logits` or `probabilities`: what the file holds.
        logits: (N, C), or log probabilities.
        labels: true classes (N,), 0 to C-1.
        features: the records' inputs (N, F), or None where they were not asked for.
    """

    path: Path
    form: str
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    features: NDArray[np.float64] | None


def audit(
    members: Path,
    nonmembers: Path,
    shadow_members: Sequence[Path] = (),
    shadow_nonmembers: Sequence[Path] = (),
    features: bool = False,
) -> Audit:
    """Run every attack that needs no access to the model.

    Args:
        members: predictions for records that the model was trained on.
        nonmembers: predictions for records of the same distribution that it was not trained on.
        shadow_members: the same of shadow models, a file each; thresholds and learning attacks need them.
        shadow_nonmembers: in the same order.
        features: also fit a model-free classifier on the files' features.

    Raises:
        UserError: all files' problems at once, each with file and row.
    """
    paths = [members, nonmembers, *shadow_members, *shadow_nonmembers]
    _check_paths(paths, len(shadow_members), len(shadow_nonmembers))
    files = _read_all(paths, features)
    target = _observed(files[0], files[1])
    k = len(shadow_members)
    shadows = [_observed(*pair) for pair in zip(files[2 : 2 + k], files[2 + k :], strict=True)]
    model_free = _model_free(files[0], files[1]) if features else None
    with arithmetic(Compute(device="cpu", precision="float32", threads=1)):
        attacks = [one for found in discover().all("attack") for one in _attack_rows(found, target, shadows)]
    baselines = [*_gap_rows(target), *([model_free] if model_free else [])]
    table = pd.DataFrame([*_accuracy_rows(target), *baselines, *attacks], columns=list(COLUMNS))
    kinds = dict.fromkeys(("value", "low", "high"), "float64") | {"n_members": "Int64", "n_nonmembers": "Int64"}
    warnings = (SAME_DISTRIBUTION, *_distribution_warnings(model_free), *_threshold_warnings(attacks))
    return Audit(table.astype(kinds), target.num_classes, k, warnings)


def write(audit: Audit, form: str) -> None:
    """Print an audit on standard output.

    Args:
        audit: what was found.
        form: `table`, `csv` or `json`.
    """
    if form == "table":
        show(open_console(), audit)
    else:
        sys.stdout.write(to_json(audit) if form == "json" else audit.table.to_csv(index=False, lineterminator="\n"))


def to_json(audit: Audit) -> str:
    """One object: `num_classes`, `shadows`, `warnings`, and `rows`, each on its line; what is missing is null."""
    about = {"num_classes": audit.num_classes, "shadows": audit.shadows, "warnings": audit.warnings}
    lines = ",\n".join(json.dumps(one, allow_nan=False) for one in _rows(audit))
    return f'{json.dumps(about)[:-1]}, "rows": [\n{lines}\n]}}\n'


def show(console: Console, audit: Audit) -> None:
    """Print the attacks as a table, then what must be said beside it.

    Args:
        console: whose width the table fits; see `miabench.reports.tables.terminal_layout.open_console`.
        audit: what was found.
    """
    values = {(one["attack"], one["metric"]): one for one in _rows(audit)}
    train, test = (values[None, f"{part}_accuracy"] for part in ("train", "test"))
    names = list(dict.fromkeys(audit.table["attack"].dropna()))
    reasons = Reasons()
    cells = {key: _item(one, reasons) for key, one in values.items() if key[0] is not None}
    columns = [Column("attack", [Item((name,)) for name in names], names=True)]
    for metric in ATTACK_METRICS:
        columns.append(Column(METRICS[metric], [cells.get((name, metric), Item(("",))) for name in names]))
    title = f"{train['n_members']:,} members and {test['n_nonmembers']:,} non-members of {audit.num_classes} classes"
    print_columns(console, Rows(f"{title}: each attack, in percent [95% interval]", [False] * len(names)), columns)
    for note in (*_notes(audit, train["value"], test["value"]), *reasons.notes()):
        print_note(console, note)
    for warning in audit.warnings:
        print_note(console, f"warning: {warning}")


def _rows(audit: Audit) -> list[dict[str, Any]]:
    """The table's rows, what is missing as None."""
    table = audit.table.astype(object)
    return [
        {str(name): value for name, value in one.items()} for one in table.where(table.notna(), None).to_dict("records")
    ]


def _item(one: Mapping[str, Any], reasons: Reasons) -> Item:
    if one["reason"] is not None:
        return Item(("n/a", f"[{reasons.number(one['reason'])}]"))
    return Item((printed(one["value"]), f"[{printed(one['low'])}, {printed(one['high'])}]"))


def _notes(audit: Audit, train: float, test: float) -> Iterator[str]:
    yield f"accuracy on members {printed(train)}, on non-members {printed(test)}; {audit.shadows} shadow models"
    yield "intervals are over records: they say nothing about other trainings of the model"
    yield f"{GAP}: the baseline that calls a record a member if it is classified correctly; it needs no outputs"
    if MODEL_FREE in set(audit.table["attack"]):
        yield f"{MODEL_FREE}: a classifier that sees features and labels but no model: what any attack gets for free"


# --- attacks ---


def _observed(members: Predictions, others: Predictions) -> Observed:
    """What an attacker sees of one model: members, then non-members."""
    labels = np.concatenate([members.labels, others.labels])
    return Observed(
        labels=labels,
        member=np.arange(len(labels)) < len(members.labels),
        num_classes=members.logits.shape[1],
        answers={Logits(): np.concatenate([members.logits, others.logits])},
        references={},
    )


def _attack_rows(found: PluginInfo[Attack], target: Observed, shadows: Sequence[Observed]) -> Iterator[Row]:
    """All metrics of one attack, or why there are none; an attack that fails does not end the others."""
    rows: list[Row] = []
    try:
        attack = found.build({})
        reason = _why_not(attack, bool(shadows))
        if reason is None:
            asked, *learnt_on = (_with_derived(model, attack) for model in (target, *shadows))
            rows = _measured(attack, asked, learnt_on)
    except Exception as error:
        reason = str(error) if isinstance(error, (TrainingError, UserError)) else describe(error)
    for one in rows or [row(metric, None, _member(target), reason) for metric in ATTACK_METRICS]:
        yield {"attack": found.name} | one


def _with_derived(model: Observed, attack: Attack) -> Observed:
    """The same with the answers to all of an attack's probes, computed from the logits."""
    return replace(model, answers={probe: _derived(probe, model) for probe in attack.probes()})


def _derived(probe: Probe, model: Observed) -> NDArray[Any]:
    return model[probe] if probe.of is None else probe.derive(_derived(probe.of, model), model.labels)


def _why_not(attack: Attack, with_shadows: bool) -> str | None:
    others = [type(probe).__name__ for probe in attack.probes() if probe.root != Logits()]
    if others:
        return f"it needs the model itself, to ask for {', '.join(others)}"
    if attack.references != "none":
        return "it compares with other models' answers to the same records, which an audit does not have"
    if type(attack).fit is not Attack.fit and not with_shadows:
        return NOTHING_TO_LEARN_ON
    return None


def _measured(attack: Attack, target: Observed, shadows: Sequence[Observed]) -> list[Row]:
    state = attack.fit(shadows, seeds.generator(SEED, "attack"))
    scores = score_hidden(attack, target, state, SEED)
    member = _member(target)
    if not shadows:
        missing = [name for name in ATTACK_METRICS if name.startswith("balanced_accuracy")]
        return [*_without_thresholds(scores, member), *(row(name, None, member, NEEDS_SHADOWS) for name in missing)]
    arrays = {
        "target": scores,
        "target_member": member,
        "target_label": target.labels,
        "shadows": np.concatenate([checked_scores(attack.score(shadow, state), len(shadow)) for shadow in shadows]),
        "shadows_member": np.concatenate([_member(shadow) for shadow in shadows]),
        "shadows_label": np.concatenate([shadow.labels for shadow in shadows]),
    }
    return measure_attack(arrays, target.num_classes)


def _without_thresholds(scores: NDArray[np.float64], member: NDArray[np.bool_]) -> list[Row]:
    """The metrics that rank."""
    rows = [row("auc", metrics.auc(scores, member), member)]
    for name, fpr in FPRS.items():
        estimate = metrics.tpr_at_fpr(scores, member, fpr)
        reason = None if estimate else f"needs {round(1 / fpr)} non-members, has {(~member).sum()}"
        rows.append(row(name, estimate, member, reason))
    return rows


def _accuracy_rows(target: Observed) -> list[Row]:
    return [{"attack": None} | one for one in measure_accuracy(_correct(target), _member(target))]


def _gap_rows(target: Observed) -> list[Row]:
    """The gap attack: member if classified correctly; ½ + (train accuracy - test accuracy) / 2, without shadows."""
    correct, member = _correct(target), _member(target)
    rows = _without_thresholds(correct.astype(np.float64), member)
    balanced = metrics.balanced_accuracy(correct, member)
    rows += [row(name, balanced, member) for name in ("balanced_accuracy", "balanced_accuracy_global")]
    return [{"attack": GAP} | one for one in rows]


def _correct(observed: Observed) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = observed[Logits()].argmax(1) == observed.labels
    return right


def _member(observed: Observed) -> NDArray[np.bool_]:
    return cast(NDArray[np.bool_], observed.member)


def _threshold_warnings(rows: Sequence[Row]) -> Iterator[str]:
    classes = max((one.get("classes_without_threshold", 0) for one in rows), default=0)
    if classes:
        yield f"{classes} classes lack members or non-members among the shadows: theirs is the threshold of all classes"


# --- without a model ---


def _model_free(members: Predictions, others: Predictions) -> Row:
    """AUC of a classifier that tells members from non-members by features and label, on records it has not seen.

    Gradient-boosted trees (scikit-learn's defaults: they find shifts that are not linear and need no scaling), five
    stratified folds; the AUC is of the log odds of all folds together. Of like distributions it is 0.5 or a little
    below, for a fold's records are missing from what its classifier learnt. The interval takes scores as independent.
    """
    x = np.concatenate([np.column_stack([cast(Any, part.features), part.labels]) for part in (members, others)])
    member = np.arange(len(x)) < len(members.labels)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    trees = HistGradientBoostingClassifier(random_state=SEED)
    scores = cross_val_predict(trees, x, member, cv=folds, method="decision_function")
    return {"attack": MODEL_FREE} | row("auc", metrics.auc(scores, member), member)


def _distribution_warnings(model_free: Row | None) -> Iterator[str]:
    if model_free and model_free["low"] > 0.5:
        yield (
            f"members and non-members differ: without the model, features and labels alone tell them apart with an "
            f"AUC of {printed(model_free['value'])}; an attack shows a leak only by what it adds to that"
        )


# --- files ---


@dataclass(frozen=True)
class _File:
    """The arrays of one file by name; a record is called by its line (CSV) or its row from 0 (npz)."""

    path: Path
    arrays: Mapping[str, NDArray[Any]]
    lines: Sequence[int] | None = None

    def place(self, record: int) -> str:
        return (
            f"{self.path}, line {self.lines[record]}"
            if self.lines is not None
            else f"{self.path}, row {record} (from 0)"
        )


def _check_paths(paths: Sequence[Path], shadow_members: int, shadow_nonmembers: int) -> None:
    if shadow_members != shadow_nonmembers:
        raise UserError(
            f"{shadow_members} files of --shadow-members but {shadow_nonmembers} of --shadow-nonmembers: "
            "give one of each for every shadow model, in the same order"
        )
    resolved = [path.resolve() for path in paths]
    twice = [path for path in paths if resolved.count(path.resolve()) > 1]
    if twice:
        raise UserError(
            f"{twice[0]} is given more than once: every file holds other records or another model's outputs"
        )


def _read_all(paths: Sequence[Path], features: bool) -> list[Predictions]:
    """All files; the target's (the first two) with features where they are asked for."""
    files: list[Predictions] = []
    problems: list[str] = []
    for i, path in enumerate(paths):
        try:
            files.append(read_predictions(path, features and i < 2))
        except UserError as error:
            problems += error.problems
    if not problems:
        problems = [problem for file in files[1:] for problem in _differences(files[0], file)]
    if problems:
        raise UserError(*problems)
    return files


def _differences(first: Predictions, other: Predictions) -> Iterator[str]:
    """Why two files cannot be compared."""
    if other.form != first.form:
        yield f"{first.path} holds {first.form}, {other.path} {other.form}: all files must hold the same"
    ours, theirs = first.logits.shape[1], other.logits.shape[1]
    if theirs != ours:
        yield f"{first.path} has {ours} classes, {other.path} {theirs}: all files must have the same classes"
    if first.features is not None and other.features is not None:
        ours, theirs = first.features.shape[1], other.features.shape[1]
        if theirs != ours:
            yield f"{first.path} has {ours} features, {other.path} {theirs}: both must have the same features"


def read_predictions(path: Path, features: bool = False) -> Predictions:
    """Read one file and check it.

    Args:
        path: npz where its name ends in .npz, else CSV.
        features: whether it must hold features.

    Raises:
        UserError: naming the file and the row or line that is wrong.
    """
    file = _read_npz(path, features) if path.suffix == ".npz" else _read_csv(path, features)
    form = next((name for name in FORMS if name in file.arrays), None)
    if form is None:
        raise UserError(
            f"{path} holds neither logits nor probabilities: an npz needs one of them as an array (N, C), "
            "a CSV the columns p0, p1, ... of probabilities"
        )
    answers = _numbers(file, form)
    if answers.ndim != 2 or answers.shape[1] < 2:
        raise UserError(f"{path}: {form} has shape {answers.shape}; expected (N, C) with 2 classes or more")
    if len(answers) < FEWEST:
        raise UserError(
            f"{path} holds {len(answers)} records; an audit needs {FEWEST} members and {FEWEST} non-members"
        )
    labels = _labels(file, *answers.shape)
    if form == "probabilities":
        _check_probabilities(file, answers)
        answers = np.log(np.maximum(answers, FLOOR))
    return Predictions(path, form, answers, labels, _features(file, len(answers)) if features else None)


def _numbers(file: _File, name: str) -> NDArray[np.float64]:
    """An array as float64, all finite."""
    if name not in file.arrays:
        what = "a CSV needs the columns f0, f1, ..." if file.lines is not None else f"an npz needs an array {name!r}"
        raise UserError(f"{file.path} holds no {name}: {what}")
    array = file.arrays[name]
    if array.dtype.kind not in "biuf":
        raise UserError(f"{file.path}: {name} has type {array.dtype}; expected numbers")
    array = array.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong) and array.ndim:
        raise UserError(f"{file.place(wrong[0][0])}: {name} holds {array[tuple(wrong[0])]}; expected finite numbers")
    return array


def _labels(file: _File, n: int, num_classes: int) -> NDArray[np.int64]:
    labels = _numbers(file, "labels")
    if labels.shape != (n,):
        raise UserError(
            f"{file.path}: labels has shape {labels.shape}; expected one label for each of {n} records: ({n},)"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes) | (labels != np.floor(labels)))
    if len(wrong):
        raise UserError(
            f"{file.place(wrong[0])}: label {labels[wrong[0]]:g}; a label is the number of a column, "
            f"0 to {num_classes - 1}"
        )
    return labels.astype(np.int64)


def _check_probabilities(file: _File, p: NDArray[np.float64]) -> None:
    outside = np.argwhere((p < 0) | (p > 1 + SUM_TOLERANCE))
    if len(outside):
        where, value = file.place(outside[0][0]), p[tuple(outside[0])]
        raise UserError(f"{where}: {value:g} is no probability; logits belong into an npz, as the array 'logits'")
    total = p.sum(1)
    wrong = np.flatnonzero(np.abs(total - 1) > SUM_TOLERANCE)
    if len(wrong):
        raise UserError(f"{file.place(wrong[0])}: the probabilities sum to {total[wrong[0]]:.6g}; expected 1")


def _features(file: _File, n: int) -> NDArray[np.float64]:
    features = _numbers(file, "features")
    if features.ndim < 2 or len(features) != n:
        raise UserError(f"{file.path}: features has shape {features.shape}; expected ({n}, ...), a row for each record")
    return features.reshape(n, -1)


def _read_npz(path: Path, features: bool) -> _File:
    names = (*FORMS, "labels", *(["features"] if features else []))
    with open_npz(path) as file:
        return _File(path, {name: file[name] for name in names if name in file.files})


def _read_csv(path: Path, features: bool) -> _File:
    csv_rows(path, ("label",), header=True)  # says what is wrong with the file before its columns are counted
    header = _header(path)
    series = {"probabilities": _series("p", header)} | ({"features": _series("f", header)} if features else {})
    names = [*(name for columns in series.values() for name in columns), "label"]
    rows = csv_rows(path, names, header=True)
    table = np.array([_cells(path, one, names) for one in rows], dtype=np.float64).reshape(-1, len(names))
    arrays, start = {"labels": table[:, -1]}, 0
    for name, columns in series.items():
        if columns:
            arrays[name] = table[:, start : start + len(columns)]
            start += len(columns)
    return _File(path, arrays, [one.line for one in rows])


def _header(path: Path) -> Iterable[str]:
    try:
        return pd.read_csv(path, nrows=0, skipinitialspace=True, encoding="utf-8-sig").columns
    except pd.errors.EmptyDataError:
        return ()


def _series(prefix: str, header: Iterable[str]) -> list[str]:
    """p0 ... pC-1 for as many of them as the header has; one that is missing among them is missed when it is read."""
    count = sum(re.fullmatch(rf"{prefix}\d+", name.strip()) is not None for name in header)
    return [f"{prefix}{i}" for i in range(count)]


def _cells(path: Path, one: CsvRow, names: Sequence[str]) -> list[float]:
    numbers = []
    for name, cell in zip(names, one.cells, strict=True):
        try:
            numbers.append(float(cell))
        except ValueError:
            what = repr(cell) if cell.strip() else "an empty cell"
            raise UserError(f"{path}, line {one.line}, column {name!r}: {what} where a number is expected") from None
    return numbers
