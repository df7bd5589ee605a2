"""memguard: its search equals the paper's algorithm one record at a time; what it answers, to whom, and how often."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from miabench.defenses.memguard import MembershipNetwork, MemGuard
from sklearn.metrics import roc_auc_score
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.jobs.resources import Resources
from miabench.plugins.network import build_network
from miabench.seeds import global_stream
from miabench.training.schedule import Schedule
from miabench.training.serving import RecordNoise, Served
from miabench.training.task import Task, TaskConfig

PLUGINS = Path(__file__).parents[1] / "plugins"


class Tiny(miabench.Model, frozen=True):
    """One hidden layer, after BatchNorm or not."""

    norm: bool = False

    def build(self, domain):
        first = [nn.BatchNorm1d(*domain.shape)] if self.norm else []
        encoder = nn.Sequential(*first, nn.Linear(*domain.shape, 32), nn.ReLU())
        return miabench.Classifier(encoder, nn.Linear(32, domain.num_classes), 32)


@pytest.fixture
def served():
    """A network with a guard of random weights, and logits of many sizes."""
    random = torch.Generator().manual_seed(0)
    with global_stream(3, "guard"):
        net = MemGuard().architecture(Tiny().build(miabench.Domain((5,), 6))).requires_grad_(False)
    logits = torch.randn(14, 6, generator=random) * torch.logspace(-2, 0.5, 14)[:, None]
    for p in net.guard.parameters():
        p *= 4  # so that h depends on its input
    net.guard.layers[-1].bias -= net.guard(logits.softmax(1)).median()
    return net.eval(), logits, torch.randn(14, 5, generator=random)


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
    defense = MemGuard(max_iter=30)
    h = net.guard.double()
    together = defense.phase_one(h, logits.double())
    alone = torch.stack([as_in_the_paper(h, z, defense) for z in logits.double()])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-9)
    moved = (together != 0).any(1)
    assert 3 < int(moved.sum()) < 14, "some searches succeed, some fail"
    s, s_moved = logits.double().softmax(1), (logits + together).softmax(1)
    assert (h(s_moved) * h(s) <= 0)[moved].all()
    assert torch.equal(s.argmax(1), s_moved.argmax(1))


def test_a_record_is_answered_the_same_in_any_company(served):
    net, logits, x = served
    defense = MemGuard(epsilon=0.05, max_iter=20)
    together = defense.serve(net, logits, RecordNoise(x, 5))
    order = torch.randperm(14, generator=torch.Generator().manual_seed(1))
    again = defense.serve(net, logits[order], RecordNoise(x[order], 5))
    assert torch.equal(together[order], again)
    for i in range(14):
        assert torch.equal(together[i : i + 1], defense.serve(net, logits[i : i + 1], RecordNoise(x[i : i + 1], 5)))
    assert not torch.equal(together, defense.serve(net, logits, RecordNoise(x, 6)))


def test_answers_are_logarithms_of_confidences_with_the_same_class(served):
    net, logits, x = served
    logits[:3] = torch.tensor([[0.0, 90, 0, -90, 1, 2], [1e-8, 2e-8, 0, 0, 0, 0], [-1e4, 0, 0, 0, 0, 1e4]])
    with torch.no_grad():
        answers = MemGuard(epsilon=2.0, max_iter=20).serve(net, logits, RecordNoise(x, 5))
    assert answers.dtype == torch.float32
    assert answers.isfinite().all()
    assert not answers.requires_grad
    np.testing.assert_allclose(answers.exp().sum(1), 1, rtol=1e-5)
    assert torch.equal(answers.argmax(1), logits.argmax(1))


def test_rounding_does_not_move_the_predicted_class(served):
    """Two classes that float64 tells apart, and float32 does not; the first of equals would be answered."""
    net, logits, x = served
    logits = torch.zeros_like(logits)
    logits[:, 4] = 1e-8
    answers = MemGuard(epsilon=0.0, max_iter=1).serve(net, logits, RecordNoise(x, 5))
    assert set(answers.argmax(1).tolist()) == {4}
    torch.testing.assert_close(answers, logits.log_softmax(1), rtol=1e-6, atol=0)


def test_a_budget_of_zero_answers_the_network_itself(served):
    net, logits, x = served
    answers = MemGuard(epsilon=0.0, max_iter=5).serve(net, logits, RecordNoise(x, 5))
    torch.testing.assert_close(answers, logits.log_softmax(1))


def test_the_expected_distortion_keeps_to_the_budget(served):
    net, logits, _ = served
    h = net.guard.double()
    z = logits.double()
    s, s_moved = z.softmax(1), (z + MemGuard(max_iter=20).phase_one(h, z)).softmax(1)
    distortion = (s - s_moved).abs().sum(1)
    nearer = h(s_moved).abs() < h(s).abs()
    row = int(torch.where(nearer, distortion, 0.0).argmax())
    d = float(distortion[row])
    assert d > 0.1
    n = 400
    z, x = logits[row].expand(n, 6), torch.arange(float(n))[:, None]  # as many records with the same answer
    answers = MemGuard(epsilon=0.3 * d, max_iter=20).serve(net, z, RecordNoise(x, 5)).double()
    distances = (answers.exp() - s[row]).abs().sum(1)
    assert set(distances.round(decimals=4).tolist()) == {0.0, round(d, 4)}
    assert float((distances > d / 2).double().mean()) == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / n) ** 0.5)
    certain = MemGuard(epsilon=1.01 * d, max_iter=20).serve(net, z[:9], RecordNoise(x[:9], 5)).double()
    torch.testing.assert_close(certain.exp(), s_moved[row].expand(9, 6), rtol=1e-5, atol=1e-7)


def test_noise_that_helps_the_attack_is_not_answered(served):
    class Cliff(nn.Module):
        """Falls slowly with the largest confidence, to 0.01 where it is 0.9; from there on -5."""

        def forward(self, s):
            top = s.amax(1)
            return torch.where(top < 0.9, 0.01 + 0.9 - top, -5 - top)

    net = served[0]
    net.guard = Cliff()
    z = torch.tensor([[3.5, 0, 0, 0, 0, 0]])
    noise = MemGuard(max_iter=20).phase_one(net.guard, z.double())
    assert noise.abs().max() > 0
    assert net.guard((z + noise).softmax(1)) < -5
    answers = MemGuard(epsilon=2.0, max_iter=20).serve(net, z, RecordNoise(torch.zeros(1, 5), 5))
    torch.testing.assert_close(answers, z.log_softmax(1))


def test_the_guard_does_not_see_the_order_of_classes():
    with global_stream(3, "guard"):
        guard = MembershipNetwork(4)
    s = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.3, 0.2]])
    assert torch.equal(guard(s[:1]), guard(s[1:])), "one at a time: rows of one batch may be rounded differently"


def noisy(n=240):
    """Classes that can only be learnt by heart."""
    random = torch.Generator().manual_seed(0)
    return Data(torch.randn(n, 12, generator=random), torch.arange(n) % 4, ("a", "b", "c", "d"))


def fit(defense, given, epochs, norm=False, batch_size=16):
    """A network under a defense: members are the first 80 records, the next 80 are reference."""
    data = noisy()
    ids = {"train": torch.arange(80), "reference": torch.arange(80, 160)}
    schedule = Schedule(epochs=epochs, lr=0.1, batch_size=batch_size)
    build = partial(build_network, Tiny(norm=norm), defense, data.domain)
    loads = {name: partial(lambda net: net, net) for name, net in given.items()}
    task = Task(
        TaskConfig(build, data.num_classes, ids, loads, schedule, seed=1, device=torch.device("cpu")),
        data.x,
        data.y,
    )
    return defense.fit(task).eval(), task


def test_the_guard_learns_to_tell_members_and_serving_stops_it():
    ce, _ = fit(miabench.create_defense("ce"), {}, 40)
    net, task = fit(MemGuard(), {"net": ce}, 40)
    assert task.journal.history[-1]["attack_loss"] < 0.5 < task.journal.history[0]["attack_loss"]
    logits = ce(task.x[:])[0]
    assert torch.equal(net(task.x[:])[0], logits), "the network is CE's"
    loaded = MemGuard().architecture(Tiny().build(noisy().domain))
    loaded.load_state_dict(net.state_dict())
    member = np.r_[np.ones(80), np.zeros(80)]  # against records that no one has seen
    rows = torch.cat([torch.arange(80), torch.arange(160, 240)])
    with torch.no_grad():
        answers = Served(loaded, MemGuard(epsilon=2.0).serve, 5)(task.x[:])[0]
        open_odds, guarded_odds = (net.guard(a.softmax(1))[rows] for a in (logits, answers))
    assert roc_auc_score(member, open_odds) > 0.7
    assert guarded_odds.abs().mean() < 0.3 * open_odds.abs().mean()
    assert torch.equal(answers.argmax(1), logits.argmax(1))


def test_the_network_is_taken_as_it_is():
    """The guard learns from answers in eval mode, and BatchNorm's averages stay."""
    ce, _ = fit(miabench.create_defense("ce"), {}, 2, norm=True)
    net, _ = fit(MemGuard(), {"net": ce}, 2, norm=True)
    state = net.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in ce.state_dict().items())


