"""Attacks that compare with reference models, on answers that were made elsewhere."""

import tracemalloc
import zipfile

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from miabench import UserError, create_attack
from miabench.auditing.audit import Others, audit
from miabench.auditing.references import ReferenceFiles, read_references, reference_files
from miabench.metrics import auc
from miabench.plugins.attack import Logits, Observed
from miabench.plugins.probes import LogOdds, TrueProbability

K, MEMBERS, NONMEMBERS, C = 6, 60, 50, 3
N = MEMBERS + NONMEMBERS
ATTACKS = ("attack-r", "base", "calibrated", "lira", "rmia")


def some_models():
    """Logits of a target and of K references (K, N, C): a record trained on is answered surer; labels, the mask."""
    rng = np.random.default_rng(0)
    labels = rng.integers(C, size=N)
    mask = rng.random((K, N)) < 0.5
    right = np.eye(C)[labels]
    ease = rng.normal(size=(N, 1))
    target = rng.normal(size=(N, C)) * 0.3 + (2 + ease + (np.arange(N) < MEMBERS)[:, None]) * right
    references = rng.normal(size=(K, N, C)) * 0.3 + (2 + ease + mask[..., None]) * right
    return target, references, labels, mask


@pytest.fixture
def files(tmp_path):
    """Write the models' answers, changed or not, and give what `audit` takes."""

    def written(form="logits", references=None, member=None, answers_name=None):
        target, others, labels, mask = some_models()
        shown = (lambda z: z) if form == "logits" else (lambda z: softmax(z, axis=-1))
        np.savez(tmp_path / "m.npz", **{form: shown(target[:MEMBERS]), "labels": labels[:MEMBERS]})
        np.savez(tmp_path / "n.npz", **{form: shown(target[MEMBERS:]), "labels": labels[MEMBERS:]})
        given = shown(others) if references is None else references
        np.savez(tmp_path / "refs.npz", **{answers_name or form: given})
        np.savez(tmp_path / "mask.npz", member=mask if member is None else member)
        return tmp_path / "m.npz", tmp_path / "n.npz", tmp_path / "refs.npz", tmp_path / "mask.npz"

    return written


def audited(paths, mask=True):
    return audit(paths[0], paths[1], Others(references=ReferenceFiles(paths[2], paths[3] if mask else None)))


def loss(logits, labels):
    return -log_softmax(logits, axis=-1)[..., np.arange(N), labels]


def value(found, attack, column="value"):
    rows = found.table[(found.table["attack"] == attack) & (found.table["metric"] == "auc")]
    return rows.iloc[0][column]


def test_difficulty_calibration_by_hand(files):
    """The mean loss of the references that did not train on the record, minus the target's."""
    target, others, labels, mask = some_models()
    found = audited(files())
    losses = loss(others, labels)
    expected = [losses[~mask[:, i], i].mean() if (~mask[:, i]).any() else np.nan for i in range(N)]
    whole = np.isfinite(expected)
    assert whole.sum() >= N - 5
    scores = found.scores["calibrated"][whole]
    np.testing.assert_allclose(scores, (expected - loss(target, labels))[whole], rtol=1e-9)
    assert value(found, "calibrated") == auc(found.scores["calibrated"], np.arange(N) < MEMBERS).value


def test_online_base_by_hand(files):
    target, others, labels, mask = some_models()
    p, own = np.exp(-loss(others, labels)), -loss(target, labels)
    scores = audited(files()).scores["base"]
    both = mask.any(0) & ~mask.all(0)
    assert both.sum() >= N - 10
    for i in np.flatnonzero(both):
        average = (p[mask[:, i], i].mean() + p[~mask[:, i], i].mean()) / 2
        assert scores[i] == pytest.approx(own[i] - np.log(average), rel=1e-9)


def test_offline_base_by_hand_where_there_is_no_mask(files):
    target, others, labels, _ = some_models()
    found = audited(files(), mask=False)
    expected = -loss(target, labels) - 0.33 * np.log(np.exp(-loss(others, labels)).mean(0))
    np.testing.assert_allclose(found.scores["base"], expected, rtol=1e-9)
    (note,) = found.notes
    assert note.startswith("6 reference models, taken to have trained on none of the records: attacks run in their off")


def test_every_attack_scores_as_it_does_on_what_was_observed(files):
    """The same attacks, on references put together here."""
    target, others, labels, mask = some_models()
    found = audited(files())
    for name in ATTACKS:
        attack = create_attack(name)
        (probe,) = attack.probes()
        seen = Observed(
            labels,
            None,
            C,
            {probe: probe.derive(target, labels)},
            {probe: np.stack([probe.derive(one, labels) for one in others])},
            mask,
            ~mask,
        )
        np.testing.assert_allclose(found.scores[name], attack.score(seen, {}), rtol=1e-9, err_msg=name)
        assert value(found, name, "low") > 0.5
    assert found.references == K


def test_probabilities_score_as_the_logits_they_came_from(files):
    scores = [audited(files(form)).scores for form in ("logits", "probabilities")]
    for name in ATTACKS:
        np.testing.assert_allclose(scores[0][name], scores[1][name], rtol=1e-5, err_msg=name)


