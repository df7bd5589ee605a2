"""Attacks on predictions that were made elsewhere, by any framework: no model, no training, only files of outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from miabench import metrics, seeds
from miabench.auditing.predictions import Predictions, check_paths, read_all
from miabench.errors import TrainingError, UserError, text_of
from miabench.evaluation.measure import (
    ATTACK_METRICS,
    NEED_SHADOWS,
    Row,
    measure_accuracy,
    measure_attack,
    measure_ranking,
    row,
)
from miabench.evaluation.scores import AttackScores, TargetValues
from miabench.evaluation.scoring import members_of, score_hidden, shadow_scores
from miabench.jobs.arithmetic import arithmetic
from miabench.jobs.specs import Compute
from miabench.plugins.attack import Attack, Logits, Observed, Probe
from miabench.plugins.discover import PluginInfo, discover
from miabench.plugins.plugin_files import describe

COLUMNS = ("attack", "metric", "value", "low", "high", "n_members", "n_nonmembers", "reason")  # of a report's
GAP, MODEL_FREE = "gap", "model-free"
FOLDS = 5
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
    check_paths(paths, len(shadow_members), len(shadow_nonmembers))
    files = read_all(paths, features)
    target = _observed(files[0], files[1])
    k = len(shadow_members)
    shadows = [_observed(*pair) for pair in zip(files[2 : 2 + k], files[2 + k :], strict=True)]
    model_free = _model_free(files[0], files[1]) if features else None
    with arithmetic(Compute(device="cpu", precision="float32", threads=1)):
        wanted = [found for found in discover().all("attack") if found.name != GAP]  # measured without shadows below
        attacks = [one for found in wanted for one in _attack_rows(found, target, shadows)]
    baselines = [*_gap_rows(target), *([model_free] if model_free else [])]
    table = pd.DataFrame([*_accuracy_rows(target), *baselines, *attacks], columns=list(COLUMNS))
    kinds = dict.fromkeys(("value", "low", "high"), "float64") | {"n_members": "Int64", "n_nonmembers": "Int64"}
    warnings = (SAME_DISTRIBUTION, *_distribution_warnings(model_free), *_threshold_warnings(attacks))
    return Audit(table.astype(kinds), target.num_classes, k, warnings)


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
    except (Exception, SystemExit) as error:
        reason = text_of(error) if isinstance(error, (TrainingError, UserError)) else describe(error)
    for one in rows or [row(metric, None, members_of(target), reason) for metric in ATTACK_METRICS]:
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
    member = members_of(target)
    if not shadows:
        return [*measure_ranking(scores, member), *(row(name, None, member, NEEDS_SHADOWS) for name in NEED_SHADOWS)]
    known = TargetValues(scores, member, target.labels, np.arange(len(target)))
    return measure_attack(AttackScores(known, shadow_scores(attack, shadows, state), state))


def _accuracy_rows(target: Observed) -> list[Row]:
    return [{"attack": None} | one for one in measure_accuracy(_correct(target), members_of(target))]


def _gap_rows(target: Observed) -> list[Row]:
    """The gap attack: member if classified correctly; ½ + (train accuracy - test accuracy) / 2, without shadows."""
    correct, member = _correct(target), members_of(target)
    rows = measure_ranking(correct.astype(np.float64), member)
    balanced = metrics.balanced_accuracy(correct, member)
    rows += [row(name, balanced, member) for name in ("balanced_accuracy", "balanced_accuracy_global")]
    return [{"attack": GAP} | one for one in rows]


def _correct(observed: Observed) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = observed[Logits()].argmax(1) == observed.labels
    return right


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
            f"AUC of {100 * model_free['value']:.2f}; an attack shows a leak only by what it adds to that"
        )
