"""Suites: fixed lists of attacks by name and version, expanded when an experiment is planned."""

import json
from pathlib import Path

import pytest

from miabench import UserError
from miabench.cli.listing import listing
from miabench.experiment.load import load_experiment
from miabench.jobs.configured import configure
from miabench.plugins.discover import discover
from miabench.plugins.suites import NEWEST, SUITES, suite_name

LEVELS = ("label", "black-box", "white-box")


def experiment(tiny, *attacks, **changes):
    return load_experiment(tiny(attacks=list(attacks), **changes))


def labels(experiment):
    return [attack.label for attack in configure(experiment).attacks]


def test_the_lists_never_change():
    """A changed list is a new version: these are what `@1` has meant in results."""
    assert SUITES["label-only@1"] == ("gap", "augmentation-agreement", "noise-agreement")
    assert SUITES["black-box@1"] == (
        *("gap", "confidence", "entropy", "m-entropy", "nn", "attack-p", "quantile", "lira", "rmia", "base"),
        *("attack-r", "calibrated", "privacy-risk-score"),
    )
    assert SUITES["white-box@1"] == (*SUITES["black-box@1"], "grad-x", "grad-w")
    rest = ("augmentation-agreement", "noise-agreement", "boundary", "loss")
    assert SUITES["all@1"] == (*SUITES["white-box@1"], *rest)
    newer = ("samia", "adversarial-distance", "trajectory", "l-leaks")
    assert SUITES["all@2"] == (*SUITES["all@1"], *newer)


def test_all_is_every_built_in_attack():
    assert set(SUITES[suite_name("all")]) == {found.name for found in discover().all("attack")}


@pytest.mark.parametrize("name", ["label-only", "black-box", "white-box"])
def test_no_attack_of_a_suite_sees_more_than_its_name_says(name):
    most = LEVELS.index(name.replace("-only", ""))
    seen = {attack: discover().get("attack", attack).load().access for attack in SUITES[suite_name(name)]}
    assert max(map(LEVELS.index, seen.values())) == most


def test_a_bare_name_is_the_newest_version():
    for name, version in NEWEST.items():
        versions = [suite for suite in SUITES if suite.partition("@")[0] == name]
        assert name + version == max(versions, key=lambda suite: int(suite.partition("@")[2]))


def test_the_resolved_experiment_holds_the_version_and_the_plan_its_attacks(tiny):
    loaded = experiment(tiny, "label_only", "entropy", {"name": "gap"})
    assert [choice.name for choice in loaded.attacks] == ["label-only@1", "entropy", "gap"]
    assert labels(loaded) == ["augmentation-agreement", "noise-agreement", "entropy", "gap"]
    assert load_experiment(json.loads(loaded.model_dump_json())) == loaded


def test_an_attack_of_two_suites_stands_once_and_one_with_parameters_beside_it(tiny):
    loaded = experiment(tiny, "black-box", "white-box@1", {"name": "lira", "mode": "offline"})
    assert labels(loaded) == [*SUITES["white-box@1"], "lira mode=offline"]


def test_the_same_attack_written_twice_is_still_an_error(tiny):
    with pytest.raises(UserError, match="attack 'gap' stands twice"):
        configure(experiment(tiny, "label-only", "gap", "gap"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "black-box", "mode": "offline"}, "black-box is a suite, whose attacks have their defaults"),
        ("black-box@2", "there is no suite 'black-box@2'; did you mean 'black-box@1'"),
    ],
)
def test_what_is_no_suite_is_refused(tiny, given, why):
    with pytest.raises(UserError, match=why):
        experiment(tiny, given)


def test_a_plugin_file_cannot_take_a_suites_name(tmp_path):
    path = tmp_path / "black_box.py"
    path.write_text((Path(__file__).parents[2] / "plugins" / "margin.py").read_text())
    with pytest.raises(UserError, match=r"black_box\.py: black-box is the name of a suite of attacks; rename the file"):
        discover([path])


def test_suites_are_listed(tiny):
    assert listing("suites", None, (), False).splitlines()[0].split(None, 1) == [
        "label-only@1",
        "gap, augmentation-agreement, noise-agreement",
    ]
    assert json.loads(listing("suites", "black_box".replace("_", "-"), (), True))["name"] == "black-box@1"
    with pytest.raises(UserError, match="there is no suite 'grey-box'"):
        listing("suites", "grey-box", (), False)
