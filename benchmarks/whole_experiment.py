"""A whole experiment against the usual way: a plain PyTorch script with a DataLoader, and attacks as plain loops.

    python benchmarks/whole_experiment.py location30 PATH [--turns 1] [--json]     # PATH: location30.tgz
    python benchmarks/whole_experiment.py cifar10 PATH [--turns 1] [--json]        # PATH: images in class folders

Both train a target and five shadow models (protocol `disjoint`) under `ce`, `relaxloss` and `crl` on as many
records, with the same networks, losses and schedule, and attack every target with `nn`, `entropy`, `m-entropy` and
`grad-x`. The usual way: batches by a DataLoader with `num_workers=0` (with workers of its own it is slower on data in
memory), torch.optim.SGD, logits by the same DataLoader, the attack's network of modules trained by another one, one
gradient at the input for each record, thresholds tried one by one, scikit-learn's AUC and balanced accuracy, which ours
gives too. Start-up, planning, reading the records, storing, intervals and workers are in our seconds; the script has
its records in memory. CPU seconds, one thread each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, cast

import torch
from _common import Spent, in_turns, parser, ratio, show
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import miabench
from miabench import Data, Schedule

DEFENSES = ("ce", "relaxloss", "crl")
SHADOWS = 5


class Case(NamedTuple):
    """What is trained on which part of a dataset, for how long."""

    dataset: str
    model: str
    records: int
    schedule: Schedule


CASES = {
    "location30": Case(
        "location30", "mlp", 5010, Schedule(epochs=100, lr=0.05, milestones={50: 0.005, 75: 0.0005}, batch_size=128)
    ),
    "cifar10": Case("images", "cnn", 4000, Schedule(epochs=15, lr=0.05, milestones={8: 0.005}, batch_size=128)),
}
ATTACKER = Schedule(epochs=100, lr=0.1, milestones={30: 0.01, 60: 0.001, 90: 0.0001}, weight_decay=5e-4, batch_size=256)


# --- this tool ---


class Ours:
    """The experiment by miabench, into a store of its own."""

    def __init__(self, case: Case, path: Path, folder: str) -> None:
        self.given: dict[str, Any] = {
            "name": "whole",
            "dataset": {"name": case.dataset, "path": str(path), "records": case.records},
            "model": case.model,
            "defense": list(DEFENSES),
            "attacks": ["nn", "entropy", "m-entropy", "grad-x"],
            "protocol": "disjoint",
            "runs": 1,
            "shadows": SHADOWS,
            "device": "cpu",
            "schedule": case.schedule.model_dump(),
        }
        self.folder = folder
        self.turn = 0

    def train(self) -> None:
        """All trainings, into an empty store."""
        self.turn += 1
        miabench.train(self.given, store=f"{self.folder}/{self.turn}", workers=1)

    def attack(self) -> None:
        """All attacks, on what was trained."""
        miabench.attack(self.given, store=f"{self.folder}/{self.turn}", workers=1)


# --- the usual way ---


class Trained(NamedTuple):
    """A network, the records it was trained on, and as many others."""

    net: nn.Module
    members: TensorDataset
    others: TensorDataset


class Usual:
    """The experiment by a plain script."""

    def __init__(self, case: Case, data: Data) -> None:
        self.case = case
        self.data = data
        self.trained: dict[str, list[Trained]] = {}

    def train(self) -> None:
        """A target and the shadow models under every defense."""
        half = len(self.data.y) // 2
        target, shadow = torch.randperm(len(self.data.y)).split([half, len(self.data.y) - half])
        parts = [target, *(shadow[torch.randperm(len(shadow))] for _ in range(SHADOWS))]
        self.trained = {defense: [self._trained(defense, ids) for ids in parts] for defense in DEFENSES}

    def attack(self) -> None:
        """AUC and balanced accuracy of every attack on every target."""
        for target, *shadows in self.trained.values():
            _attack(target, shadows, self.data.num_classes)

    def _trained(self, defense: str, ids: Tensor) -> Trained:
        members, others = (TensorDataset(self.data.x[part], self.data.y[part]) for part in ids.chunk(2))
        shape, C = tuple(self.data.x.shape[1:]), self.data.num_classes
        net = miabench.create_model(self.case.model, num_classes=C, input_shape=shape)
        criterion = miabench.create_defense(defense).criterion(C, cast(Any, net).feature_dim)
        optimizers = [_sgd(net, self.case.schedule)]
        if list(criterion.parameters()):
            optimizers.append(torch.optim.SGD(criterion.parameters(), criterion.lr, 0.9))
        for epoch in _epochs(self.case.schedule, optimizers[0]):
            for x, y in DataLoader(members, self.case.schedule.batch_size, shuffle=True, num_workers=0):
                logits, features = net(x)
                loss = criterion(logits, features, y, epoch)
                for optimizer in optimizers:
                    optimizer.zero_grad()
                loss.backward()
                for optimizer in optimizers:
                    optimizer.step()
        return Trained(net.eval(), members, others)


def _sgd(net: nn.Module, schedule: Schedule) -> torch.optim.SGD:
    return torch.optim.SGD(net.parameters(), schedule.lr, schedule.momentum, weight_decay=schedule.weight_decay)


def _epochs(schedule: Schedule, sgd: torch.optim.SGD) -> Iterator[int]:
    for epoch in range(1, schedule.epochs + 1):
        sgd.param_groups[0]["lr"] = schedule.lr_at(epoch)
        yield epoch


class Answers(NamedTuple):
    """What a model answers about its records: softmax (n, C), classes (n,) and membership (n,)."""

    p: Tensor
    labels: Tensor
    member: Tensor


@torch.no_grad()
def _answers(trained: Trained) -> Answers:
    """Of a model to its members and as many others."""
    p, labels, member = [], [], []
    for is_member, part in ((1, trained.members), (0, trained.others)):
        for x, y in DataLoader(part, 256):
            p.append(trained.net(x)[0].softmax(1))
            labels.append(y)
            member.append(torch.full_like(y, is_member))
    return Answers(torch.cat(p), torch.cat(labels), torch.cat(member))


def _attack(target: Trained, shadows: list[Trained], num_classes: int) -> dict[str, tuple[float, float]]:
    """AUC and balanced accuracy of each attack, with a threshold for each class that is learnt on the shadow models."""
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    own, *others = (_answers(model) for model in (target, *shadows))
    scores, *learnt_on = (_scores(*pair) for pair in zip((target, *shadows), (own, *others), strict=True))
    everybody = Answers(*(torch.cat(parts) for parts in zip(*others, strict=True)))
    found = {}
    for name, score in scores.items():
        learnt = torch.cat([shadow[name] for shadow in learnt_on])
        called = torch.zeros_like(own.member)
        for c in range(num_classes):
            threshold = _threshold(learnt[everybody.labels == c], everybody.member[everybody.labels == c])
            called[own.labels == c] = (score[own.labels == c] >= threshold).long()
        found[name] = roc_auc_score(own.member, score), balanced_accuracy_score(own.member, called)
    logits = _learnt(everybody)(_seen(own)).detach()
    auc, accuracy = roc_auc_score(own.member, logits[:, 1]), balanced_accuracy_score(own.member, logits.argmax(1))
    return {"nn": (auc, accuracy), **found}


def _scores(trained: Trained, answers: Answers) -> dict[str, Tensor]:
    """What attacks without a network of their own make of a model's records (n,)."""
    p = answers.p
    own, is_own = p.gather(1, answers.labels[:, None]), F.one_hot(answers.labels, p.shape[1]).bool()
    others = torch.where(is_own, 0, p)
    return {
        "entropy": (p * p.clamp_min(1e-30).log()).sum(1),
        "m-entropy": ((1 - own) * own.clamp_min(1e-30).log()).squeeze(1)
        + (others * (1 - others).clamp_min(1e-30).log()).sum(1),
        "grad-x": torch.cat([_gradients(trained.net, part) for part in (trained.members, trained.others)]).neg(),
    }


