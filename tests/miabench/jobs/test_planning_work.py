"""How often planning does what takes long: more cells, attacks and runs must not read or hash the same again."""

from collections import Counter

import pytest

from miabench.data.pool import Data
from miabench.data.protocols import Pool
from miabench.experiment.load import load_experiment
from miabench.jobs import graph, plan_observations, specs
from miabench.jobs.plan import Paths, make_plan
from miabench.store.store import Store

FEW = ["entropy"]
MANY = ["entropy", "loss", "grad-x", {"name": "lira", "mode": "offline"}, "attack-p"]
PAIRS = {"protocol": "pool", "models": 6, "shadows": 2, "runs": None}


@pytest.fixture
def counted(monkeypatch):
    """Counts calls by name."""
    calls = Counter()

    def watch(owner, name):
        real = getattr(owner, name)

        def call(*args, **kwargs):
            calls[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    watch(Data, "fingerprint")
    watch(Store, "ids")
    watch(Store, "put_ids")
    watch(Pool, "split")
    watch(specs, "digest")
    watch(plan_observations, "_plan_observation")
    watch(graph, "Job")
    return calls


@pytest.fixture
def work(tmp_path, tiny, counted):
    """What planning an experiment takes: calls by name, and its jobs."""

    def plan(**changes):
        counted.clear()
        given = {name: value for name, value in tiny(**changes).items() if value is not None}
        made = make_plan(load_experiment(given), Paths(tmp_path / "store"))
        return dict(counted), Counter(job.kind for job in made.jobs.values())

    return plan


def settings(n):
    return ["ce", {"name": "relaxloss", "alpha": [0.1 * i for i in range(1, n)]}] if n > 1 else ["ce"]


@pytest.mark.parametrize("changes", [{"runs": 2}, PAIRS], ids=["disjoint", "pool"])
def test_more_cells_read_and_hash_no_list_again(work, changes):
    one, _ = work(defense=settings(1), attacks=MANY, **changes)
    five, _ = work(defense=settings(5), attacks=MANY, **changes)
    assert one["put_ids"] > 0
    assert one["ids"] > 0
    for name in ("put_ids", "ids", "fingerprint"):
        assert five[name] == one[name], name


def test_pairs_draw_each_models_records_once(work):
    """Beside the counts of a cell."""
    drawn = work(defense=settings(4), attacks=MANY, **PAIRS)[0]["split"]
    assert drawn == 6 + 4


def test_more_attacks_plan_no_observation_again(work):
    few, _ = work(attacks=FEW, runs=2)
    many, jobs = work(attacks=[*FEW, "loss", "m-entropy", "confidence"], runs=2)
    assert many["_plan_observation"] == few["_plan_observation"] == jobs["train"]


def test_more_runs_hash_no_records_again(work):
    """Under the protocol of halves, the runs repeat the same splits."""
    one, _ = work(attacks=MANY, runs=1)
    four, _ = work(attacks=MANY, runs=4)
    assert four["fingerprint"] == one["fingerprint"]
    assert four["put_ids"] == one["put_ids"]


def test_what_several_trainings_start_from_is_hashed_once(work):
    """The teachers of all settings are trained on the same records."""
    one, _ = work(defense=[{"name": "dmp", "tau": 1.0}])
    three, _ = work(defense=[{"name": "dmp", "tau": [1.0, 2.0, 3.0]}])
    assert three["fingerprint"] == one["fingerprint"]


def test_every_key_is_hashed_once(work):
    """A training has, beside its own key, that of its network."""
    found, jobs = work(defense=settings(4), attacks=MANY, runs=2)
    assert found["digest"] == sum(jobs.values()) + 2 * jobs["train"]  # `network` hashes the training's again


def test_every_job_is_made_once_whoever_wants_it(work):
    """Without a defense, both attackers are one."""
    found, jobs = work(defense=settings(4), attacks=MANY, runs=2, attacker={"shadow_defense": "both"})
    assert found["Job"] == sum(jobs.values())


@pytest.mark.parametrize("changes", [{}, PAIRS], ids=["disjoint", "pool"])
def test_a_cell_has_the_same_jobs_alone_and_beside_others(tmp_path, tiny, changes):
    defenses = [
        "ce",
        "advreg",
        {"name": "advreg", "reference_fraction": 0.25},
        "dmp",
        {"name": "early-stopping", "patience": 2},
    ]

    def planned(defense):
        given = tiny(defense=defense, attacks=MANY, **changes)
        plan = make_plan(load_experiment({k: v for k, v in given.items() if v is not None}), Paths(tmp_path / "store"))
        return {key: job.spec for key, job in plan.jobs.items()}

    alone = [planned([defense]) for defense in defenses]
    assert planned(defenses) == {key: spec for jobs in alone for key, spec in jobs.items()}