@pytest.mark.parametrize("lr", [0.001, 0.02])
def test_the_guards_learning_rate(lr):
    """Adam's first step moves every weight by the learning rate, or not at all where it has no gradient."""
    ce, _ = fit(miabench.create_defense("ce"), {}, 2)
    net, task = fit(MemGuard(attack_lr=lr), {"net": ce}, 1, batch_size=160)  # one step
    pairs = zip(net.guard.parameters(), task.net().guard.parameters(), strict=True)
    assert max((p - q).abs().max().item() for p, q in pairs) == pytest.approx(lr, rel=0.01)


def test_unequal_parts_weigh_the_same():
    data = noisy(200)
    ids = {"train": torch.arange(160), "reference": torch.arange(160, 200)}
    plain = Tiny().build(data.domain).eval()
    for p in plain.parameters():
        nn.init.zeros_(p)  # it answers everything alike, so the guard can only learn a constant
    defense, schedule = MemGuard(attack_lr=0.01), Schedule(epochs=40, batch_size=200)
    build = partial(build_network, Tiny(), defense, data.domain)
    made = TaskConfig(
        build, data.num_classes, ids, {"net": lambda: plain}, schedule, seed=1, device=torch.device("cpu")
    )
    h = defense.fit(Task(made, data.x, data.y)).guard.requires_grad_(False)
    assert float(h(torch.full((1, 4), 0.25))) == pytest.approx(0, abs=0.2), "unweighted it is log(160 / 40) = 1.39"