def _threshold(scores: Tensor, member: Tensor) -> float:
    """The score of highest balanced accuracy, one tried after another (Song and Mittal, USENIX Security 2021)."""
    inside, outside = scores[member == 1].numpy(), scores[member == 0].numpy()
    tried = [((inside >= one).mean() + (outside < one).mean(), one) for one in scores.numpy()]
    return float(max(tried)[1])


def _learnt(answers: Answers) -> nn.Module:
    """The NN attack's network, trained on the shadow models' answers."""
    num_classes = answers.p.shape[1]
    records = TensorDataset(_seen(answers), answers.member)
    net = nn.Sequential(
        nn.Linear(2 * num_classes, 128), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(64, 64), nn.Linear(64, 2),
    )  # fmt: skip
    sgd = _sgd(net, ATTACKER)
    for _ in _epochs(ATTACKER, sgd):
        for x, y in DataLoader(records, ATTACKER.batch_size, shuffle=True, num_workers=0):
            sgd.zero_grad()
            F.cross_entropy(net(x), y).backward()
            sgd.step()
    return net.eval()


def _seen(answers: Answers) -> Tensor:
    """What the NN attack's network sees of records (n, 2C)."""
    return torch.cat([answers.p, F.one_hot(answers.labels, answers.p.shape[1])], 1)


