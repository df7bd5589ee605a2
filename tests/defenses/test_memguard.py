"""memguard: its search equals the paper's algorithm one record at a time; what it answers, to whom, and how often."""

from pathlib import Path

import numpy as np
import pytest
import torch
from miabench.defenses.memguard import MemGuard, MembershipNetwork
from sklearn.metrics import roc_auc_score
from torch import nn

import miabench
from miabench.data import Data
from miabench.schedule import Schedule
from miabench.seeds import global_stream
from miabench.serving import RecordNoise, Served
from miabench.training import Setting, Task

PLUGINS = Path(__file__).parents[1] / "plugins"


class Tiny(miabench.Model, frozen=True):
    """One hidden layer; `constant` is the same for every input."""

    constant: bool = False

    def build(self, domain):
        head = nn.Linear(32, domain.num_classes)
        if self.constant:
            nn.init.zeros_(head.weight)
        return miabench.Classifier(nn.Sequential(nn.Linear(*domain.shape, 32), nn.ReLU()), head, 32)


@pytest.fixture
def served():
    """A network with a guard of random weights, and logits of many sizes."""
    random = torch.Generator().manual_seed(0)
    with global_stream(3, "guard"):
        net = MemGuard().architecture(Tiny().build(miabench.Domain((5,), 6)))
    for p in net.guard.parameters():
        p.data *= 2.5  # so that h is far from 0
    with torch.no_grad():
        net.guard.layers[-1].bias -= net.guard(torch.eye(6)[:1] * 0.7 + 0.05).item()  # about half are above 0
    logits = torch.randn(40, 6, generator=random) * torch.logspace(-1, 1, 40)[:, None]
    return net.eval(), logits, torch.randn(40, 5, generator=random)


def as_in_the_paper(h, z, params):
    """Algorithm 1, phase I, for one record: z (C,)."""

    def objective(e, c3):
        s_new = torch.softmax(z + e, 0)
        others = torch.cat([(z + e)[:label], (z + e)[label + 1 :]])
        l2 = torch.relu(others.max() - (z + e)[label])
        return h(s_new[None]).abs().sum() + params.c2 * l2 + c3 * (s - s_new).abs().sum()

    def fails(e):
        return int((z + e).argmax()) != label or h(s[None]) * h(torch.softmax(z + e, 0)[None]) > 0

    label, s = int(z.argmax()), torch.softmax(z, 0)
    best, c3 = torch.zeros_like(z), params.c3
    while c3 <= 1e5:
        e, i = torch.zeros_like(z), 1
        while i < params.max_iter and fails(e):
            e.requires_grad_()
            (u,) = torch.autograd.grad(objective(e, c3), e)
            e = e.detach() - params.beta * u / u.norm()
            i += 1
        if fails(e):
            return best
        best, c3 = e, 10 * c3
    return best


def test_phase_one_equals_the_algorithm_one_record_at_a_time(served):
    net, logits, _ = served
    defense = MemGuard(max_iter=40)
    h = net.guard.double().requires_grad_(False)
    together = defense.phase_one(h, logits.double())
    alone = torch.stack([as_in_the_paper(h, z, defense) for z in logits.double()])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-9)
    moved = (together != 0).any(1)
    assert 5 < int(moved.sum()) < 40, "some searches succeed, some fail"
    s, s_moved = logits.double().softmax(1), (logits + together).softmax(1)
    assert (h(s_moved) * h(s) <= 0)[moved].all()
    assert torch.equal(s.argmax(1), s_moved.argmax(1))


def test_a_record_is_answered_the_same_in_any_company(served):
    net, logits, x = served
    defense = MemGuard(epsilon=0.3)
    together = defense.serve(net, logits, RecordNoise(x, 5))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    again = defense.serve(net, logits[order], RecordNoise(x[order], 5))
    assert torch.equal(together[order], again)
    for i in range(40):
        assert torch.equal(together[i : i + 1], defense.serve(net, logits[i : i + 1], RecordNoise(x[i : i + 1], 5)))
    assert not torch.equal(together, defense.serve(net, logits, RecordNoise(x, 6)))


