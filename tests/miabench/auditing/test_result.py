"""What an audit found, in words and as a file."""

import json

import numpy as np
import pandas as pd
import pytest

from miabench import Audit, UserError
from miabench.auditing.audit import audit
from miabench.auditing.verdict import verdict
from miabench.metrics import auc, tpr_at_fpr

MEMBER = np.arange(400) < 200


@pytest.fixture
def found(tmp_path):
    rng = np.random.default_rng(0)
    for name, sharpness in (("m", 3), ("n", 1)):
        labels = rng.integers(3, size=50)
        logits = rng.normal(size=(50, 3)) + sharpness * np.eye(3)[labels]
        np.savez(tmp_path / f"{name}.npz", logits=logits, labels=labels)
    return audit(tmp_path / "m.npz", tmp_path / "n.npz")


def noise(seed, lean=0.0):
    return np.random.default_rng(seed).normal(size=400) + lean * MEMBER


# --- the verdict ---


def test_members_that_can_be_told():
    said = verdict({"weak": noise(0), "strong": noise(1, 2.0)}, MEMBER)
    assert said.startswith(
        "members can be told from non-members: the strongest of 2 attacks, whichever it is, ranks a "
    )
    assert "; at 1% false alarms the strongest finds " in said
    assert "of members, corrected for choosing it (here strong; alone " in said


def test_members_that_were_not_told():
    said = verdict({"one": noise(0), "other": noise(1)}, MEMBER)
    assert said.startswith("members were not told from non-members: ")
    assert said.endswith("and the interval holds 50; stronger attacks may find more")


def test_a_few_members_that_can_be_told_for_sure():
    """The rank of most says nothing: the AUC is a guess, its TPR at 1% FPR is not."""
    scores = noise(0)
    scores[:30] += 20
    scores[30:200] -= 0.45
    assert auc(scores, MEMBER).low < 0.5
    said = verdict({"few": scores}, MEMBER)
    assert said.startswith("members can be told from non-members: few ranks ")
    assert "; at 1% false alarms few finds " in said
    assert said.endswith("] of members")


def test_members_ranked_below():
    said = verdict({"turned": noise(0, -2.0), "weak": noise(1)}, MEMBER)
    assert said.startswith("members can be told from non-members, but the wrong way round: turned ranks a member above")
    assert f"in {100 * auc(noise(0, -2.0), MEMBER).value:.1f}% [" in said


def test_one_attack_has_its_own_interval_and_several_a_wider_one():
    one = auc(noise(1, 1.0), MEMBER)
    assert f"{100 * one.value:.1f}% [{100 * one.low:.1f}, {100 * one.high:.1f}]" in verdict(
        {"a": noise(1, 1.0)}, MEMBER
    )
    several = verdict({"a": noise(1, 1.0), "b": noise(2, 1.0), "c": noise(3, 1.0)}, MEMBER)
    assert f"{100 * one.value:.1f}% [" not in several


def test_what_is_corrected_is_no_single_attack_s_number():
    """Beside it stands whose choice it was, with what the table says of that attack, of the AUC and of the TPR."""
    broad, sure = noise(1, 1.5), np.where(np.arange(400) < 100, 30.0, noise(2))
    aucs = {name: auc(one, MEMBER).value for name, one in (("broad", broad), ("sure", sure))}
    assert aucs["broad"] > aucs["sure"], "the two numbers are those of different attacks"
    said, at = verdict({"broad": broad, "sure": sure}, MEMBER).split("; at 1% false alarms the strongest finds ")
    assert said.endswith(f"(50 is guessing), corrected for choosing it (here broad; alone {100 * aucs['broad']:.1f}%)")
    alone = 100 * tpr_at_fpr(sure, MEMBER, 0.01).value
    assert at.endswith(f"] of members, corrected for choosing it (here sure; alone {alone:.1f}%)")


def test_attacks_that_scored_a_part_of_the_records_stay_out():
    part = np.where(np.arange(400) % 2, noise(0, 9.0), np.nan)
    assert verdict({"part": part, "whole": noise(1)}, MEMBER).startswith(
        "members were not told from non-members: whole"
    )
    assert verdict({"part": part, "a": noise(1), "b": noise(2)}, MEMBER).startswith(
        "members were not told from non-members: the strongest of 2 attacks that scored every record, whichever it is,"
    )
    assert verdict({"part": part}, MEMBER) == "nothing can be said: no attack could be run"


# --- the object ---


def test_the_summary(found):
    lines = found.summary().splitlines()
    assert repr(found) == str(found) == found.summary(), "what a notebook shows"
    assert lines[0] == found.verdict
    aucs = found.table[(found.table["metric"] == "auc") & found.table["value"].notna()]
    assert len(lines) == 1 + len(aucs) + len(found.warnings)
    shown = [float(line.split("AUC")[1].split("[")[0]) for line in lines[1 : 1 + len(aucs)]]
    assert shown == sorted(shown, reverse=True)
    assert max(shown) == pytest.approx(100 * aucs["value"].max(), abs=0.005)
    assert lines[-1] == f"warning: {found.warnings[0]}"


def test_the_table_is_a_copy(found):
    table = found.to_dataframe()
    table["value"] = 0.0
    assert found.table["value"].max() > 0.5


def test_saved_and_loaded(found, tmp_path):
    found.save(tmp_path / "audit.npz")
    again = Audit.load(tmp_path / "audit.npz")
    pd.testing.assert_frame_equal(again.table, found.table)
    for name in ("num_classes", "shadows", "references", "verdict", "notes", "warnings"):
        assert getattr(again, name) == getattr(found, name)
    np.testing.assert_array_equal(again.member, found.member)
    assert again.scores.keys() == found.scores.keys()
    for name, scores in found.scores.items():
        np.testing.assert_array_equal(again.scores[name], scores)
    assert again.summary() == found.summary()


def test_what_is_saved_is_plain(found, tmp_path):
    """NumPy reads it without unpickling, JSON the rest."""
    found.save(tmp_path / "audit.npz")
    with np.load(tmp_path / "audit.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert json.loads(str(arrays["about"]))["verdict"] == found.verdict
    np.testing.assert_array_equal(arrays["scores/confidence"], found.scores["confidence"])


@pytest.mark.parametrize("about", [None, "[]", "{", '{"rows": 3}', '{"rows": [], "other": 1}'])
def test_files_that_are_no_saved_audit(tmp_path, about):
    path = tmp_path / "other.npz"
    np.savez(path, member=MEMBER, **({} if about is None else {"about": np.array(about)}))
    with pytest.raises(UserError, match=r"other.npz is not a saved audit"):
        Audit.load(path)


def test_files_that_cannot_be_loaded(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none.npz"):
        Audit.load(tmp_path / "none.npz")
    (tmp_path / "a.npz").write_text("junk")
    with pytest.raises(UserError, match=r"a.npz is not an npz file of plain arrays"):
        Audit.load(tmp_path / "a.npz")
