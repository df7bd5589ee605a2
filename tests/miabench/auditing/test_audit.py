"""Attacks on predictions from files, and what is said about files that cannot be attacked."""

import gzip
import io
import json
import re
import runpy
import shlex
import zipfile
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from miabench.attacks import _toolbox
from scipy.special import softmax
from scipy.stats import rankdata

import miabench.auditing.audit
from miabench import UserError, create_attack
from miabench.auditing.audit import Others, audit
from miabench.auditing.predictions import read_predictions
from miabench.evaluation.measure import ATTACK_METRICS
from miabench.metrics import balanced_accuracy, per_class_thresholds
from miabench.plugins.attack import Logits, Observed
from miabench.plugins.discover import discover
from miabench.reports.audit_table import show, to_json, write
from miabench.reports.tables.terminal_layout import open_console

PLUGINS = Path(__file__).parents[2] / "plugins"
GUIDE = Path(__file__).parents[3] / "docs" / "audit-your-own-predictions.md"
NOT_NN = ["confidence", "entropy", "loss", "m-entropy"]


def some(n=40, num_classes=3, sharpness=1.0, seed=0):
    """Logits that lean to the label, and features that say nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=n)
    logits = rng.normal(size=(n, num_classes)) + sharpness * np.eye(num_classes)[labels]
    return {"logits": logits, "labels": labels, "features": rng.normal(size=(n, 4))}


def as_probabilities(arrays):
    return {"probabilities": softmax(arrays["logits"], axis=1)} | {k: v for k, v in arrays.items() if k != "logits"}


@pytest.fixture
def save(tmp_path):
    """Write an npz or a CSV and give its path."""

    def save(name, arrays):
        path = tmp_path / name
        if path.suffix == ".npz":
            np.savez(path, **arrays)
            return path
        columns = {f"p{i}": column for i, column in enumerate(arrays["probabilities"].T)}
        columns |= {f"f{i}": column for i, column in enumerate(arrays.get("features", np.empty((0, 0))).T)}
        pd.DataFrame(columns | {"label": arrays["labels"]}).to_csv(path, index=False)
        return path

    return save


@pytest.fixture
def target(save):
    return save("m.npz", some(60, sharpness=3, seed=1)), save("n.npz", some(50, sharpness=1, seed=2))


@pytest.fixture
def shadows(save):
    files = [
        [save(f"{k}{i}.npz", some(60, sharpness=s, seed=10 * s + i)) for i in (1, 2)] for k, s in (("m", 3), ("n", 1))
    ]
    return tuple(files)


def value(found, attack, metric, column="value"):
    rows = found.table[(found.table["attack"] == attack) & (found.table["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0][column]


def text(found):
    console = open_console(io.StringIO())
    show(console, found)
    return re.sub(r"\s+", " ", console.file.getvalue())


# --- probabilities as logits ---


def log_probabilities(golden, save):
    arrays = golden("c_metric_attacks").arrays
    path = save("golden.npz", {"probabilities": arrays["probs"], "labels": arrays["labels"]})
    given = read_predictions(path)
    seen = Observed(given.labels, None, given.logits.shape[1], {Logits(): given.logits}, {})
    return seen, arrays


def test_entropy_of_log_probabilities_equals_the_reference_everywhere(golden, save):
    seen, arrays = log_probabilities(golden, save)
    assert (arrays["probs"] == 0).any()
    scores = create_attack("entropy").score(seen, {})
    np.testing.assert_allclose(-scores, arrays["entropy"], rtol=1e-12, atol=1e-14)


def test_modified_entropy_of_log_probabilities_equals_the_reference_where_that_keeps_its_digits(golden, save):
    seen, arrays = log_probabilities(golden, save)
    p, y = arrays["probs"], arrays["labels"]
    scores = -create_attack("m-entropy").score(seen, {})
    keeps = (p.argmax(1) == y) | (p.max(1) < 1 - 1e-5)
    assert keeps.sum() >= 40
    assert (p[keeps] == 0).any()
    np.testing.assert_allclose(scores[keeps], arrays["mentropy"][keeps], rtol=1e-12, atol=1e-14)


def test_modified_entropy_of_log_probabilities_is_exact_where_the_reference_subtracts_its_digits_away(golden, save):
    seen, arrays = log_probabilities(golden, save)
    p, y = arrays["probs"], arrays["labels"]
    scores = -create_attack("m-entropy").score(seen, {})
    lost = np.flatnonzero(np.abs(scores / np.maximum(arrays["mentropy"], 1e-300) - 1) > 1e-6)
    lost = [row for row in lost if arrays["mentropy"][row] > 1]
    assert len(lost) >= 6
    for row in lost:
        assert p[row].argmax() != y[row]
        assert scores[row] == pytest.approx(exact_modified_entropy(p[row], y[row]), rel=1e-12)


def exact_modified_entropy(p, y):
    """With 100 digits, from probabilities of which zeros count as 1e-30."""
    with localcontext() as context:
        context.prec = 100
        p = [max(Decimal(float(value)), Decimal("1e-30")) for value in p]
        p = [value / sum(p) for value in p]
        rest = [sum(p[:i] + p[i + 1 :]) for i in range(len(p))]
        return float(-rest[y] * p[y].ln() - sum(p[i] * rest[i].ln() for i in range(len(p)) if i != y))


@pytest.mark.parametrize("name", ["thr0", "thr1"])
@pytest.mark.parametrize("method", ["entropy", "mentropy"])
def test_the_auc_equals_the_reference(golden, save, name, method):
    vectors = golden("c_metric_attacks")
    files = [
        save(
            f"{part}.npz",
            {
                "probabilities": vectors.arrays[f"{name}.t_{part}.probs"],
                "labels": vectors.arrays[f"{name}.t_{part}.labels"],
            },
        )
        for part in ("tr", "te")
    ]
    expected = vectors.json["threshold_sets"][name]["song_mittal_relaxloss"][method]["auc"]
    attack = {"entropy": "entropy", "mentropy": "m-entropy"}[method]
    assert value(audit(*files), attack, "auc") == pytest.approx(expected, abs=1e-3)  # in float32 some records tie


def test_probabilities_rank_like_the_logits_they_came_from(save):
    arrays = some(50, num_classes=5)
    files = [read_predictions(save(f"{i}.npz", a)) for i, a in enumerate([arrays, as_probabilities(arrays)])]
    for attack in NOT_NN:
        scores = [create_attack(attack).score(Observed(f.labels, None, 5, {Logits(): f.logits}, {}), {}) for f in files]
        np.testing.assert_allclose(*scores, rtol=1e-9)
        np.testing.assert_array_equal(*map(rankdata, scores))


def test_float32_probabilities_that_rounded_to_1_are_not_tied(save):
    p = np.tile(np.array([1, 1e-9, 1e-9], dtype=np.float32), (12, 1))
    p[:, 1] = np.geomspace(1e-9, 1e-20, 12)
    assert (p.sum(1) == 1).all()
    given = read_predictions(save("p.npz", {"probabilities": p, "labels": np.zeros(12, int)}))
    seen = Observed(given.labels, None, 3, {Logits(): given.logits}, {})
    assert (np.diff(create_attack("confidence").score(seen, {})) > 0).all()


# --- values ---


def test_the_gap_by_hand(save):
    right, wrong = [4.0, 0.0], [0.0, 4.0]
    members = {"logits": np.array([right] * 9 + [wrong]), "labels": np.zeros(10, int)}
    others = {"logits": np.array([right] * 6 + [wrong] * 4), "labels": np.zeros(10, int)}
    found = audit(save("m.npz", members), save("n.npz", others))
    for metric in ("auc", "balanced_accuracy", "balanced_accuracy_global"):
        assert value(found, "gap", metric) == pytest.approx(0.5 + (0.9 - 0.6) / 2)
        assert value(found, "gap", metric, "low") < 0.65 < value(found, "gap", metric, "high")
    accuracies = found.table[found.table["attack"].isna()].set_index("metric")["value"]
    assert accuracies.to_dict() == {"train_accuracy": 0.9, "test_accuracy": 0.6}


def test_the_auc_by_hand(save):
    """Ten members of which one has the same answers as all non-members, nine are surer."""
    sure, unsure = [9.0, 0.0], [1.0, 0.0]
    members = {"logits": np.array([sure] * 9 + [unsure]), "labels": np.zeros(10, int)}
    others = {"logits": np.array([unsure] * 10), "labels": np.zeros(10, int)}
    found = audit(save("m.npz", members), save("n.npz", others))
    for attack in NOT_NN:
        assert value(found, attack, "auc") == pytest.approx(0.9 + 0.1 / 2)


def test_without_shadows_what_needs_them_says_so(target):
    found = audit(*target)
    for attack in NOT_NN:
        assert value(found, attack, "auc") > 0.5
        for metric in ("balanced_accuracy", "balanced_accuracy_global"):
            assert np.isnan(value(found, attack, metric))
            assert value(found, attack, metric, "reason").startswith("its thresholds are learnt on shadow models: give")
    for metric in ATTACK_METRICS:
        assert value(found, "nn", metric, "reason").startswith("it learns on shadow models: give --shadow-members")
        assert value(found, "grad-x", metric, "reason") == "it needs the model itself, to ask for LogGradientNorm"
        for attack in ("trajectory", "l-leaks"):
            assert value(found, attack, metric, "reason").startswith(
                "it trains models of its own from the model's answ"
            )
    assert value(found, "entropy", "tpr@1%", "reason") == "needs 100 non-members, has 50"


def test_with_shadows_every_metric_is_there_and_thresholds_are_theirs(target, shadows):
    found = audit(*target, Others(*shadows))
    for attack in [*NOT_NN, "nn"]:
        for metric in ("auc", "balanced_accuracy", "balanced_accuracy_global"):
            assert (
                value(found, attack, metric, "low")
                < value(found, attack, metric)
                < value(found, attack, metric, "high")
            )
    attack = create_attack("confidence")

    def scored(paths):
        files = [read_predictions(path) for path in paths]
        labels = np.concatenate([file.labels for file in files])
        logits = np.concatenate([file.logits for file in files])
        return attack.score(Observed(labels, None, 3, {Logits(): logits}, {}), {}), labels

    scores, labels = scored([*shadows[0], *shadows[1]])
    thresholds = per_class_thresholds(scores, np.arange(240) < 120, labels, 3).thresholds
    scores, labels = scored(target)
    expected = balanced_accuracy(scores >= thresholds[labels], np.arange(110) < 60)
    assert value(found, "confidence", "balanced_accuracy") == expected.value
    assert found.shadows == 2


def test_the_same_files_give_the_same_table(target, shadows):
    pd.testing.assert_frame_equal(audit(*target, Others(*shadows)).table, audit(*target, Others(*shadows)).table)


def test_csv_and_npz_give_the_same_table(save):
    members, others = (as_probabilities(some(40, sharpness=s, seed=s)) for s in (3, 1))
    tables = [
        audit(save(f"m{end}", members), save(f"n{end}", others), Others(features=True)).table
        for end in (".npz", ".csv")
    ]
    pd.testing.assert_frame_equal(*tables)


def test_logits_are_used_where_both_are_there(save):
    arrays = some()
    both = arrays | {"probabilities": np.full((40, 3), 1 / 3)}
    np.testing.assert_array_equal(read_predictions(save("m.npz", both)).logits, arrays["logits"])


def test_columns_in_any_order_and_others_beside_them(save, tmp_path):
    arrays = as_probabilities(some())
    table = pd.read_csv(save("m.csv", arrays))
    table.assign(name="x")[["label", "p2", "name", "p0", "p1"]].to_csv(tmp_path / "mixed.csv")
    read, mixed = read_predictions(tmp_path / "m.csv"), read_predictions(tmp_path / "mixed.csv")
    np.testing.assert_array_equal(read.logits, mixed.logits)
    np.testing.assert_array_equal(read.labels, mixed.labels)


def test_an_attack_sees_no_membership_and_one_that_fails_does_not_end_the_others(target, tmp_path, monkeypatch):
    spy = tmp_path / "spy.py"
    spy.write_text(
        "from miabench import Attack\n"
        "class Spy(Attack, frozen=True):\n"
        "    def score(self, target, state):\n"
        "        raise RuntimeError(f'membership {target.member}, first labels {target.labels[:8].tolist()}')\n"
    )
    peers = tmp_path / "peers.py"
    peers.write_text("from miabench import Attack\nclass Peers(Attack, frozen=True):\n    references = 'out'\n")
    monkeypatch.setattr(miabench.auditing.audit, "discover", lambda: discover([spy, peers, PLUGINS / "margin.py"]))
    found = audit(*target)
    reason = value(found, "spy", "auc", "reason")
    assert "RuntimeError: membership None" in reason
    assert str(read_predictions(target[0]).labels[:8].tolist()) not in reason
    assert value(found, "peers", "auc", "reason").startswith("it compares with other models' answers")
    assert 0 < value(found, "margin", "auc") < 1


def test_classes_that_the_shadows_lack_are_counted(target, save):
    lacking = some(60, seed=7)
    lacking["labels"] = lacking["labels"] % 2
    found = audit(*target, Others([save("s.npz", some(seed=6))], [save("t.npz", lacking)]))
    assert "1 classes lack members or non-members among the shadows" in found.warnings[-1]


# --- without a model ---


def test_a_shift_of_the_features_is_found_and_warned_of(save):
    members, others = some(150, seed=1), some(150, seed=2)
    members["features"][:, 2] += 3
    found = audit(save("m.npz", members), save("n.npz", others), Others(features=True))
    assert value(found, "model-free", "auc", "low") > 0.9
    assert "members and non-members differ: without the model" in found.warnings[1]


def test_a_shift_of_the_labels_is_found(save):
    members, others = some(150, seed=1), some(150, seed=2)
    others["labels"][:] = 0
    found = audit(save("m.npz", members), save("n.npz", others), Others(features=True))
    assert value(found, "model-free", "auc", "low") > 0.5


def test_like_features_are_worth_nothing(save):
    files = [save(f"{i}.npz", some(300, seed=i)) for i in range(2)]
    found = audit(*files, Others(features=True))
    assert value(found, "model-free", "auc", "low") < 0.5
    assert value(found, "model-free", "auc") == pytest.approx(0.5, abs=0.08)
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("members and non-members must come from one distribution")


def test_features_of_any_shape(save):
    arrays = some() | {"features": np.zeros((40, 2, 3, 5))}
    assert read_predictions(save("m.npz", arrays), features=True).features.shape == (40, 30)
    assert read_predictions(save("m.npz", arrays)).features is None


# --- output ---


def test_the_printed_table(target, shadows):
    shown = text(audit(*target, Others(*shadows, features=True)))
    assert shown.startswith("60 members and 50 non-members of 3 classes: each attack, in percent [95% interval]")
    for name in ("gap", "model-free", "grad-x", *NOT_NN, "nn"):
        assert f" {name} " in shown
    assert "gap: the baseline that calls a record a member if it is classified correctly" in shown
    assert "model-free: a classifier that sees features and labels but no model" in shown
    assert "[1] needs 100 non-members, has 50" in shown
    assert "warning: members and non-members must come from one distribution" in shown
    assert "2 shadow models" in shown
    assert "nan" not in shown


def test_the_printed_numbers(save):
    right, wrong = [4.0, 0.0], [0.0, 4.0]
    members = {"logits": np.array([right] * 9 + [wrong]), "labels": np.zeros(10, int)}
    others = {"logits": np.array([right] * 6 + [wrong] * 4), "labels": np.zeros(10, int)}
    shown = text(audit(save("m.npz", members), save("n.npz", others)))
    assert "accuracy on members 90.00, on non-members 60.00; 0 shadow models" in shown
    assert " 65.00 " in shown
    assert "model-free" not in shown


def test_json_and_csv(target, capsys):
    found = audit(*target)
    write(found, "json")
    printed = capsys.readouterr().out
    assert printed == to_json(found)
    read = json.loads(printed)
    assert {key: read[key] for key in ("num_classes", "shadows")} == {"num_classes": 3, "shadows": 0}
    assert read["warnings"] == list(found.warnings)
    assert len(read["rows"]) == len(found.table)
    auc = next(row for row in read["rows"] if row["attack"] == "entropy" and row["metric"] == "auc")
    assert auc["value"] == value(found, "entropy", "auc")
    assert (auc["n_members"], auc["n_nonmembers"], auc["reason"]) == (60, 50, None)
    assert next(row for row in read["rows"] if row["attack"] == "nn")["value"] is None
    write(found, "csv")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "attack,metric,value,low,high,n_members,n_nonmembers,reason"
    assert len(lines) == 1 + len(found.table)
    write(found, "table")
    assert "60 members" in capsys.readouterr().out


# --- what is wrong with a file ---


def changed(**changes):
    return as_probabilities(some()) | changes


def at(arrays, name, index, value):
    arrays[name] = arrays[name].astype(float)
    arrays[name][index] = value
    return arrays


WRONG = {
    "no answers": ({"labels": np.zeros(40)}, "{path} holds neither logits nor probabilities: an npz needs one of them"),
    "three dimensions": (
        changed(probabilities=np.zeros((40, 3, 2))),
        "{path}: probabilities has shape (40, 3, 2); expected (N, C)",
    ),
    "no classes": (changed(probabilities=np.ones((40, 0))), "{path}: probabilities has shape (40, 0); expected (N, C)"),
    "one column of three classes": (
        at(changed(labels=np.zeros(40), probabilities=np.ones(40)), "labels", 7, 2),
        "{path}, row 7 (from 0): label 2; a label is the number of a column, 0 to 1",
    ),
    "text": (changed(probabilities=np.full((40, 3), "a")), "{path}: probabilities has type <U1; expected numbers"),
    "few": (some(9), "{path} holds 9 records; an audit needs 10 members and 10 non-members"),
    "no labels": ({"logits": np.zeros((40, 3))}, "{path} holds no labels: an npz needs an array 'labels'"),
    "fewer labels": (changed(labels=np.zeros(39)), "{path}: labels has shape (39,); expected one label for each of 40"),
    "text labels of too few classes": (
        changed(labels=np.full(40, "cat")),
        "{path}: the outputs have 3 columns, but labels name 1: cat; give labels as numbers of columns, or all",
    ),
    "labels that are no text": (changed(labels=np.zeros(40, complex)), "{path}: labels has type complex128; expected"),
    "large label": (at(changed(), "labels", 7, 3), "{path}, row 7 (from 0): label 3; a label is the number"),
    "negative label": (at(changed(), "labels", 7, -1), "{path}, row 7 (from 0): label -1; a label is"),
    "half label": (at(changed(), "labels", 7, 0.5), "{path}, row 7 (from 0): label 0.5; a label is"),
    "NaN label": (at(changed(), "labels", 7, np.nan), "{path}, row 7 (from 0): labels holds nan; expected"),
    "sum": (
        at(changed(), "probabilities", 5, [0.5, 0.5, 0.01]),
        "{path}, row 5 (from 0): the probabilities sum to 1.01; expected 1 within 0.0015, as 3 classes at three",
    ),
    "negative": (at(changed(), "probabilities", 5, [1.5, -0.5, 0]), "{path}, row 5 (from 0): 1.5 is no probability"),
    "percent": (changed(probabilities=np.full((40, 3), 33.3)), "{path}, row 0 (from 0): 33.3 is no probability; in"),
    "NaN": (at(changed(), "probabilities", (5, 1), np.nan), "{path}, row 5 (from 0): probabilities holds nan"),
    "infinite": (at(some(), "logits", (5, 1), -np.inf), "{path}, row 5 (from 0): logits holds -inf; expected finite"),
    "no features": ({"logits": np.zeros((40, 3)), "labels": np.zeros(40)}, "{path} holds no features: an npz needs"),
    "fewer features": (changed(features=np.zeros((39, 2))), "{path}: features has shape (39, 2); expected (40, ...)"),
    "flat features": (changed(features=np.zeros(40)), "{path}: features has shape (40,); expected (40, ...)"),
    "NaN feature": (at(changed(), "features", (3, 0), np.nan), "{path}, row 3 (from 0): features holds nan"),
    "scalar": (changed(labels=np.nan), "{path}: labels has shape (); expected one label for each of 40"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_npz(save, case):
    arrays, message = WRONG[case]
    path = save("wrong.npz", arrays)
    with pytest.raises(UserError) as error:
        read_predictions(path, features=True)
    assert str(error.value).startswith(message.format(path=path))


def test_a_sum_within_the_tolerance(save):
    arrays = at(changed(), "probabilities", 5, [0.5, 0.4, 0.1009])
    assert len(read_predictions(save("m.npz", arrays)).labels) == 40


def test_a_file_that_is_no_npz(tmp_path):
    path = tmp_path / "m.npz"
    with pytest.raises(UserError, match=r"cannot read .*m.npz: No such file"):
        read_predictions(path)
    path.write_text("p0,p1,label\n")  # what a file is, is told from its content
    with pytest.raises(UserError, match=r"m.npz holds 0 records"):
        read_predictions(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits.npy", b"\x93NUMPY\x01\x00")
    with pytest.raises(UserError, match=r"m.npz is not an npz file of plain arrays"):
        read_predictions(path)
    with path.open("wb") as file:
        np.save(file, np.zeros((20, 2)))
    with pytest.raises(UserError, match=r"m.npz is an .npy file of one array; save arrays by name"):
        read_predictions(path)


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "m.npz"
    np.savez(path, logits=np.array([print] * 20, dtype=object), labels=np.zeros(20))
    with pytest.raises(UserError, match=r"m.npz is not an npz file of plain arrays: Object arrays cannot be loaded"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {path}: No such file or directory"),
        ("", "{path} holds neither logits nor probabilities"),
        ("p0,p1\n1,0\n", "{path} has no column 'label'"),
        ("a,label\n1,0\n", "{path} holds neither logits nor probabilities: an npz needs one of them"),
        ("p0,p1,p3,label\n1,0,0,0\n", "{path} has no column 'p2'. Known: label, p0, p1, p3"),
        ("p0,p0,p1,label\n1,0,0,0\n", "{path} has 2 columns 'p0'"),
        ("p0,p1,label\n" + "1,0,0\n" * 9, "{path} holds 9 records; an audit needs"),
        ("p0,p1,label\n", "{path} holds 0 records; an audit needs"),
        ("p0,p1,label\n" + "1,0,0\n" * 9 + "1,,0\n", "{path}, line 11, column 'p1': an empty cell where a number is"),
        ("p0,p1,label\n" + "1,0,0\n" * 9 + "1,0,cat\n", "{path}, line 11, column 'label': 'cat' where a number is"),
        ("p0,p1,label\n" + "1,0,0\n" * 9 + "\n0.5,0.6,0\n", "{path}, line 12: the probabilities sum to 1.1"),
        ("p0,p1,label\n" + "1,0,0\n" * 9 + "1,0,2\n", "{path}, line 11: label 2; a label is the number of a column"),
        ("p0,p1,label\n" + "1,0,0\n" * 9 + "nan,0,1\n", "{path}, line 11: probabilities holds nan"),
        ("p0,p1,label\n" + "1,0,0\n" * 10, "{path} holds no features: a CSV needs the columns f0, f1, ..."),
    ],
)  # fmt: skip
def test_a_wrong_csv(tmp_path, content, message):
    path = tmp_path / "wrong.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError) as error:
        read_predictions(path, features=True)
    assert str(error.value).startswith(message.format(path=path))


def test_files_that_do_not_fit_each_other(save):
    members = save("m.npz", some())
    with pytest.raises(UserError, match=r"m.npz has 3 classes, .*n.npz 4: all files must have the same classes"):
        audit(members, save("n.npz", some(num_classes=4)))
    with pytest.raises(UserError, match=r"m.npz holds logits, .*n.npz probabilities: all files must hold the same"):
        audit(members, save("n.npz", as_probabilities(some())))
    with pytest.raises(UserError, match=r"m.npz has 4 features, .*n.npz 2: both must have the same features"):
        audit(members, save("n.npz", some() | {"features": np.zeros((40, 2))}), Others(features=True))


def test_all_files_problems_at_once(save, tmp_path):
    wrong = [save(f"{i}.npz", some(9)) for i in range(2)]
    with pytest.raises(UserError) as error:
        audit(*wrong, Others([tmp_path / "none.npz"], [save("n.npz", some())]))
    assert len(error.value.problems) == 3


def test_shadows_come_in_pairs_and_no_file_twice(target, shadows):
    with pytest.raises(UserError, match="2 files of --shadow-members but 1 of --shadow-nonmembers: give one of each"):
        audit(*target, Others(shadows[0], shadows[1][:1]))
    with pytest.raises(UserError, match=r"m.npz is given more than once"):
        audit(target[0], target[0])
    with pytest.raises(UserError, match=r"n.npz is given more than once"):
        audit(*target, Others(shadows[0][:1], [target[1]]))


# --- the guide ---


def test_the_guides_example(tmp_path, monkeypatch):
    """Its script, its command (as the command line reads it), its Python and its network, on scikit-learn's digits."""
    script, command, python, network = re.findall(r"```(?:python|sh)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("predict.py").write_text(script)
    runpy.run_path("predict.py")
    words = shlex.split(command.split("miabench audit")[1].replace("\\\n", " "))
    assert words.pop() == "--features"
    given = {}
    for option, path in zip(words[::2], words[1::2], strict=True):
        given.setdefault(option[2:].replace("-", "_"), []).append(Path(path))
    found = audit(given.pop("members")[0], given.pop("nonmembers")[0], Others(**given))
    assert found.shadows == 2
    assert value(found, "confidence", "auc", "low") > 0.7
    assert value(found, "nn", "auc", "low") > 0.7
    assert value(found, "gap", "auc") < value(found, "confidence", "auc")
    exec(compile(python, "guide", "exec"), {})
    monkeypatch.setattr(_toolbox, "find_spec", lambda name: None)  # its search takes seconds
    exec(compile(network, "guide", "exec"), {})


@pytest.mark.parametrize("between", [";", "\t"])
def test_a_csv_is_told_from_its_content_whatever_its_name(save, tmp_path, between):
    plain = save("m.csv", as_probabilities(some()))
    path = tmp_path / "M.DAT"
    path.write_bytes(gzip.compress(plain.read_text().replace(",", between).encode()))
    np.testing.assert_array_equal(read_predictions(path).logits, read_predictions(plain).logits)


@pytest.mark.parametrize("cell", ["0_5", "\u0660.5"])
def test_a_number_in_python_alone_is_none(tmp_path, cell):
    path = tmp_path / "m.csv"
    path.write_text(f"p0,p1,label\n{cell},0.5,0\n")
    with pytest.raises(UserError, match=r"m.csv, line 2, column 'p0': .* where a number is expected"):
        read_predictions(path)
