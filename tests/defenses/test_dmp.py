"""DMP's two forms: who sees which records, and which trainings are shared."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from miabench.defenses import dmp_gan
from torch import nn
from torch.nn import functional as F

import miabench
from miabench.data.pool import Data, Domain
from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths, make_plan
from miabench.plugins.network import build_network
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

PLUGINS = Path(__file__).parents[1] / "plugins"
IMAGES = {
    "dataset": "toy-images",
    "model": {"name": "mlp", "hidden": [4]},
    "more_plugins": ["toy_images"],
    "shadows": 1,
    "schedule": {"epochs": 3, "batch_size": 4},
}


def trainings(plan):
    return [job for job in plan.jobs.values() if job.kind == "train"]


class MLP(miabench.Model, frozen=True):
    """One hidden layer."""

    def build(self, domain):
        size = int(np.prod(domain.shape))
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, 6), nn.Tanh())
        return Classifier(encoder, nn.Linear(6, domain.num_classes), 6)


def task_for(defense, x, given, **changes):
    """A task whose first half are members, whose second half is the reference part."""
    data = Data(x, torch.arange(len(x)) % 3, ("a", "b", "c"))
    half = torch.arange(len(x) // 2)
    values = {
        "model": MLP(),
        "ids": {"train": half, "reference": half + len(half)},
        "given": {name: partial(lambda net: net, net) for name, net in given.items()},
        "schedule": Schedule(epochs=3, lr=0.1, batch_size=4),
        "seed": 5,
        "device": torch.device("cpu"),
    }
    values |= changes
    build = partial(build_network, values.pop("model"), defense, data.domain)
    return Task(TaskConfig(build=build, num_classes=3, **values), x, data.y)


@pytest.fixture
def x():
    return torch.randn(24, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def teacher(x):
    task = task_for(miabench.create_defense("ce"), x, {}, schedule=Schedule(epochs=40, lr=0.1, batch_size=4))
    return miabench.create_defense("ce").fit(task).eval()


# --- splitting ---


@pytest.mark.parametrize(
    ("params", "count"),
    [({"select_fraction": 0.8}, 10), ({"selection": "all"}, 12), ({"kl": "reference", "tau": 3.0}, 6)],
)
def test_the_student_against_a_slow_twin(x, teacher, params, count):
    """SGD written out on the chosen reference records, in order, from the weights that every training starts from."""
    defense = miabench.create_defense("dmp", **params)
    task = task_for(defense, x, {"teacher": teacher})
    net, reference = task.net(), x[12:]
    logits = teacher(reference)[0].detach()
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    chosen = [i for i in range(12) if (entropy < entropy[i]).sum() < count]
    assert len(chosen) == count
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(3):
        for rows in (chosen[i : i + 4] for i in range(0, count, 4)):
            p = (logits[rows] / defense.tau).softmax(1)
            q = (net(reference[rows])[0] / defense.tau).log_softmax(1)
            loss = F.kl_div(q, p, reduction="batchmean") / (3 if defense.kl == "reference" else 1)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
    ours = defense.fit(task).state_dict()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(ours[name], value)
    assert task.journal.history[-1]["loss"] < task.journal.history[0]["loss"]


def test_the_student_never_sees_a_member(x, teacher):
    defense = miabench.create_defense("dmp")
    seen = defense.fit(task_for(defense, x, {"teacher": teacher})).state_dict()
    x[:12] = torch.nan
    hidden = defense.fit(task_for(defense, x, {"teacher": teacher})).state_dict()
    assert all(torch.equal(value, hidden[name]) for name, value in seen.items())


def test_the_teacher_is_trained_on_the_members_only(do):
    plan, _, store = do(defense=["dmp"], shadows=1)
    teachers = [job for job in trainings(plan) if job.spec.defense.name == "ce"]
    students = [job for job in trainings(plan) if job.spec.defense.name == "dmp"]
    assert len(teachers) == len(students) == 2
    for teacher, student in zip(teachers, students, strict=True):
        assert student.spec.given == {"teacher": teacher.gives[0].key}
        assert teacher.spec.parts == {"train": student.spec.parts["train"]}
        assert teacher.spec.seed == student.spec.seed, "so they start from the same weights"
        members, reference = (set(store.ids(student.spec.parts[name].ids)) for name in ("train", "reference"))
        assert (len(members), len(reference), members & reference) == (20, 20, set())


def test_cells_share_the_teacher(tmp_path, tiny):
    """One for each role, whatever the student does with it; another share of reference records is another teacher."""
    students = {"name": "dmp", "tau": [1.0, 4.0], "selection": ["entropy", "all"]}
    other = {"name": "dmp", "reference_fraction": 0.25}
    made = make_plan(load_experiment(tiny(defense=[students, other], shadows=1)), Paths(tmp_path / "store"))
    assert names(made) == 4 * ["ce"] + 10 * ["dmp"]


# --- synthetic images ---


@pytest.fixture
def plan(tmp_path, tiny):
    def make(**changes):
        return make_plan(load_experiment(tiny(**(IMAGES | changes))), Paths(tmp_path / "store"))

    return make


def names(plan):
    """Which trainings there are, by defense and part."""
    found = [job.spec.defense for job in trainings(plan)]
    return sorted(f"{defense.name} {defense.params.get('part', '')}".strip() for defense in found)


def test_cells_share_one_gan_and_the_teacher_is_the_ce_cells_own(plan):
    made = plan(defense=["ce", {"name": "dmp-gan", "tau": [1.0, 4.0], "gan_epochs": 2}])
    assert names(made) == ["ce", "ce", "dmp-gan generator", "dmp-gan generator"] + 4 * ["dmp-gan student"]
    ce = {ref.key for job in trainings(made) if job.spec.defense.name == "ce" for ref in job.gives}
    assert ce == {job.spec.network(3).key for job in trainings(made) if job.spec.defense.name == "ce"}
    students = [job for job in trainings(made) if job.spec.defense.params.get("part") == "student"]
    assert {job.spec.given["teacher"] for job in students} == ce
    assert made.index.cells[1].counts == made.index.cells[0].counts == {"members": 6, "non-members": 6}


def test_whatever_changes_the_gan_makes_another(plan):
    made = plan(defense=[{"name": "dmp-gan", "gan_epochs": [2, 3]}])
    gans = [job for job in trainings(made) if job.spec.defense.params.get("part") == "generator"]
    assert sorted(job.spec.schedule.epochs for job in gans) == [2, 2, 3, 3]
    slower = plan(defense=[{"name": "dmp-gan", "gan_epochs": [2, 3]}], schedule={"epochs": 7, "lr": 1, "batch_size": 4})
    assert {job.key for job in gans} <= {job.key for job in trainings(slower)}, "the classifier's schedule is not its"


def test_it_is_not_available_for_other_data(plan, tiny, tmp_path):
    made = make_plan(load_experiment(tiny(defense=["dmp-gan"])), Paths(tmp_path / "store"))
    assert made.jobs == {}
    assert made.index.cells[0].reason == (
        "its GAN makes RGB images of 3 x 32 x 32, but these records are 12; dmp takes any"
    )


def test_the_gan_alone_is_no_cell(plan):
    made = plan(defense=[{"name": "dmp-gan", "part": "generator"}])
    assert made.jobs == {}
    assert made.index.cells[0].reason == (
        "part = generator is the GAN that dmp-gan trains for itself, not a classifier; leave part out"
    )


def test_sizes():
    """Weights of 4x4 convolutions without biases, two numbers a channel for BatchNorm."""
    up = 16 * (100 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 2 * (256 + 128 + 64)
    down = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256) + 2 * (128 + 256)
    assert sum(p.numel() for p in dmp_gan.Generator().parameters()) == up
    assert sum(p.numel() for p in dmp_gan._Discriminator().parameters()) == down
    assert dmp_gan.Generator()(torch.zeros(2, 100)).shape == (2, 3, 32, 32)
    assert dmp_gan._Discriminator()(torch.zeros(2, 3, 32, 32)).shape == (2,)


@pytest.fixture
def images():
    scale = torch.tensor([1.0, 2.0, 5.0])[:, None, None]
    return scale * torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def test_a_gan_step_against_a_slow_twin(images):
    """Three steps of G, then one of D on the last fakes; binary cross entropy of probabilities, written out."""
    gan = miabench.create_defense("dmp-gan", part="generator")
    images = images.double()
    once = {"schedule": Schedule(epochs=1, batch_size=8), "dtype": torch.float64}
    task, twin = task_for(gan, images, {}, **once), task_for(gan, images, {}, **once)
    net, judge = twin.net(), twin.new("discriminator", dmp_gan._Discriminator)
    net.low, net.high = (extreme.reshape(3, 1, 1) for extreme in extremes(images[:8]))
    adam, judge_adam = (torch.optim.Adam(part.parameters(), 0.0002, (0.5, 0.999)) for part in (net, judge))
    real = images[next(twin.batches(twin.ids["train"]))]
    for _ in range(3):
        fake = net(torch.randn(8, 100, generator=twin.generator("noise"), dtype=torch.float64))
        adam.zero_grad()
        loss = -judge(fake).sigmoid().log().mean()
        loss.backward()
        adam.step()
    judge_adam.zero_grad()
    told = -judge(real).sigmoid().log().mean() - (1 - judge(fake.detach()).sigmoid()).log().mean()
    (told / 2).backward()
    judge_adam.step()
    ours = gan.fit(task).state_dict()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(ours[name], value)
    assert task.journal.history[0]["generator_loss"] == pytest.approx(loss.item())
    assert task.journal.history[0]["discriminator_loss"] == pytest.approx(told.item() / 2)


def extremes(images):
    """Smallest and largest value of each channel."""
    channels = images.transpose(0, 1).flatten(1)
    return channels.min(1).values, channels.max(1).values


def test_images_keep_within_the_members_range(images):
    gan = miabench.create_defense("dmp-gan", part="generator")
    net = gan.fit(task_for(gan, images, {}, schedule=Schedule(epochs=1, batch_size=8))).eval()
    low, high = extremes(images[:8])
    made_low, made_high = extremes(net(100 * torch.randn(64, 100)).detach())  # such noise drives tanh to its ends
    assert (made_low >= low).all()
    assert (made_high <= high).all()
    assert (made_high - made_low > 0.5 * (high - low)).all()


@pytest.mark.parametrize(("synthetic", "batch_size", "count"), [(None, 3, 6), (10, 4, 8), (3, 4, 4)])
def test_images_come_in_whole_batches(images, synthetic, batch_size, count):
    """Of eight members; as many images as members where no number is given."""
    defense = miabench.create_defense("dmp-gan", synthetic=synthetic, selection="all")
    generator = dmp_gan.Generator().eval()
    asked = []
    student = task_for(defense, images, {}, schedule=Schedule(epochs=1, batch_size=batch_size))
    teacher = MLP().build(DOMAIN)
    teacher.register_forward_pre_hook(lambda net, inputs: asked.append(inputs[0]))
    student.given = {"generator": generator, "teacher": teacher}
    defense.fit(student)
    assert torch.cat(asked).shape == (count, 3, 32, 32)
    noise = torch.randn(batch_size, 100, generator=task_for(defense, images, {}).generator("noise"))
    assert torch.equal(torch.cat(asked)[:batch_size], generator(noise))


DOMAIN = Domain((3, 32, 32), 3)
