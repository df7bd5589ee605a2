"""What lines are known to be: means, worst cases and differences, against the metrics' own functions on the scores."""

import numpy as np
import pytest

from miabench.evaluation.scores import TargetValues
from miabench.metrics import (
    accuracy_influences,
    auc_influences,
    difference,
    holm,
    mean_over_runs,
    strongest,
    worst_of,
)
from miabench.plugins.suites import SUITES
from miabench.reports.numbers.adaptivity import adaptivity_gaps
from miabench.reports.numbers.duels import duels
from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.levels import Column, levels
from miabench.reports.numbers.recommendation import recommend
from miabench.reports.numbers.stored import ACCURACY, Stored
from miabench.reports.numbers.summary import summarize
from miabench.results.index import AttackInfo
from miabench.results.kept import Kept
from miabench.results.results import Results

ACCESS = {"gap": "label", "entropy": "black-box", "nn": "black-box", "grad-x": "white-box"}
CE = {"auc": {"gap": 0.6, "entropy": 0.9, "nn": 0.8, "grad-x": 0.85}}
CRL = {"defense": "crl", "auc": {"gap": 0.55, "entropy": (0.7, 0.6, 0.65), "nn": 0.75, "grad-x": 0.8}}
MANY = [{"defense": "crl", "params": {"a": i}, "auc": {"gap": 0.6, "entropy": auc}} for i, auc in enumerate([0.6, 0.8])]


def judged(results, **given):
    """Evidence by the cell's label and the attacker."""
    summary = summarize(results, **given)
    lines = judge(results, summary).lines
    return {(line.cell.label, line.attacker): lines[line.key] for line in summary.lines}


def scores(results, label, attack=None, attacker="adaptive"):
    """(R, N) as they are stored, and membership."""
    cell = next(cell for cell in results.index.cells if cell.label == label)
    runs = [*results.targets(cell, attacker if attack else None, attack).values()]
    return np.stack([one.values for one in runs]), runs[0].members


def placed(results, label, *attacks):
    """Influences of AUCs, (K, R)."""
    found = [scores(results, label, attack) for attack in attacks]
    return auc_influences(np.stack([values for values, _ in found]), found[0][1])


# --- means ---


def test_means_and_accuracy_over_runs(make_results):
    results = make_results(CE | {"accuracy": (0.8, 0.7, 0.75)}, runs=3)
    found = judged(results)["ce", "adaptive"]
    assert list(found.attacks) == list(ACCESS)
    assert found.attacks["nn"] == mean_over_runs(placed(results, "ce", "nn").pick(0))
    correct, members = scores(results, "ce")
    assert found.accuracy == mean_over_runs(accuracy_influences(correct[:, ~members]))
    assert found.changes == {}


def test_what_is_not_finished_has_no_evidence(make_results):
    found = judged(make_results({"accuracy": None, "auc": {"nn": None, "loss": "no gradient"}}))["ce", "adaptive"]
    assert (found.accuracy, found.attacks, found.worst, found.changes) == (None, {}, {}, {})


def test_runs_that_are_not_finished_do_not_count(make_results):
    results = make_results({"auc": {"nn": (0.9, None, 0.7)}}, runs=3)
    assert judged(results)["ce", "adaptive"].attacks["nn"] == mean_over_runs(placed(results, "ce", "nn").pick(0))
    assert placed(results, "ce", "nn").values.shape == (1, 2)


def test_an_advantage_is_twice_a_balanced_accuracy_less_one(make_results):
    results = make_results(CE, CRL, runs=3)
    half, whole = (judged(results, metric=name) for name in ("balanced_accuracy", "advantage"))
    for key in (("ce", "adaptive"), ("crl", "adaptive")):
        for attack, estimate in half[key].attacks.items():
            assert whole[key].attacks[attack] == pytest.approx([2 * one - 1 for one in estimate])
        mine, twice = (found[key].worst[Column("all", name)].case for found, name in (
            (half, "balanced_accuracy"), (whole, "advantage")))  # fmt: skip
        assert twice[:3] == pytest.approx([2 * one - 1 for one in mine[:3]])
        assert twice[3:] == mine[3:]
    for quantity, change in half["crl", "adaptive"].changes.items():
        if quantity == ACCURACY or (isinstance(quantity, Column) and quantity.metric == "auc"):
            continue
        name = Column("all", "advantage") if isinstance(quantity, Column) else quantity
        doubled = whole["crl", "adaptive"].changes[name]
        expected = [2 * change.value, 2 * change.low, 2 * change.high]
        assert [doubled.value, doubled.low, doubled.high] == pytest.approx(expected)
        assert doubled.verdict == change.verdict