def test_a_white_box_attack_scores_the_undefended_network(do):
    """Grad-x: minus the logarithm of the gradient's norm, of CE's network alone, one record at a time."""
    memguard = {"name": "memguard", "epsilon": 2.0, "max_iter": 20}
    plan, _, store = do(
        defense=[memguard],
        attacks=["grad-x", "loss"],
        shadows=1,
        stages=("train", "attack"),
        schedule={"epochs": 20, "batch_size": 16},
    )
    scores = {job.spec.attack.name: job for job in plan.jobs.values() if job.kind == "attack"}
    scores = {name: store.arrays(job.gives[0]) for name, job in scores.items()}
    entry = plan.index.entries[0]
    training = next(job for job in plan.jobs.values() if entry.network in job.gives)
    resources = Resources(plan.context)
    data = resources.pool(training.dataset, training.identity)
    undefended, defense, _ = resources.network(training.spec.given["net"], data)
    assert type(defense) is type(miabench.create_defense("ce"))
    pool, undefended = resources.inputs(training, torch.float32)[:].double(), undefended.double()
    gradients, losses = [], []
    for row in scores["grad-x"]["target_row"]:
        x = pool[row : row + 1].clone().requires_grad_()
        loss = nn.functional.cross_entropy(undefended(x)[0], data.y[row : row + 1])
        loss.backward()
        gradients.append(x.grad.norm().item())
        losses.append(loss.item())
    np.testing.assert_allclose(scores["grad-x"]["target"], -np.log(gradients), rtol=1e-4, atol=1e-4)
    auc = {name: roc_auc_score(arrays["target_member"], arrays["target"]) for name, arrays in scores.items()}
    bare = roc_auc_score(scores["loss"]["target_member"], -np.array(losses))
    assert abs(auc["loss"] - 0.5) < abs(bare - 0.5), "a black-box attack sees less than the network's own losses tell"


def test_a_small_experiment(tmp_path):
    table = miabench.run(
        {
            "name": "tiny",
            "dataset": {"name": "toy", "n": 160},
            "model": {"name": "mlp", "hidden": [64]},
            "defense": [{"name": "memguard", "epsilon": [0.0, 2.0], "max_iter": 20}],
            "attacks": ["confidence", "grad-x"],
            "runs": 1,
            "shadows": 1,
            "schedule": {"epochs": 20, "batch_size": 16},
            "plugins": [str(PLUGINS / "toy.py")],
        },
        store=tmp_path / "store",
        executor="inline",
    )
    plain, guarded = (
        table[table.params.str.contains(f'"epsilon": {e}')].set_index(["metric", "attack"]).value for e in (0.0, 2.0)
    )
    for metric in ("train_accuracy", "test_accuracy"):
        assert plain[metric].tolist() == guarded[metric].tolist()
    assert plain["auc", "grad-x"] == guarded["auc", "grad-x"], "a white-box attack sees through it"
    assert plain["auc", "confidence"] != guarded["auc", "confidence"]
    assert (table[table.metric == "auc"].n_members == 20).all(), "half of 40 are withheld"
