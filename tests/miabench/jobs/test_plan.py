"""What is planned, and what changes the key of a training: exactly what decides its result."""

from pathlib import Path

import numpy as np
import pytest

import miabench
from miabench.experiment.load import load_experiment
from miabench.jobs.plan import Paths, make_plan
from miabench.store.store import Store


@pytest.fixture
def plan(tmp_path, tiny):
    def make(experiment=None, **changes):
        return make_plan(load_experiment(experiment or tiny(**changes)), Paths(tmp_path / "store"))

    return make


def trainings(plan):
    return {job.label: job.key for job in plan.jobs.values() if job.kind == "train"}


def keys(plan):
    return set(trainings(plan).values())


def message(call, **changes):
    with pytest.raises(miabench.UserError) as caught:
        call(**changes)
    return "\n".join(caught.value.problems)


def test_jobs_come_after_what_they_need(plan):
    seen = set()
    for job in plan(defense=["ce", "crl"], runs=2).jobs.values():
        assert set(job.needs) <= seen
        seen |= set(job.gives)


def test_counts(plan):
    made = plan(defense=["ce", "crl"], runs=2, shadows=3)
    kinds = [job.kind for job in made.jobs.values()]
    assert kinds.count("train") == 2 * 2 * 4
    assert kinds.count("attack") == 2 * 2
    assert made.index.cells[0].counts == {"members": 40, "non-members": 40}


def test_planning_again_gives_the_same_keys(plan):
    assert trainings(plan()) == trainings(plan())


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"schedule": {"epochs": 4, "batch_size": 16}},
        {"schedule": {"epochs": 3, "batch_size": 17}},
        {"schedule": {"epochs": 3, "batch_size": 16, "weight_decay": 0.0}},
        {"model": {"name": "mlp", "hidden": [17]}},
        {"dataset": {"name": "toy", "seed": 1}},
        {"dataset": {"name": "toy", "n": 161}},
        {"defense": [{"name": "relaxloss", "alpha": 0.5}]},
        {"threads": 2},
        {"precision": "float64"},
    ],
)
def test_what_retrains_everything(plan, changes):
    assert not keys(plan()) & keys(plan(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"attacks": ["entropy"]},
        {"runs": 3},
        {"shadows": 4},
        {"defense": ["ce", "crl"]},
        {"attacker": {"shadow_defense": "both"}},
        {"device": "cpu"},
    ],
)
def test_what_retrains_nothing(plan, changes):
    assert keys(plan()) <= keys(plan(**changes))


def test_a_changed_plugin_file_retrains_what_it_defines_and_nothing_else(plan, tiny, tmp_path):
    source = (Path(__file__).parents[2] / "plugins" / "from_ce.py").read_text()
    mine = tmp_path / "mine.py"
    experiment = tiny(defense=["ce", "mine"])
    experiment["plugins"].append(str(mine))
    mine.write_text(source)
    before = trainings(plan(experiment))
    mine.write_text(source + "\n# changed\n")
    after = trainings(plan(experiment))
    changed = {label for label in before if before[label] != after[label]}
    assert changed
    assert changed == {label for label in before if "mine" in label}


def test_built_in_source_text_is_not_in_the_key(plan):
    """Only a class's version stands for built-in code."""
    spec = next(job.spec for job in plan().jobs.values() if job.kind == "train")
    assert spec.defense.code == "1"
    assert spec.model.code == "1"


def test_a_required_training_is_shared_with_the_cell_it_equals(plan):
    alone = plan(defense=["ce"])
    with_other = plan(defense=["ce", "from-ce", "noisy-server"], more_plugins=["from_ce", "noisy_server"])
    labels = [label for label in trainings(with_other) if label.startswith("train toy mlp hidden=[16] ce run")]
    assert len(labels) == 3
    assert keys(alone) <= keys(with_other)
    job = next(job for job in with_other.jobs.values() if job.label == labels[0])
    assert job.snapshots == (2, 3), "from-ce's start is a snapshot of the same training"
    assert len(keys(with_other)) == 9


def test_withheld_records_are_neither_members_nor_non_members(plan, tmp_path):
    made = plan(defense=[{"name": "second-network", "share": 0.25}, "ce"], more_plugins=["second_network"])
    withholding, ce = made.index.cells
    assert withholding.counts == {"members": 30, "non-members": 40, "reference": 10}
    assert ce.counts == {"members": 40, "non-members": 40}
    store = Store(tmp_path / "store")
    job = next(job for job in made.jobs.values() if job.kind == "train" and "second" in job.label)
    members, reference = (set(store.ids(job.spec.parts[name].ids)) for name in ("train", "reference"))
    attack = next(job for job in made.jobs.values() if job.kind == "attack" and "second" in job.label)
    assert set(store.ids(attack.spec.target.members)) == members
    assert not reference & (members | set(store.ids(attack.spec.target.non_members)))