# --- worst cases ---


def test_a_level_has_the_weaker_levels_attacks(make_results):
    results = make_results(CE, access=ACCESS)
    assert levels(results.index) == {
        "label-only": ("gap",),
        "black-box": ("gap", "entropy", "nn"),
        "white-box": ("gap", "entropy", "nn", "grad-x"),
    }
    infos = [AttackInfo(label=name, access="white-box") for name in ("a", "b")]
    assert levels(results.index.model_copy(update={"attacks": infos})) == {"white-box": ("a", "b")}
    assert levels(results.index.model_copy(update={"attacks": []})) == {"all": ("gap", "entropy", "nn", "grad-x")}


def test_the_worst_case_of_each_level(make_results):
    results = make_results(CE, access=ACCESS, runs=3)
    worst = judged(results)["ce", "adaptive"].worst
    for level, own in levels(results.index).items():
        found = worst[Column(level, "auc")]
        alone = worst_of(placed(results, "ce", *own))
        assert found.case._replace(value=0, high=0) == pytest.approx(alone._replace(value=0, high=0))
        assert found.case.value == pytest.approx(alone.value) or found.case.value > alone.value
        assert found.attack == ("gap" if level == "label-only" else "entropy")
        assert set(SUITES[f"{level}@1"]) - set(own) <= found.missing.keys()
        assert set(found.missing.values()) == {"not in the experiment"}
        assert found.among == f"{len(own)} of {len(own) + len(found.missing)}"
    assert set(worst) == {Column(level, "auc") for level in levels(results.index)}  # 40 records are too few for a TPR


def test_the_worst_case_of_a_level_is_not_below_that_of_a_weaker_one(make_results):
    """A black-box attack as strong as the others makes the correction larger, not the leak smaller."""
    access = {"gap": "label", "a": "black-box", "b": "black-box", "c": "white-box"}
    found = judged(make_results({"auc": dict.fromkeys(access, 0.7)}, access=access, runs=3, records=200))
    worst = found["ce", "adaptive"].worst
    for metric in ("auc", "tpr@1%"):
        label, black, white = (worst[Column(level, metric)].case for level in ("label-only", "black-box", "white-box"))
        assert label.value <= black.value <= white.value
        assert label.high <= black.high <= white.high
    alone = worst_of(placed(make_results({"auc": dict.fromkeys(access, 0.7)}, access=access, runs=3), "ce", *access))
    assert alone.value < worst[Column("label-only", "auc")].case.value  # what the correction alone would say


def test_what_is_missing_is_named(make_results):
    results = make_results(CE | {"auc": CE["auc"] | {"nn": "no features", "grad-x": None}}, CRL, access=ACCESS, runs=3)
    worst = judged(results)["ce", "adaptive"].worst
    found = worst[Column("white-box", "auc")]
    assert dict(list(found.missing.items())[:2]) == {"nn": "no features", "grad-x": "not computed yet"}
    assert set(found.missing) == {*SUITES["white-box@1"]} - {"gap", "entropy"}
    assert found.among == "2 of 15"
    assert found.case == pytest.approx(worst_of(placed(results, "ce", "gap", "entropy")))
    assert set(worst[Column("label-only", "auc")].missing) == {"augmentation-agreement", "noise-agreement"}


def test_a_level_whose_suite_was_run_in_full_lacks_nothing(make_results):
    suite = SUITES["black-box@1"]
    seen = {name: ACCESS.get(name, "black-box") for name in suite}
    variant = {"rmia temperature=1.0": "black-box"}  # stands for `rmia`
    results = make_results(
        {"auc": {**dict.fromkeys(seen.keys() - {"rmia"} | variant.keys(), 0.7)}},
        access={label: level for label, level in (seen | variant).items() if label != "rmia"},
    )
    worst = judged(results)["ce", "adaptive"].worst
    assert (worst[Column("black-box", "auc")].missing, worst[Column("black-box", "auc")].among) == ({}, "13")
    assert worst[Column("label-only", "auc")].among == "1 of 3"