def test_answers_are_logarithms_of_confidences_with_the_same_class(served):
    net, logits, x = served
    logits[:3] = torch.tensor([[0.0, 90, 0, -90, 1, 2], [1e-8, 2e-8, 0, 0, 0, 0], [-1e4, 0, 0, 0, 0, 1e4]])
    with torch.no_grad():
        answers = MemGuard(epsilon=2.0).serve(net, logits, RecordNoise(x, 5))
    assert answers.dtype == torch.float32
    assert answers.isfinite().all()
    assert not answers.requires_grad
    np.testing.assert_allclose(answers.exp().sum(1), 1, rtol=1e-5)
    assert torch.equal(answers.argmax(1), logits.argmax(1))


def test_a_budget_of_zero_answers_the_network_itself(served):
    net, logits, x = served
    answers = MemGuard(epsilon=0.0).serve(net, logits, RecordNoise(x, 5))
    torch.testing.assert_close(answers, logits.log_softmax(1))


def test_the_expected_distortion_keeps_to_the_budget(served):
    net, logits, _ = served
    h = net.guard.double().requires_grad_(False)
    z = logits.double()
    s, s_moved = z.softmax(1), (z + MemGuard().phase_one(h, z)).softmax(1)
    distortion = (s - s_moved).abs().sum(1)
    nearer = h(s_moved).abs() < h(s).abs()
    row = int(torch.where(nearer, distortion, 0.0).argmax())
    d = float(distortion[row])
    assert d > 0.1
    n, x = 2000, torch.arange(2000.0)[:, None]  # as many records with the same answer
    answers = MemGuard(epsilon=0.3 * d).serve(net.float(), logits[row].expand(n, 6), RecordNoise(x, 5)).double()
    spent = (answers.exp() - s[row]).abs().sum(1)
    assert set(spent.round(decimals=4).tolist()) == {0.0, round(d, 4)}
    assert float((spent > d / 2).double().mean()) == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / n) ** 0.5)
    certain = MemGuard(epsilon=d * 1.01).serve(net, logits[row].expand(n, 6), RecordNoise(x, 5)).double()
    torch.testing.assert_close(certain.exp(), s_moved[row].expand(n, 6), rtol=1e-5, atol=1e-7)


def test_noise_that_helps_the_attack_is_not_answered(served):
    net, _, _ = served

    class Jumpy(MembershipNetwork):
        """Just above 0 where the largest confidence is under 0.9, far below 0 from there on."""

        def forward(self, s):
            top = s.amax(1)
            return torch.where(top < 0.9, 0.01 + 0.001 * (0.9 - top), -5 - top)

    net.guard = Jumpy(6)
    logits = torch.tensor([[4.0, 0, 0, 0, 0, 0]])
    assert 0.9 < logits.softmax(1).max()
    near = torch.tensor([[3.5, 0, 0, 0, 0, 0]])  # phase I crosses to -5, which is easier to tell
    assert (MemGuard().phase_one(net.guard, near.double()) != 0).any()
    answers = MemGuard(epsilon=2.0).serve(net, near, RecordNoise(torch.zeros(1, 5), 5))
    torch.testing.assert_close(answers, near.log_softmax(1))


def test_the_guard_does_not_see_the_order_of_classes():
    guard = MembershipNetwork(4)
    s = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.3, 0.2]])
    assert torch.equal(*guard(s))


def noisy(n=240):
    """Classes that can only be learnt by heart."""
    random = torch.Generator().manual_seed(0)
    return Data(torch.randn(n, 12, generator=random), torch.arange(n) % 4, ("a", "b", "c", "d"))