def _gradients(net: nn.Module, records: TensorDataset) -> Tensor:
    """The norm of the loss' gradient at each input (n,)."""
    norms = []
    for x, y in DataLoader(records, 1):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(x)[0], y), x)
        norms.append(gradient.norm())
    return torch.stack(norms)


# --- one against the other ---


def pool(case: Case, path: Path) -> Data:
    """The records as networks see them: normalised, so that the usual way need not do it in every batch."""
    data = miabench.load_dataset(case.dataset, path=path, records=case.records)
    return Data(data.inputs(torch.arange(len(data)), torch.device("cpu")), data.y, data.class_names)


def row(part: str, ours: list[Spent], usual: list[Spent]) -> dict[str, Any]:
    """One line: medians, and how many times longer the usual way takes."""
    seconds = [[one.cpu for one in way] for way in (ours, usual)]
    ours_s, usual_s = (sorted(way)[len(way) // 2] for way in seconds)
    return {"part": part, "ours CPU s": ours_s, "usual CPU s": usual_s, "usual / ours": ratio(*seconds)}


def both(trained: list[Spent], attacked: list[Spent]) -> list[Spent]:
    """The two parts of each turn together."""
    return [Spent(a.cpu + b.cpu, a.wall + b.wall) for a, b in zip(trained, attacked, strict=True)]


def main() -> None:
    """Print a line for the trainings, one for the attacks, and one for all of it."""
    options = parser(__doc__)
    options.add_argument("case", choices=CASES)
    options.add_argument("path", type=Path)
    options.add_argument("--turns", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(1)
    case, path = CASES[given.case], given.path.resolve()
    data = pool(case, path)
    with TemporaryDirectory() as folder:
        ours, usual = Ours(case, path, folder), Usual(case, data)
        ways = {"ours": ours.train, "usual": usual.train, "ours, attacks": ours.attack, "usual, attacks": usual.attack}
        found = in_turns(ways, given.turns)
    attacks = row("attacks", found["ours, attacks"], found["usual, attacks"])
    whole = row("whole", *(both(found[way], found[f"{way}, attacks"]) for way in ("ours", "usual")))
    title = f"{case.dataset}, {case.model}, {len(data):,} records, {len(DEFENSES)} defenses, {1 + SHADOWS} models each"
    show(title, [row("trainings", found["ours"], found["usual"]), attacks, whole], given.json)


if __name__ == "__main__":
    main()