def test_an_attack_on_few_records_is_among_those_of_an_auc_and_missing_for_a_low_rate(make_results, dear):
    made = make_results({"auc": {"entropy": 0.7, "nn": 0.9}}, runs=3, records=200)
    worst = judged(dear(made, slice(160, 240)))["ce", "adaptive"].worst
    auc, tpr = (worst[Column("all", metric)] for metric in ("auc", "tpr@1%"))
    assert (auc.attack, auc.missing, auc.among) == ("nn", {}, "2")
    assert (tpr.attack, tpr.missing) == ("entropy", {"nn": "too few records for TPR at 1% FPR"})
    assert tpr.among == "1 of 2"


def test_the_metric_asked_for_is_a_column_beside_auc_and_tpr(make_results):
    found = judged(make_results(CE, records=200), metric="tpr@10%")["ce", "adaptive"]
    assert [column.metric for column in found.worst] == ["auc", "tpr@1%", "tpr@10%"]


# --- differences ---


def test_changes_are_paired_with_the_baseline(make_results):
    results = make_results(CE, CRL | {"accuracy": (0.7, 0.8, 0.6)}, access=ACCESS, runs=3)
    changes = judged(results)["crl", "adaptive"].changes
    for attack in ACCESS:
        expected = difference(placed(results, "crl", attack).pick(0), placed(results, "ce", attack).pick(0))
        found = changes[attack]
        assert (found.value, found.low, found.high) == pytest.approx(expected[:3])
        assert (found.runs, found.n_members, found.n_nonmembers) == (3, 40, 40)
    for level, own in levels(results.index).items():
        expected = difference(strongest(placed(results, "crl", *own)), strongest(placed(results, "ce", *own)))
        assert changes[Column(level, "auc")].found[:4] == pytest.approx(expected[:4])
    (mine, members), (theirs, _) = scores(results, "crl"), scores(results, "ce")
    expected = difference(*(accuracy_influences(one[:, ~members]) for one in (mine, theirs)))
    assert changes[ACCURACY].found[:4] == pytest.approx(expected[:4])
    assert changes[ACCURACY].value == pytest.approx(-0.1)


def test_each_side_s_worst_case_is_of_its_own_attacks(make_results):
    results = make_results(CE, CRL | {"auc": CRL["auc"] | {"entropy": "no"}}, runs=3)
    found = judged(results)["crl", "adaptive"].changes[Column("all", "auc")].found
    own, base = ("gap", "nn", "grad-x"), ("gap", "entropy", "nn", "grad-x")
    expected = difference(strongest(placed(results, "crl", *own)), strongest(placed(results, "ce", *base)))
    assert found[:4] == pytest.approx(expected[:4])


def test_only_runs_and_records_of_both_count(make_results):
    crl = {"defense": "crl", "withheld": 10, "auc": {"nn": (0.5, 0.6, None)}}
    found = judged(make_results({"auc": {"nn": (None, 0.9, 0.8)}}, crl, runs=3))["crl", "adaptive"].changes["nn"]
    assert (found.runs, found.n_members, found.n_nonmembers) == (1, 30, 40)


def test_records_are_counted_in_the_run_that_has_fewest(make_results):
    class Short(Results):
        """Run 1 lacks five members and two non-members."""

        def targets(self, cell, attacker=None, attack=None):
            found = super().targets(cell, attacker, attack)
            one = found[1]
            return found | {1: TargetValues(*(part[5:-2] for part in (one.values, one.members, one.labels, one.rows)))}

    made = make_results({}, {"defense": "crl"}, runs=3)
    change = judged(Short(made.index, made.store))["crl", "adaptive"].changes["entropy"]
    assert (change.n_members, change.n_nonmembers, change.runs) == (35, 38, 3)


def test_the_baseline_is_that_of_the_same_attacker_and_site(make_results):
    cells = [{"model": model, "defense": name, "auc": {"nn": auc}} for model, name, auc in (
        ("mlp", "ce", 0.9), ("mlp", "crl", 0.8), ("cnn", "ce", 0.6), ("cnn", "crl", 0.8))]  # fmt: skip
    results = make_results(*cells, attackers=("adaptive", "non-adaptive"))
    summary = summarize(results)
    lines = judge(results, summary).lines
    found = {key[1:]: lines[key].changes["nn"].value for key in lines if lines[key].changes}
    assert found == {
        ("mlp", "adaptive", "crl"): pytest.approx(-0.1),
        ("mlp", "non-adaptive", "crl"): pytest.approx(-0.1),
        ("cnn", "adaptive", "crl"): pytest.approx(0.2),
        ("cnn", "non-adaptive", "crl"): pytest.approx(0.2),
    }


