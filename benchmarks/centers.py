"""Whether CRL's centers act, and what they change: a study over lambda, alpha_rcl and tau_rcl, to be run by hand.

    python benchmarks/centers.py bits --store FOLDER
    python benchmarks/centers.py location30 --path location30.tgz --store FOLDER --models 16 --seeds 3
    python benchmarks/centers.py images --path cifar10-jpeg.tar.xz --store FOLDER --taus 1 --lambdas 0.5 2

Trains pools of models (`mlp`, for 4,000 images `cnn`; the data set's own schedule) under CE, RelaxLoss, ImpRelaxLoss,
CRL with a center part that never acts and CRL on a grid: alpha_rcl in multiples of the floor of L_ct (see `crl`),
lambda and tau_rcl (0: no normalisation of logits either, which is relaxed-center-loss). One line for each:

    soft       share of steps of odd epochs in which the center part was in its soft branch
    gradient   mean share of lambda * L_rcl in the gradient at the features, |g_rcl| / (|g_rce| + |g_rcl|)
    train, test, AUC of the attacks, and TPR at 1% FPR of lira: means over the models of all seeds, in percent
    +-         after test, lira and TPR: standard deviation of a seed's mean

A store that has some of it is gone on with. One cell is `models` trainings of each seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
from typing import Any, cast

import pandas as pd
import torch
from miabench.defenses._levels import lowest_center_loss
from miabench.defenses._relaxation import RelaxedCenterLoss, RelaxedCrossEntropy, RelaxedLosses
from miabench.defenses.crl import CRL
from torch import Tensor

from miabench import Criterion
from miabench.api.running import perform
from miabench.results.index import Cell
from miabench.results.results import Results

ATTACKS = ["entropy", "confidence", "lira"]
FEATURES = {"mlp": 256, "cnn": 128}
DATASETS: dict[str, dict[str, Any]] = {
    "bits": {"dataset": {}, "model": "mlp"},
    "location30": {"dataset": {}, "model": "mlp"},
    "images": {"dataset": {"records": 4000}, "model": "cnn"},
}


class Centers(CRL):
    """CRL that also records how much of the gradient its center part has."""

    def criterion(self, num_classes: int, feature_dim: int) -> Criterion:
        """CRL's losses, watched."""
        losses = cast(RelaxedLosses, super().criterion(num_classes, feature_dim))
        return _Watched(losses.rce, losses.rcl, losses.weight, losses.lr)


class _Watched(RelaxedLosses):
    """Measures the center part's share of the gradient at the features, step by step."""

    def __init__(self, rce: RelaxedCrossEntropy, rcl: RelaxedCenterLoss, weight: float, center_lr: float) -> None:
        super().__init__(rce, rcl, weight, center_lr)
        self.shares: list[Tensor] = []

    def forward(self, logits: Tensor, features: Tensor, targets: Tensor, epoch: int) -> Tensor:
        rce, rcl = self.rce(logits, targets, epoch), self.weight * self.rcl(logits, features, targets, epoch)
        of_rce, of_rcl = (torch.autograd.grad(part, features, retain_graph=True)[0].norm() for part in (rce, rcl))
        self.shares.append(of_rcl / (of_rce + of_rcl))
        total: Tensor = rce + rcl
        return total

    def measured(self) -> dict[str, Tensor]:
        share, self.shares = torch.stack(self.shares).mean(), []
        return {**super().measured(), "gradient_share": share}


def defenses(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The cells."""
    features = FEATURES[DATASETS[options.dataset]["model"]]
    grid = [
        {"name": "centers", "lambda_rcl": weight, "tau_rcl": tau, "alpha_rcl": round(times * floor, 3)}
        | ({} if tau else {"tau_rce": 0.0})
        for tau, times, weight in itertools.product(options.taus, options.floors, options.lambdas)
        for floor in [lowest_center_loss(features, tau)]
    ]
    never = {"name": "centers", "lambda_rcl": 0.1, "tau_rcl": 1.0, "alpha_rcl": 0.1}
    return [*({"name": name} for name in ("ce", "relaxloss", "imp-relaxloss")), never, *grid]


def line(results: Results, cell: Cell) -> dict[str, float]:
    """What one cell's line says, of one seed."""
    found = {}
    histories = [results.history(cell, run) for run in range(results.index.experiment.models)]
    trained = pd.concat([history for history in histories if history is not None])
    if "gradient_share" in trained:
        found["soft"] = 100 * trained.rcl_soften[trained.epoch % 2 == 1].mean()
        found["gradient"] = 100 * trained.gradient_share.mean()
    table = results.table
    own = table[(table.defense == cell.defense) & (table.params == json.dumps(cell.params))]
    for name in ("train", "test"):
        found[name] = 100 * own[own.metric == f"{name}_accuracy"].value.mean()
    for attack in ATTACKS:
        found[attack] = 100 * own[(own.metric == "auc") & (own.attack == attack)].value.mean()
    found["tpr"] = 100 * own[(own.metric == "tpr@1%") & (own.attack == "lira")].value.mean()
    return found


def study(options: argparse.Namespace) -> pd.DataFrame:
    """A row for each cell, means over the seeds."""
    own = DATASETS[options.dataset]
    dataset = {"name": options.dataset, **own["dataset"], **({"path": options.path} if options.path else {})}
    rows = []
    for seed in range(options.seeds):
        results, _ = perform(
            ("train", "attack"),
            {
                "name": "centers",
                "dataset": dataset,
                "model": own["model"],
                "defense": defenses(options),
                "attacks": ATTACKS,
            },
            progress=True,
            protocol="pool",
            models=options.models,
            shadows=2,
            seed=seed,
            plugins=[__file__],
            store=options.store,
        )
        rows += [{"cell": cell.label, **line(results, cell)} for cell in results.index.cells]
    by_cell = pd.DataFrame(rows).groupby("cell", sort=False)
    means, spread = by_cell.mean(), by_cell.std()
    for name in ("test", "lira", "tpr"):
        means.insert(list(means.columns).index(name) + 1, f"+- {name}", spread[name])
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=list(DATASETS))
    parser.add_argument("--path", help="the published file of location30, or an archive of images in class folders")
    parser.add_argument("--store", required=True, help="folder of trained models and results")
    parser.add_argument("--models", type=int, default=8, help="models in a pool, an even number from 6")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lambdas", type=float, nargs="*", default=[0.5, 2.0, 5.0])
    parser.add_argument("--floors", type=float, nargs="*", default=[1.5, 3.0, 5.0], help="alpha_rcl / floor")
    parser.add_argument("--taus", type=float, nargs="*", default=[0.3, 1.0, 3.0])
    print(study(parser.parse_args()).to_string(float_format="%.1f", na_rep="-"))


if __name__ == "__main__":
    main()