def test_thresholds_are_not_learnt_on_shadows_that_no_reference_answered(files):
    paths = files()
    target, _, labels, _ = some_models()
    shadow = [paths[0].with_name(f"s{i}.npz") for i in range(2)]
    for i, path in enumerate(shadow):
        np.savez(path, logits=target[i::2] + 0.1, labels=labels[i::2])
    found = audit(paths[0], paths[1], Others(shadow[:1], shadow[1:], ReferenceFiles(*paths[2:])))
    rows = found.table.set_index(["attack", "metric"])
    assert rows.loc[("lira", "balanced_accuracy"), "reason"].startswith("what it learns on shadow models needs the ref")
    assert rows.loc[("lira", "auc"), "value"] > 0.5
    assert rows.loc[("confidence", "balanced_accuracy"), "value"] > 0.5


def test_records_that_lack_a_kind_are_counted(files):
    mask = some_models()[3]
    mask[:, :7] = True
    mask[:, 60:65] = False
    lacking = (mask.all(0) | ~mask.any(0)).sum()
    assert lacking >= 12
    (note,) = audited(files(member=mask)).notes
    assert f"; {lacking} records lack one of the two kinds" in note
    assert f"on average {mask.sum(0).mean():.1f} that trained on a record" in note


def test_without_references_the_attacks_say_what_to_give(files):
    paths = files()
    found = audit(*paths[:2])
    for name in ATTACKS:
        assert value(found, name, "reason").endswith("to the same records: give --reference-answers")
        assert name not in found.scores


def test_two_classes_of_which_one_is_given(tmp_path):
    """P(y = 1) alone, of the target (N,) and of the references (K, N)."""
    rng = np.random.default_rng(0)
    p, labels = rng.random((4, 40)), rng.integers(2, size=40)
    for name, column, y in (("m", p[0, :20], labels[:20]), ("n", p[0, 20:], labels[20:])):
        np.savez(tmp_path / f"{name}.npz", probabilities=column, labels=y)
    np.savez(tmp_path / "refs.npz", probabilities=p[1:])
    found = audited((tmp_path / "m.npz", tmp_path / "n.npz", tmp_path / "refs.npz"), mask=False)
    own = np.where(labels == 1, p, 1 - p)
    expected = -np.log(own[1:]).mean(0) + np.log(own[0])
    np.testing.assert_allclose(found.scores["calibrated"], expected, rtol=1e-9)


@pytest.mark.parametrize(
    "save",
    [
        lambda path, z: np.savez_compressed(path, logits=z),
        lambda path, z: np.savez(path, logits=np.asfortranarray(z)),
        lambda path, z: np.savez(path, logits=z.astype(">f8")),
        lambda path, z: np.savez(path, z),
    ],
    ids=["compressed", "fortran", "big-endian", "one array of any name"],
)
def test_however_the_array_is_stored(files, save):
    paths, (target, others, labels, _) = files(), some_models()
    save(paths[2], others)
    seen = Observed(labels, np.arange(N) < MEMBERS, C, {Logits(): target}, {})
    found = read_references(ReferenceFiles(paths[2], paths[3]), seen, "logits", [])
    np.testing.assert_array_equal(found.answers[LogOdds()], [LogOdds().derive(one, labels) for one in others])


# --- what is wrong with the files ---


def refused(paths, message, mask=True):
    with pytest.raises(UserError) as error:
        audited(paths, mask)
    assert str(error.value).startswith(message.format(refs=paths[2], mask=paths[3])), str(error.value)


def test_a_reference_that_is_the_target(files):
    target, others, _, _ = some_models()
    others[4] = target
    refused(files(references=others), "{refs}: reference 4 answers as the target itself does on every record; referenc")


def test_a_reference_that_is_the_target_but_for_rounding_and_a_shift(files):
    """Its logarithms of probabilities, in float32: the same answers in another form."""
    target, others, _, _ = some_models()
    others[4] = log_softmax(target, axis=1).astype(np.float32)
    refused(files(references=others), "{refs}: reference 4 answers as the target itself does on every record; referenc")


def test_a_reference_given_twice(files):
    others = some_models()[1]
    others[5] = others[2]
    refused(files(references=others), "{refs}: reference 5 answers as reference 2 again does on every record; referenc")


def test_a_reference_that_differs_in_one_record_is_another_model(files):
    target, others, _, _ = some_models()
    others[4] = target
    others[4, 0] = others[3, 0]
    assert audited(files(references=others)).references == K