def test_without_a_baseline_there_is_no_change(make_results):
    results = make_results(CRL, runs=3)
    assert judged(results)["crl", "adaptive"].changes == {}
    assert judge(results, summarize(results)).best == frozenset()


# --- verdicts ---


def test_a_family_is_one_column_of_one_site_and_attacker(make_results):
    """Holm's p-values are over the settings of all defenses; not over columns, models or attackers."""
    dmp = {"defense": "dmp", "auc": {"gap": 0.65, "entropy": 0.85}}
    both = [cell | {"model": model} for model in ("mlp", "cnn") for cell in ({"auc": {"entropy": 0.9}}, *MANY, dmp)]
    results = make_results(*both, attackers=("adaptive", "non-adaptive"), runs=3)
    summary = summarize(results)
    lines = judge(results, summary).lines
    families = 0
    for site_key in dict.fromkeys(line.site_key for line in summary.lines):
        own = [lines[line.key] for line in summary.lines if line.site_key == site_key and lines[line.key].changes]
        for quantity in own[0].changes:
            corrected = holm([one.changes[quantity].found.p for one in own])
            assert [one.changes[quantity].verdict.p for one in own] == pytest.approx(list(corrected))
            families += 1
    assert families == 4 * (1 + 2 + 1)  # accuracy, two attacks, the worst case
    assert len(own) == 3


def test_the_order_of_changes_is_kept_and_each_has_its_own_verdict(make_results):
    results = make_results({"auc": {"gap": 0.6, "entropy": 0.9}}, *MANY, runs=3, records=200)
    found = judged(results)
    for label, entropy in (("crl a=0", "lower"), ("crl a=1", "lower")):
        words = {quantity: change.verdict.word for quantity, change in found[label, "adaptive"].changes.items()}
        assert words == {
            ACCURACY: "not distinguishable",
            "gap": "not distinguishable",
            "entropy": entropy,
            Column("all", "auc"): "lower",
            Column("all", "tpr@1%"): words[Column("all", "tpr@1%")],
        }
        assert list(words)[:3] == [ACCURACY, "gap", "entropy"]


@pytest.mark.parametrize(
    ("base", "own", "word", "starred"),
    [(0.9, 0.6, "lower", True), (0.6, 0.9, "higher", False), (0.9, 0.9, "not distinguishable", False)],
)
def test_a_star_only_on_what_is_lower(make_results, base, own, word, starred):
    results = make_results({"auc": {"nn": base}}, {"defense": "crl", "auc": {"nn": own}}, runs=3, records=90)
    summary = summarize(results)
    found = judge(results, summary)
    key = summary.lines[1].key
    assert found.lines[key].changes["nn"].verdict.word == word
    assert ((key, "nn") in found.best) == ((key, Column("all", "auc")) in found.best) == starred


@pytest.mark.parametrize("runs", [1, 2])
def test_below_three_runs_nothing_is_starred_or_called(make_results, runs):
    results = make_results({}, {"defense": "crl", "auc": {"entropy": 0.5}}, runs=runs, records=200)
    summary = summarize(results)
    found = judge(results, summary)
    assert found.best == frozenset()
    changes = found.lines[summary.lines[1].key].changes
    assert changes["entropy"].found.p < 0.05
    assert {change.verdict.word for change in changes.values()} == {"not distinguishable"}


def test_accuracy_is_never_starred(make_results):
    results = make_results({"accuracy": 0.8}, {"defense": "crl", "accuracy": 0.6}, runs=3, records=200)
    summary = summarize(results, max_accuracy_loss=50)
    found = judge(results, summary)
    assert found.lines[summary.lines[1].key].changes[ACCURACY].verdict.word == "lower"
    assert all(quantity != ACCURACY for _, quantity in found.best)


def test_the_lowest_worst_case_is_starred_by_its_corrected_value(make_results):
    results = make_results({"auc": {"gap": 0.6, "entropy": 0.95}}, *MANY, runs=3, records=200)
    summary = summarize(results)
    found = judge(results, summary)
    stars = {key.label for key, quantity in found.best if quantity == Column("all", "auc")}
    value = {key.label: one.worst[Column("all", "auc")].case.value for key, one in found.lines.items()}
    assert stars == {"crl a=0"}
    assert value["crl a=0"] < value["crl a=1"]


