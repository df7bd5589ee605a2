"""Every attack that can be run on what an audit has, with its rows and scores, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from miabench import metrics, seeds
from miabench.auditing.network import AuditedNetwork
from miabench.auditing.references import References, derived
from miabench.auditing.result import GAP
from miabench.errors import TrainingError, UserError, text_of
from miabench.evaluation.measure import ATTACK_METRICS, NEED_SHADOWS, Row, measure_attack, measure_ranking, row
from miabench.evaluation.scores import AttackScores, TargetValues
from miabench.evaluation.scoring import members_of, score_hidden, shadow_scores
from miabench.plugins.attack import AnswersName, Attack, Logits, Observed, Probe
from miabench.plugins.discover import PluginInfo
from miabench.plugins.plugin_files import describe

SEED = 0  # of everything random here
SHADOWS = "give --shadow-members and --shadow-nonmembers"
NEEDS_SHADOWS = f"its thresholds are learnt on shadow models: {SHADOWS}"
NOTHING_TO_LEARN_ON = f"it learns on shadow models: {SHADOWS}"
NO_REFERENCES = "it compares with other models' answers to the same records: give --reference-answers"
NO_INSIDE = "it compares with references that trained on the record: give --reference-member"
SHADOWS_LACK_REFERENCES = "what it learns on shadow models needs the references' answers to their records too"
TRAINS = "it trains models of its own from the model's answers, which takes an experiment: miabench run"
SHADOWS_ARE_FILES = "what it learns on shadow models needs these themselves, not their predictions"


@dataclass(frozen=True)
class Subject:
    """What attacks are run on.

    Attributes:
        target: the answers' logits, membership known.
        shadows: of shadow models.
        references: other models' answers to the target's records, if they were given.
        network: the model itself, if it was given.
        listen: hears how many of so many records the network was asked about.
    """

    target: Observed
    shadows: Sequence[Observed] = ()
    references: References | None = None
    network: AuditedNetwork | None = None
    listen: Callable[[int, int], None] = lambda asked, records: None


@dataclass(frozen=True)
class AttackResult:
    """What one attack found: rows of metrics, and scores (N,), or None where it could not be run."""

    rows: Sequence[Row]
    scores: NDArray[np.float64] | None = None


def run_attack(found: PluginInfo[Attack], subject: Subject) -> AttackResult:
    """One attack with its defaults; one that fails does not end the others."""
    try:
        attack = found.build({})
        reason = _why_not(attack, subject)
        if reason is None:
            return _named(found.name, _run(attack, subject))
    except (Exception, SystemExit) as error:
        reason = text_of(error) if isinstance(error, (TrainingError, UserError)) else describe(error)
    member = members_of(subject.target)
    return _named(found.name, AttackResult([row(metric, None, member, reason) for metric in ATTACK_METRICS]))


def run_gap(target: Observed) -> AttackResult:
    """The gap attack: member if classified correctly; its threshold needs no shadows."""
    correct, member = target[Logits()].argmax(1) == target.labels, members_of(target)
    balanced = metrics.balanced_accuracy(correct, member)
    known = {
        "balanced_accuracy": balanced,
        "balanced_accuracy_global": balanced,
        "advantage": metrics.advantage(correct, member),
        "far": metrics.false_positive_rate(correct, member),
    }
    scores = correct.astype(np.float64)
    others = [one for one in _uncalibrated(scores, member, NEEDS_SHADOWS) if one["metric"] not in known]
    return _named(GAP, AttackResult([*others, *(row(name, known[name], member) for name in known)], scores))


def needs_references(attack: Attack) -> bool:
    """Whether an attack compares with references by what follows from their logits."""
    return attack.references != "none" and all(
        probe.of is not None and probe.root == Logits() for probe in attack.probes()
    )


def _named(name: str, result: AttackResult) -> AttackResult:
    return replace(result, rows=[{"attack": name} | one for one in result.rows])


def _why_not(attack: Attack, subject: Subject) -> str | None:
    """Why an attack cannot be run, or None."""
    if attack.requires():
        return TRAINS
    asks = [probe.root for probe in attack.probes() if probe.root != Logits()]
    if subject.network is None:
        if asks:
            return f"it needs the model itself, to ask for {', '.join(type(probe).__name__ for probe in asks)}"
    else:
        reasons = [attack.unsupported("disjoint", subject.network.data, cast(Any, None))]  # there is no Model plugin
        reasons += [subject.network.why_not(probe) for probe in asks]
        if any(reasons):
            return next(filter(None, reasons))
    if attack.references != "none":
        return _without_references(attack, subject)
    return None if type(attack).fit is Attack.fit else _why_no_shadows(attack, subject, NOTHING_TO_LEARN_ON)


def _why_no_shadows(attack: Attack, subject: Subject, none_given: str = NEEDS_SHADOWS) -> str | None:
    """Why nothing can be learnt on the shadow models, or None."""
    if not subject.shadows:
        return none_given
    if attack.references != "none":
        return SHADOWS_LACK_REFERENCES
    return None if all(probe.root == Logits() for probe in attack.probes()) else SHADOWS_ARE_FILES


def _without_references(attack: Attack, subject: Subject) -> str | None:
    if subject.references is None:
        return NO_REFERENCES
    if attack.references == "in+out" and not subject.references.inside.any():
        return NO_INSIDE
    if not needs_references(attack):
        return "it asks for all that references answer; an audit keeps only what follows from their logits"
    return None if type(attack).fit is Attack.fit else SHADOWS_LACK_REFERENCES


def _run(attack: Attack, subject: Subject) -> AttackResult:
    target, rows = _asked(attack, subject)
    why = _why_no_shadows(attack, subject)
    shadows = [] if why else [_with_derived(shadow, attack) for shadow in subject.shadows]
    state = attack.fit(shadows, seeds.generator(SEED, "attack"))
    scores = score_hidden(attack, target, state, SEED)
    values = TargetValues(scores, members_of(target), target.labels, np.arange(len(target)))
    learnt_on = AttackScores(values, shadow_scores(attack, shadows, state), state)
    found = _uncalibrated(scores, values.members, why) if why else measure_attack(learnt_on)
    whole = np.full(len(subject.target), np.nan)
    whole[rows] = scores
    return AttackResult(found, whole)


def _asked(attack: Attack, subject: Subject) -> tuple[Observed, NDArray[np.int64]]:
    """The target with the answers to an attack's probes, and which of its records they are about."""
    target, rows = subject.target, np.arange(len(subject.target))
    if subject.references is not None and attack.references != "none":
        target = subject.references.beside(target, attack.probes())
    if subject.network is None:
        return _with_derived(target, attack), rows
    limits = [probe.root.records for probe in attack.probes() if probe.root.records is not None]
    rows = subject.network.rows(min(limits, default=None))
    target = target.at(rows)
    if attack.inputs:
        target = replace(target, inputs=subject.network.data.x.numpy()[rows])
    answers: dict[AnswersName, NDArray[Any]] = {}
    for probe in attack.probes():
        answers |= _answers(probe, target, rows, subject)
    return replace(target, answers=answers), rows