def test_shadow_models_share_no_record_with_the_target(plan, tmp_path):
    made = plan(shadows=3)
    store = Store(tmp_path / "store")
    attack = next(job for job in made.jobs.values() if job.kind == "attack").spec
    records = [np.union1d(store.ids(v.members), store.ids(v.non_members)) for v in (attack.target, *attack.shadows)]
    for shadow in records[1:]:
        assert not np.intersect1d(records[0], shadow).size
    assert not np.array_equal(store.ids(attack.shadows[0].members), store.ids(attack.shadows[1].members))


def test_non_adaptive_attackers_train_their_shadows_under_ce(plan):
    made = plan(defense=["crl"], attacker={"shadow_defense": "ce"})
    assert [label.removeprefix("train toy mlp hidden=[16] ") for label in trainings(made)] == [
        "crl run 0 target",
        "ce run 0 shadow-0",
        "ce run 0 shadow-1",
    ]
    assert {entry.attacker for entry in made.index.entries} == {None, "non-adaptive"}


def test_the_baseline_has_a_word_and_its_former_name_means_the_same(plan):
    named, former = (plan(defense=["crl"], attacker={"shadow_defense": who}) for who in ("baseline", "ce"))
    assert named.jobs.keys() == former.jobs.keys()
    assert named.index.experiment == former.index.experiment
    assert [cell.is_baseline for cell in plan(defense=["crl", "ce"]).index.cells] == [False, True]


def test_both_attackers(plan):
    made = plan(defense=["crl"], attacker={"shadow_defense": "both"})
    assert len(keys(made)) == 5
    assert {entry.attacker for entry in made.index.entries} == {None, "adaptive", "non-adaptive"}


def test_undefended_shadows_are_those_of_the_ce_cell(plan):
    """Beside that cell they cost no training and no observation; withheld records change nothing about them."""
    cells = ["ce", "crl", {"name": "advreg", "alpha": [1.0, 2.0]}]
    made, adaptive = (plan(defense=cells, attacker={"shadow_defense": who}) for who in ("both", "same"))
    assert keys(made) == keys(adaptive)
    assert len(keys(made)) == 4 * 3
    observed = [{job.key for job in p.jobs.values() if job.kind == "observe"} for p in (made, adaptive)]
    assert observed[0] == observed[1]
    shadows = {}
    for entry in made.index.entries:
        if entry.attack:
            job = next(job for job in made.jobs.values() if entry.records in job.gives)
            shadows[made.index.cells[entry.cell].label, entry.attacker] = job.spec.shadows
    assert len(shadows) == 8
    undefended = [views for (_, attacker), views in shadows.items() if attacker == "non-adaptive"]
    assert undefended == 4 * [shadows["ce", "adaptive"]]
    assert len({str(views) for views in shadows.values()}) == 4


def test_impossible_cells_are_na_with_the_reason(plan):
    made = plan(model=["mlp", "vgg11"])
    possible, impossible = made.index.cells
    assert possible.reason is None
    assert "vgg11: " in impossible.reason
    reasons = {entry.reason for entry in made.index.entries if entry.cell == 1}
    assert reasons == {impossible.reason}
    assert len([entry for entry in made.index.entries if entry.cell == 1]) == 2


def test_the_floor_of_crl_is_warned_about(plan):
    made = plan(defense=[{"name": "crl", "alpha_rce": [0.25, 1.0], "tau_rce": 0.5, "alpha_rcl": 0.1}])
    ce, centers = made.index.warnings
    assert "alpha_rce = 0.25 is at or below 0.26" in ce
    assert "the CE part never relaxes" in ce
    assert "the center part never relaxes" in centers, "of both cells, said once"