# --- a pool ---


def test_in_a_pool_each_run_counts_with_its_own_members(make_results):
    results = make_results(CE, CRL | {"auc": {"entropy": 0.6}}, pool=True, runs=6, records=60)
    ce, crl = (judged(results)[name, "adaptive"] for name in ("ce", "crl"))
    targets = results.targets(results.index.cells[0], "adaptive", "entropy")
    assert len({one.members.tobytes() for one in targets.values()}) == 6
    assert ce.attacks["entropy"].value == pytest.approx(0.9)
    assert ce.attacks["entropy"].low < 0.9 < ce.attacks["entropy"].high
    assert crl.changes["entropy"].value == pytest.approx(-0.3)
    assert crl.changes["entropy"].verdict.word == "lower"
    assert (crl.changes["entropy"].runs, crl.changes["entropy"].n_members) == (6, 60)
    assert ce.worst[Column("all", "auc")].attack == "entropy"


def test_in_a_pool_a_withheld_record_is_neither_member_nor_not(make_results):
    results = make_results({}, {"defense": "crl", "withheld": 10}, pool=True, runs=6, records=60)
    change = judged(results)["crl", "adaptive"].changes["entropy"]
    assert (change.n_members, change.n_nonmembers) == (50, 60)


# --- reading ---


def test_scores_are_read_once_for_all_metrics_that_rank(make_results, monkeypatch):
    results = make_results(CE, records=200)
    summary = summarize(results)
    line, read = Stored(results, summary, summary.lines[0]), []
    targets = type(results).targets
    monkeypatch.setattr(type(results), "targets", lambda *given: read.append(given) or targets(*given))
    assert line.attack("nn", "auc") is line.attack("nn", "tpr@1%")
    assert line.attack("nn", "far") is not line.attack("nn", "auc")
    assert len(read) == 1


def test_whoever_asks_after_the_judge_reads_nothing_again(make_results, monkeypatch):
    cells = [{"defense": name, "auc": {"gap": 0.6, "entropy": 0.7}} for name in ("ce", "crl", "dmp")]
    results = make_results(*cells, attackers=("adaptive", "non-adaptive"), runs=3)
    summary = summarize(results)
    found = judge(results, summary)
    monkeypatch.setattr(type(results), "targets", lambda *given: pytest.fail("it is read again"))
    assert len(list(recommend(results, summary, found, 100.0))) == 2
    assert duels(results, summary, found)
    assert adaptivity_gaps(results, summary)


def test_without_room_for_what_is_kept_numbers_are_the_same(make_results):
    results = make_results(CE, CRL, access=ACCESS, runs=3)
    whole = judge(results, summarize(results)).lines
    poor = type(results)(results.index, results.store)
    poor.__dict__["kept"] = Kept(0)
    assert judge(poor, summarize(poor)).lines == whole


def test_records_in_any_order_make_the_same_numbers(make_results):
    class Mixed(Results):
        """The records of each target in another order."""

        def targets(self, cell, attacker=None, attack=None):
            found = super().targets(cell, attacker, attack)
            return {
                run: TargetValues(*(part[np.random.default_rng(run).permutation(len(one.rows))] for part in parts))
                for run, one in found.items()
                for parts in [(one.values, one.members, one.labels, one.rows)]
            }

    made = make_results(CE, CRL, access=ACCESS, runs=3)
    first, mixed = (judge(one, summarize(one)).lines for one in (made, Mixed(made.index, made.store)))
    for key, evidence in first.items():
        assert mixed[key].attacks == evidence.attacks
        assert [one.case for one in mixed[key].worst.values()] == [one.case for one in evidence.worst.values()]


def test_a_change_keeps_the_interval_of_itself_alone(make_results):
    """Holm's correction changes the verdict, never the interval."""
    alone = make_results({"dataset": "b"}, MANY[0] | {"dataset": "b"}, runs=3)
    found = judged(alone)["crl a=0", "adaptive"].changes["entropy"]
    among = judged(make_results({}, *MANY, {"defense": "dmp"}, runs=3))["crl a=0", "adaptive"].changes["entropy"]
    assert (among.low, among.high) == pytest.approx((found.low, found.high))
    assert among.verdict.p > found.verdict.p