def _answers(
    probe: Probe, target: Observed, rows: NDArray[np.int64], subject: Subject
) -> dict[AnswersName, NDArray[Any]]:
    if probe.root == Logits():
        return {probe: derived(probe, target[Logits()], target.labels)}
    assert subject.network is not None
    answers = subject.network.answers(probe.root, rows, lambda asked: subject.listen(asked, len(rows)))
    if probe.of is None:
        return answers
    named = {name[1]: array for name, array in answers.items() if isinstance(name, tuple)}
    return {probe: _follow(probe, named or answers[probe.root], target.labels)}


def _follow(probe: Probe, answers: Any, labels: NDArray[np.int64]) -> Any:
    return answers if probe.of is None else probe.derive(_follow(probe.of, answers, labels), labels)


def _with_derived(model: Observed, attack: Attack) -> Observed:
    """The same with the answers to all of an attack's probes, computed from the logits."""
    return replace(model, answers={probe: derived(probe, model[Logits()], model.labels) for probe in attack.probes()})


def _uncalibrated(scores: NDArray[np.float64], member: NDArray[np.bool_], why: str) -> list[Row]:
    """All metrics, those that shadows decide n/a."""
    return [*measure_ranking(scores, member), *(row(name, None, member, why) for name in NEED_SHADOWS)]
