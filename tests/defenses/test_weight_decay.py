"""Weight decay is CE's training under another schedule."""

import torch
from safetensors.torch import load


def test_it_is_ce_s_own_training_with_this_weight_decay(do):
    """Which a CE cell of that schedule shares; nothing else of the schedule changes."""
    ce = {"name": "ce", "schedule": {"weight_decay": 0.02}}
    plan, _, store = do(defense=[ce, {"name": "weight-decay", "weight_decay": 0.02}], shadows=1)
    jobs = [job for job in plan.jobs.values() if job.kind == "train"]
    of = {name: [job for job in jobs if job.spec.defense.name == name] for name in ("ce", "weight-decay")}
    assert [len(found) for found in of.values()] == [2, 2]
    for job in of["weight-decay"]:
        (own,) = (other for other in of["ce"] if other.gives[0].key == job.spec.given["net"])
        assert own.spec.schedule == job.spec.schedule.replaced({"weight_decay": 0.02})
        bare, taken = (load(store.file(one.gives[0], "weights.safetensors").read_bytes()) for one in (own, job))
        assert all(torch.equal(value, taken[name]) for name, value in bare.items())
