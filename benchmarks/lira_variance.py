"""Which variance LiRA should take: what each finds on real cells with few and many references, to be run by hand.

    python benchmarks/lira_variance.py location30.tgz 66 ce relaxloss:alpha=0.5 crl

Trains complementary pairs of models (`mlp`, 100 epochs, about 1,252 members of 2,505 records) under each defense and
attacks 16 of them, each with n references that trained on a record and n that did not, none of its own pair. The rows
are AUC / TPR at 1% FPR in percent, means over the targets. Seen (TPR online with 2, 4, 8, 16 and 32 references a kind,
standard errors 1 under CE and CRL, 4 under RelaxLoss):

    pooled   ce 52.9 58.5 61.0 63.7 64.5   relaxloss 21.6 31.5 37.6 39.5 40.6   crl 4.4  7.2  9.4 12.1 11.8
    record   ce  3.3 34.1 56.9 63.2 64.8   relaxloss  2.4 10.7 27.4 37.9 45.4   crl 1.9  5.9 14.6 22.2 26.0
    shrunk   ce 55.5 60.9 63.4 64.8 65.1   relaxloss 29.9 38.9 41.5 45.7 48.4   crl 5.4 12.9 20.0 24.0 26.7

Offline shrunk is ahead of both everywhere too. One shrunk variance for both kinds, in place of one a kind: ce 46.9 53.0
57.4 59.3 61.5, since members' answers vary less than others' do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from miabench import Data, LogOdds, Observed, Schedule, create_attack, create_defense, load_dataset
from miabench.plugins.discover import discover
from miabench.training.task import Task, TaskConfig

RECORDS, TARGETS, REFERENCES = 2505, 16, (2, 4, 8, 16, 32)
PHI = LogOdds()


def train(data: Data, keep: NDArray[np.bool_], defense: str, seed: int) -> NDArray[np.float64]:
    """Log odds (N,) of the first N records under a network that trained on those marked."""
    name, *given = defense.split(":")
    params = {key: float(value) for key, value in (item.split("=") for item in given)}
    model = discover().get("model", "mlp").build({})
    under = create_defense(name, **params)
    made = TaskConfig(
        build=lambda: under.architecture(model.build(data.domain)),
        num_classes=data.num_classes,
        ids={"train": torch.from_numpy(np.flatnonzero(keep))},
        given={},
        schedule=Schedule(epochs=100),
        seed=seed,
        device=torch.device("cpu"),
    )
    task = Task(made, data.inputs(torch.arange(len(keep)), made.device), data.y[: len(keep)])
    torch.manual_seed(seed)
    net = under.fit(task).eval()
    with torch.no_grad():
        answers = net(task.x[:])[0].numpy()
    phi: NDArray[np.float64] = PHI.derive(answers, task.y.numpy())
    return phi


def observed(phi: NDArray[np.float64], keep: NDArray[np.bool_], target: int, n: int) -> Observed:
    """One model and n complementary pairs of references, the pairs after its own."""
    pairs = (target // 2 + 1 + np.arange(n)) % (len(phi) // 2)
    others = np.concatenate([2 * pairs, 2 * pairs + 1])
    return Observed(
        labels=np.zeros(phi.shape[1], dtype=np.int64),
        member=None,
        num_classes=2,
        answers={PHI: phi[target]},
        references={PHI: phi[others]},
        reference_in=keep[others],
        reference_out=~keep[others],
    )


def found(scores: NDArray[np.float64], member: NDArray[np.bool_]) -> tuple[float, float]:
    """AUC and TPR at 1% FPR, in percent."""
    threshold = np.sort(scores[~member])[-1 - int(0.01 * (~member).sum())]
    return 100 * roc_auc_score(member, scores), 100 * (scores[member] > threshold).mean()


def main(path: str, models: int, defenses: Sequence[str]) -> None:
    """Print a line per defense, mode and variance."""
    torch.set_num_threads(1)
    data = load_dataset("location30", path=path, records=RECORDS)
    random = np.random.default_rng(0)
    keep = np.concatenate([[half, ~half] for half in random.random((models // 2, len(data))) < 0.5])
    most = [n for n in REFERENCES if n < models // 2]
    print("references of a kind".ljust(40), *(f"{n:>11}" for n in most))
    for defense in defenses:
        phi = np.stack([train(data, row, defense, seed) for seed, row in enumerate(keep)])
        for mode in ("online", "offline"):
            for variance in ("pooled", "record", "shrunk"):
                attack = create_attack("lira", mode=mode, variance=variance)
                cells = []
                for n in most:
                    scores = [attack.score(observed(phi, keep, t, n), {}) for t in range(min(TARGETS, models))]
                    auc, tpr = np.mean([found(s, keep[t]) for t, s in enumerate(scores)], axis=0)
                    cells.append(f"{auc:.1f} / {tpr:.1f}")
                print(f"{defense} {mode} {variance}".ljust(40), *(f"{cell:>11}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