def fit(defense, data, model, epochs, parts):
    """CE on the members, then the defense; nets and task."""
    x = data.inputs(torch.arange(len(data)), torch.device("cpu"))
    given = {}
    for name, made in (("ce", miabench.create_defense("ce")), ("memguard", defense)):
        schedule = Schedule(epochs=epochs, lr=0.1, batch_size=16)
        ids = {part: torch.arange(*rows) for part, rows in parts.items()}
        setting = Setting(made, model, data, ids, dict(given), schedule, seed=1, device=torch.device("cpu"))
        task = Task(setting, x, data.y)
        given = {"net": made.fit(task).eval()}
        if name == "ce":
            ce = given["net"]
    return ce, given["net"], task


def test_the_guard_learns_to_tell_members_and_serving_stops_it():
    data = noisy()
    parts = {"train": (0, 80), "reference": (80, 160)}
    ce, net, task = fit(MemGuard(), data, Tiny(), 60, parts)
    assert task.history[-1]["attack_loss"] < 0.5 < task.history[0]["attack_loss"]
    logits = ce(task.x)[0]
    assert torch.equal(net(task.x)[0], logits), "the network is CE's"
    loaded = MemGuard().architecture(Tiny().build(data.domain))
    loaded.load_state_dict(net.state_dict())
    member = np.r_[np.ones(80), np.zeros(80)]  # against records that no one has seen
    rows = torch.cat([torch.arange(80), torch.arange(160, 240)])
    with torch.no_grad():
        answers = Served(loaded, MemGuard(epsilon=2.0), 5)(task.x)[0]
        open_odds, guarded_odds = (net.guard(a.softmax(1))[rows] for a in (logits, answers))
    assert roc_auc_score(member, open_odds) > 0.8
    assert guarded_odds.abs().mean() < 0.3 * open_odds.abs().mean()
    assert torch.equal(answers.argmax(1), logits.argmax(1))


def test_unequal_parts_weigh_the_same():
    data = noisy(200)
    _, net, task = fit(MemGuard(), data, Tiny(constant=True), 1, {"train": (0, 160), "reference": (160, 200)})
    net = MemGuard(attack_lr=0.01).fit(_again(task, net, epochs=40))
    s = torch.full((1, 4), 0.25)
    assert float(net.guard(s)) == pytest.approx(0, abs=0.3), "log(160 / 40) = 1.39 where each record weighs the same"


def _again(task, net, epochs):
    """The defense's task with a network that answers everything alike."""
    setting = task._setting
    plain = setting.model.build(setting.data.domain)
    for p in plain.parameters():
        nn.init.zeros_(p)
    schedule = Schedule(epochs=epochs, batch_size=200)
    return Task(
        Setting(setting.defense, setting.model, setting.data, setting.ids, {"net": plain.eval()}, schedule, 1,
                torch.device("cpu")),
        task.x, task.y,
    )  # fmt: skip


def test_a_small_experiment(tmp_path):
    table = miabench.run(
        {
            "name": "tiny",
            "dataset": {"name": "toy", "n": 320},
            "model": {"name": "mlp", "hidden": [64]},
            "defense": [{"name": "memguard", "epsilon": [0.0, 2.0]}],
            "attacks": ["confidence", "grad-x"],
            "runs": 1,
            "shadows": 1,
            "schedule": {"epochs": 30, "batch_size": 16},
            "plugins": [str(PLUGINS / "toy.py")],
        },
        store=tmp_path / "store",
        executor="inline",
    )
    table["epsilon"] = [params.get("epsilon", 1.0) for params in table.params]
    plain, guarded = (table[table.epsilon == e].set_index(["metric", "attack"]).value for e in (0.0, 2.0))
    for metric in ("train_accuracy", "test_accuracy"):
        assert plain[metric].tolist() == guarded[metric].tolist()
    assert plain["auc", "grad-x"] == guarded["auc", "grad-x"], "a white-box attack sees through it"
    assert plain["auc", "confidence"] != guarded["auc", "confidence"]
    assert (table[table.metric == "auc"].n_members == 40).all(), "half of 80 are withheld"
