"""What tells members from non-members without the model: a difference of the two files that is no leak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from miabench import metrics
from miabench.auditing.attacks import SEED
from miabench.auditing.predictions import Predictions
from miabench.auditing.result import MODEL_FREE
from miabench.evaluation.measure import Row, row

FOLDS = 5


def model_free_row(members: Predictions, others: Predictions) -> Row:
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


def distribution_warnings(model_free: Row | None) -> Iterator[str]:
    """That the files differ, where their records tell."""
    if model_free and model_free["low"] > 0.5:
        yield (
            f"members and non-members differ: without the model, features and labels alone tell them apart with an "
            f"AUC of {100 * model_free['value']:.2f}; an attack shows a leak only by what it adds to that"
        )