def test_duplicates_are_reported(plan):
    made = plan(dataset={"name": "toy"})
    assert [note for note in made.index.notes if note.startswith("toy")] == ["toy: 160 records, 4 classes"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"defense": ["cr", "relaxlos"]}, ["there is no defense 'cr'", "there is no defense 'relaxlos'"]),
        ({"defense": [{"name": "crl", "alpha": 1}]}, ["defense crl has no parameter 'alpha'; did you mean 'alpha_rc"]),
        ({"defense": ["ce", "ce"]}, ["defense 'ce' stands twice in the experiment"]),
        ({"device": "cuda:7"}, ["device 'cuda:7' is not where the jobs run; there is"]),
        (
            {"defense": [{"name": "from-ce", "start": 9}], "more_plugins": ["from_ce"]},
            ["epochs = 9 is not within the schedule's 1 to 3"],
        ),
        ({"dataset": {"name": "toy", "n": 4}}, ["the dataset has 4 records; splitting needs 8 or more"]),
        (
            {"defense": [{"name": "second-network", "share": 0.999}], "more_plugins": ["second_network"]},
            ["of 40 training records, withholding 40 (reference) leaves fewer than 2 to train on"],
        ),
    ],
)
def test_errors(plan, changes, expected):
    text = message(plan, **changes)
    assert len(text.splitlines()) == len(expected)
    for part in expected:
        assert part in text


def test_a_defense_with_a_schedule_of_its_own(plan):
    """It holds for the defense's targets, adaptive shadows and what they start from, and for nothing else."""
    schedule = {"epochs": 4, "lr": 0.1, "milestones": {"2": 0.01}, "batch_size": 16}
    own = {"name": "dmp", "schedule": {"lr": 0.2, "epochs": 6}}
    made = plan(defense=["ce", own], schedule=schedule, attacker={"shadow_defense": "both"})
    specs = [job.spec for job in made.jobs.values() if job.kind == "train"]
    found = {(spec.defense.name, len(spec.parts["train"].ids), spec.schedule.epochs) for spec in specs}
    teachers = {spec.key for spec in specs if spec.schedule.epochs == 6 and spec.defense.name == "ce"}
    assert {(name, epochs) for name, _, epochs in found} == {("ce", 4), ("ce", 6), ("dmp", 6)}
    assert len(teachers) == 3  # a target's and two shadows'
    (rates,) = {tuple(spec.schedule.lr_at(epoch) for epoch in (1, 3)) for spec in specs if spec.schedule.epochs == 6}
    assert rates == (0.2, pytest.approx(0.02))
    assert [cell.params for cell in made.index.cells] == [{}, {"schedule.epochs": 6, "schedule.lr": 0.2}]


def test_a_grid_of_schedules_and_what_is_the_common_one(plan):
    grid = {"name": "ce", "schedule": {"lr": [0.05, 0.1]}}
    made = plan(defense=[grid, {"name": "ce", "schedule": {"milestones": {"2": 0.01}}}])
    assert [cell.label for cell in made.index.cells] == [
        "ce",
        "ce schedule.lr=0.1",
        "ce schedule.milestones={'2': 0.01}",
    ]
    assert keys(plan()) < keys(made)  # the first is plain ce
    assert "defense 'ce' stands twice" in message(plan, defense=["ce", {"name": "ce", "schedule": {"lr": 0.05}}])


def test_a_schedule_that_is_none(plan):
    assert message(plan, defense=[{"name": "ce", "schedule": {"lrr": 1, "epochs": 0}}]).splitlines() == [
        "defense ce: schedule.epochs = 0: Input should be greater than or equal to 1",
        "defense ce: schedule has no key 'lrr'; did you mean 'lr'? "
        "Known: batch_size, epochs, lr, milestones, momentum, weight_decay",
    ]


def test_settings_of_one_defense_are_told_apart_by_name(plan):
    """A default among them is named too, for a reader of the table does not know it; one that is none is not."""
    grid = [{"name": "crl", "alpha_rce": [0.5, 1.0], "tau_rce": 0.2}, {"name": "relaxloss", "upper": 1.0}]
    labels = [cell.label for cell in plan(defense=grid).index.cells]
    assert labels == ["crl alpha_rce=0.5 tau_rce=0.2", "crl alpha_rce=1.0 tau_rce=0.2", "relaxloss"]
    entries = ["relaxloss", {"name": "relaxloss", "alpha": 0.5, "upper": 0.9}]
    labels = [cell.label for cell in plan(defense=entries).index.cells]
    assert labels == ["relaxloss upper=1.0", "relaxloss alpha=0.5 upper=0.9"]


def test_which_named_settings_are_defaults(plan):
    """Those named only to tell settings apart; the keys of a schedule are none."""
    entries = ["relaxloss", {"name": "relaxloss", "alpha": 0.5, "upper": 1.0, "schedule": {"lr": 0.5}}, "ce"]
    cells = plan(defense=entries).index.cells
    assert [list(cell.params) for cell in cells] == [["upper"], ["alpha", "upper", "schedule.lr"], []]
    assert [cell.by_default for cell in cells] == [["upper"], ["upper"], []]
