"""Where results come from, in words."""

from miabench.experiment.model import Experiment
from miabench.reports.words import provenance


def test_the_protocol_and_the_seed():
    experiment = Experiment.model_validate(
        {
            **dict.fromkeys(("dataset", "model", "defense", "attacks"), "x"),
            "runs": 1,
            "shadows": 5,
            "seed": 3,
            "schedule": {"epochs": 7, "batch_size": 16, "lr": 0.1},
            "attacker": {"shadow_defense": "ce"},
        }
    )
    assert list(provenance.protocol(experiment)) == [
        "protocol disjoint: target and shadow models are trained and tested on disjoint halves of the data",
        "1 training per cell on fixed splits",
        "5 shadow models for each target, trained without defense (non-adaptive attacker)",
        "7 epochs of SGD, batches of 16, learning rate 0.1",
        "seed 3 (splits of the target and every random stream; shadow i splits with seed + i)",
    ]


def test_without_shadow_models_none_is_said_to_be_trained():
    names = dict.fromkeys(("dataset", "model", "defense", "attacks"), "x")
    said = list(provenance.protocol(Experiment.model_validate(names | {"shadows": 0})))
    assert said[2] == "no shadow models: attacks learn nothing, and no threshold is learnt"


def test_every_protocol_and_attacker_has_words():
    fields = Experiment.model_fields
    assert set(provenance.PROTOCOLS) == set(fields["protocol"].annotation.__args__)
    attackers = fields["attacker"].annotation.model_fields["shadow_defense"].annotation.__args__
    assert set(provenance.SHADOWS) == set(attackers)


def test_versions_of_what_is_stored(make_results):
    results = make_results({}, environments=({"torch": "2.9", "python": "3.11", "cpu": "fast", "gpu": None},))
    assert provenance.versions(results) == {"torch": "2.9", "python": "3.11", "cpu": "fast"}
    assert provenance.made_with(results) == "python 3.11, torch 2.9"
    assert provenance.made_with(make_results({"dataset": "b", "accuracy": None, "auc": {"entropy": None}})) == ""