WRONG = {
    "another shape": (lambda z: z[:, :-1], "{refs} has shape (K, 109, 3); expected (K, 110, 3): K reference models on"),
    "other classes": (lambda z: z[..., :2], "{refs} has shape (K, 110, 2); expected (K, 110, 3)"),
    "one model": (lambda z: z[0], "{refs} has shape (K, 3); expected (K, 110, 3)"),
    "none": (lambda z: z[:0], "{refs}: logits has shape (0, 110, 3): it holds no reference model; give one or more"),
    "text": (lambda z: z.astype(str), "{refs}: logits has type <U32 and shape (6, 110, 3); expected numbers"),
    "NaN": (lambda z: np.where(z == z[1, 7, 2], np.nan, z), "{refs}, reference 1, record 7 (from 0): logits holds nan"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_answers(files, case):
    change, message = WRONG[case]
    refused(files(references=change(some_models()[1])), message)


def test_answers_in_another_form(files):
    p = softmax(some_models()[1], axis=-1)
    refused(files(references=p, answers_name="probabilities"), "{refs} holds probabilities, the target's files logits")


def test_wrong_probabilities(files):
    p = softmax(some_models()[1], axis=-1)
    p[3, 8] *= 1.1
    refused(
        files("probabilities", references=p), "{refs}, reference 3, record 8 (from 0): the probabilities sum to 1.1"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:, :-1], "{mask}: member has shape (6, 109); expected (6, 110), a row for each reference model"),
        (lambda m: m[:-1], "{mask}: member has shape (5, 110); expected (6, 110), a row for each reference model"),
        (lambda m: m + 1, "{mask}: member has type int64; expected booleans, or the numbers 0 and 1"),
        (lambda m: m | True, "{mask}: every reference trained on every record: attacks compare with models that did"),
        (lambda m: m.astype(str), "{mask}: member has type <U5; expected booleans, or the numbers 0 and 1"),
    ],
)
def test_a_wrong_mask(files, change, message):
    refused(files(member=change(some_models()[3])), message)


def test_files_that_cannot_be_read(files):
    paths = files()
    paths[3].unlink()
    refused(paths, "cannot read {mask}: No such file")
    paths = files()
    content = paths[2].read_bytes()
    paths[2].write_bytes(content[: len(content) // 2])
    refused(paths, "{refs} is not an npz file of plain arrays")
    with zipfile.ZipFile(paths[2], "w") as archive:
        archive.writestr("logits.npy", b"\x93NUMPY\x01\x00")
    refused(paths, "{refs} is not an npz file of plain arrays")
    np.savez(paths[2], a=np.zeros(3), b=np.zeros(3))
    refused(paths, "{refs} has no array 'logits'. Known: a, b")


def test_a_mask_without_answers():
    with pytest.raises(UserError, match=r"mask.npz says which reference trained on which record: give --reference-ans"):
        reference_files(None, "mask.npz")


# --- what looks wrong with them ---


def test_a_copy_of_the_target_with_three_decimals_is_doubted(files):
    target, others, *_ = some_models()
    p = softmax(target, axis=-1).round(3).clip(1e-6)
    twin = np.log(p / p.sum(-1, keepdims=True))
    doubt = "reference 6 does not differ from the target on any record but by rounding"
    mask = np.concatenate([some_models()[3], some_models()[3][:1]])
    assert any(doubt in one for one in audited(files(references=[*others, twin], member=mask)).warnings)
    assert not any("but by rounding" in one for one in audited(files()).warnings)


def test_a_mask_the_wrong_way_round(files):
    said = audited(files(member=~some_models()[3])).warnings[-1]
    assert said.endswith("is --reference-member the wrong way round?")


def test_references_that_trained_on_members_though_nobody_says_so(files):
    target, others, _, _ = some_models()
    others[2] = target + np.random.default_rng(1).normal(size=target.shape) * 0.1
    said = audited(files(references=others), mask=False).warnings[-1]
    assert said.startswith("reference 2 does not treat members and non-members of the target alike")


def test_references_that_trained_on_the_members_as_is_said(files):
    """Of whom the target's members are surer too."""
    target, others, _, mask = some_models()
    others[2] = target + np.random.default_rng(1).normal(size=target.shape) * 0.1
    mask[2] = np.arange(N) < MEMBERS
    assert len(audited(files(references=others, member=mask)).warnings) == 1


def test_references_in_another_order(files):
    others = some_models()[1][:, np.random.default_rng(0).permutation(N)]
    said = audited(files(references=others)).warnings[-1]
    assert said.startswith("references 0, 1, 2, 3, 4, ... do not classify the records better than chance")


def test_nothing_is_said_where_nothing_is_wrong(files):
    assert len(audited(files()).warnings) == 1
    assert len(audited(files(), mask=False).warnings) == 1


# --- memory ---


def test_one_models_outputs_are_held_at_a_time(tmp_path):
    """Of 64 models, what is kept is a number a probe, a model and a record."""
    k, n, c = 64, 500, 100
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "refs.npz", logits=rng.normal(size=(k, n, c)).astype(np.float32))
    labels = rng.integers(c, size=n)
    target = Observed(labels, np.arange(n) < 250, c, {Logits(): rng.normal(size=(n, c))}, {})
    tracemalloc.start()
    found = read_references(ReferenceFiles(tmp_path / "refs.npz"), target, "logits", [TrueProbability(temperature=2)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {probe: array.shape for probe, array in found.answers.items()} == {
        LogOdds(): (k, n),
        TrueProbability(temperature=2): (k, n),
    }
    kept = sum(array.nbytes for array in found.answers.values())
    assert peak < 3 * kept + 12 * n * c * 8
    assert peak < k * n * c * 4  # far below the outputs themselves, even as they are stored
