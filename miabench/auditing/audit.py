"""Attacks on a model that was trained elsewhere: on files of its predictions, or on the network itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from miabench.auditing.attacks import AttackResult, Subject, needs_references, run_attack, run_gap
from miabench.auditing.doubts import doubts_of_files, doubts_of_form, doubts_of_model, doubts_of_references
from miabench.auditing.model_free import distribution_warnings, model_free_row
from miabench.auditing.network import AuditedNetwork, import_network
from miabench.auditing.predictions import FEWEST, Predictions, check_paths, differences, read_all
from miabench.auditing.progress import Listener, Step, silent
from miabench.auditing.records import Records, read_records
from miabench.auditing.references import ReferenceFiles, References, read_references
from miabench.auditing.result import COLUMNS, GAP, KINDS, Audit
from miabench.auditing.verdict import verdict
from miabench.errors import UserError
from miabench.evaluation.measure import Row, measure_accuracy
from miabench.evaluation.scoring import members_of
from miabench.jobs.arithmetic import arithmetic
from miabench.jobs.specs import Compute
from miabench.plugins.attack import Attack, Logits, Observed, Probe
from miabench.plugins.discover import PluginInfo, discover

IN_DOUBT = "; something looks wrong with what was given: see the warnings"
SHOWN = 20  # names of classes in a note
SAME_DISTRIBUTION = (
    "members and non-members must come from one distribution, told apart by nothing but training: where they differ "
    "otherwise (in time, source or filtering), every value measures that difference too"
)


@dataclass(frozen=True)
class Others:
    """What else is looked at beside the audited model's answers.

    Attributes:
        shadow_members: predictions of shadow models for their members, a file each; thresholds and learning attacks
            need them.
        shadow_nonmembers: for their non-members, in the same order.
        references: answers of reference models to the audited model's records, which some attacks compare with.
        features: also fit a model-free classifier on the records' features.
    """

    shadow_members: Sequence[Path] = ()
    shadow_nonmembers: Sequence[Path] = ()
    references: ReferenceFiles | None = None
    features: bool = False

    def paths(self) -> list[Path]:
        """The files of shadow models."""
        return [*self.shadow_members, *self.shadow_nonmembers]


NONE = Others()


def audit(members: Path, nonmembers: Path, others: Others = NONE, listen: Listener = silent) -> Audit:
    """Run every attack that needs no access to the model.

    Args:
        members: predictions for records that the model was trained on.
        nonmembers: predictions for records of the same distribution that it was not trained on.
        others: what else is looked at.
        listen: hears how far it is.

    Raises:
        UserError: all files' problems at once, each with file and row.
    """
    paths = [members, nonmembers, *others.paths()]
    check_paths(paths, len(others.shadow_members), len(others.shadow_nonmembers))
    return _audit(read_all(paths, others.features), others.references, listen)


def audit_network(
    net: nn.Module | str,
    members: Records,
    nonmembers: Records,
    others: Others = NONE,
    listen: Listener = silent,
) -> Audit:
    """Run every attack that a network can be put to, the white-box ones too.

    Args:
        net: any network that answers logits (n, C), or (logits, features), on the device where it shall be asked;
            a copy in eval mode is asked. Or `module:function`, which gives one.
        members: records that it was trained on: a pair of tensors (x, y), a DataLoader, a Dataset or an npz.
        nonmembers: records of the same distribution that it was not trained on.
        others: what else is looked at.
        listen: hears how far it is.

    Raises:
        UserError: what is wrong with the network, the records or the files.
    """
    if isinstance(net, str):
        net = import_network(net)
    records = [read_records(given, name) for given, name in ((members, "members"), (nonmembers, "nonmembers"))]
    few = [
        f"{name} holds {len(y)} records; an audit needs {FEWEST} members and {FEWEST} non-members"
        for (_, y), name in zip(records, ("members", "nonmembers"), strict=True)
        if len(y) < FEWEST
    ]
    if few:
        raise UserError(*few)
    network = AuditedNetwork(net, records[0], records[1])
    files = [_answered(network, kind, others.features) for kind in (network.member, ~network.member)]
    paths = others.paths()
    check_paths(paths, len(others.shadow_members), len(others.shadow_nonmembers))
    shadows = read_all(paths, False)
    problems = [problem for shadow in shadows[:1] for problem in differences(files[0], shadow)]
    if problems:
        raise UserError(*problems)
    return _audit([*files, *shadows], others.references, listen, network)


def _answered(network: AuditedNetwork, kind: NDArray[np.bool_], features: bool) -> Predictions:
    """What the network answers about one kind of records, as if it were read from a file."""
    x = network.data.x.numpy()[kind].reshape(int(kind.sum()), -1).astype(np.float64) if features else None
    return Predictions(
        Path("the network"), "logits", network.logits[kind].astype(np.float64), network.data.y.numpy()[kind], x
    )


def _audit(
    files: Sequence[Predictions],
    reference_files: ReferenceFiles | None,
    listen: Listener,
    network: AuditedNetwork | None = None,
) -> Audit:
    """From predictions of the target (members, non-members) and of shadows (members of all, non-members of all)."""
    target, k = _observed(files[0], files[1]), (len(files) - 2) // 2
    shadows = [_observed(*pair) for pair in zip(files[2 : 2 + k], files[2 + k :], strict=True)]
    found = discover().all("attack")
    references = None
    if reference_files is not None:
        references = read_references(reference_files, target, files[0].form, _compared(found))
    with arithmetic(Compute(device="cpu", precision="float32", threads=1)):
        results = _run_all(found, Subject(target, shadows, references, network), listen)
    gap = run_gap(target)
    model_free = model_free_row(files[0], files[1]) if files[0].features is not None else None
    rows = [*_accuracy_rows(target), *gap.rows, *([model_free] if model_free else [])]
    rows += [one for result in results.values() for one in result.rows]
    scores = {name: one.scores for name, one in {GAP: gap, **results}.items() if one.scores is not None}
    doubts = list(_doubts(files, target, shadows, references))
    return Audit(
        table=pd.DataFrame(rows, columns=list(COLUMNS)).astype(KINDS),
        num_classes=target.num_classes,
        shadows=k,
        references=len(references) if references else 0,
        verdict=verdict(scores, members_of(target)) + (IN_DOUBT if doubts else ""),
        notes=(*_label_notes(files[0]), *_reference_notes(references)),
        warnings=(
            SAME_DISTRIBUTION,
            *distribution_warnings(model_free),
            *doubts,
            *_threshold_warnings(results.values()),
        ),
        member=members_of(target),
        scores=scores,
    )


def _run_all(found: Sequence[PluginInfo[Attack]], subject: Subject, listen: Listener) -> dict[str, AttackResult]:
    """What each attack finds; `gap` is not among them."""
    attacks = [one for one in found if one.name != GAP]
    results = {}
    for number, one in enumerate(attacks, start=1):
        step = Step(one.name, number, len(attacks))
        listen(step)
        heard = partial(_asked, listen, step)
        results[one.name] = run_attack(one, replace(subject, listen=heard))
    return results


def _asked(listen: Listener, step: Step, asked: int, records: int) -> None:
    listen(replace(step, asked=asked, records=records))


def _observed(members: Predictions, others: Predictions) -> Observed:
    """What an attacker sees of one model: members, then non-members."""
    labels = np.concatenate([members.labels, others.labels])
    return Observed(
        labels=labels,
        member=np.arange(len(labels)) < len(members.labels),
        num_classes=members.logits.shape[1],
        answers={Logits(): np.concatenate([members.logits, others.logits])},
        references={},
    )


def _compared(found: Sequence[PluginInfo[Attack]]) -> list[Probe]:
    """What attacks ask reference models for; one that cannot be built says so when it is run."""
    probes: list[Probe] = []
    for info in found:
        with contextlib.suppress(Exception):
            attack = info.build({})
            probes += attack.probes() if needs_references(attack) else ()
    return probes


def _accuracy_rows(target: Observed) -> list[Row]:
    correct = target[Logits()].argmax(1) == target.labels
    return [{"attack": None} | one for one in measure_accuracy(correct, members_of(target))]


# --- words ---


def _doubts(
    files: Sequence[Predictions], target: Observed, shadows: Sequence[Observed], references: References | None
) -> Iterator[str]:
    yield from doubts_of_form(files)
    yield from doubts_of_files(files)
    yield from doubts_of_model(target)
    for i, shadow in enumerate(shadows):
        yield from (f"shadow model {i} (from 0): {doubt}" for doubt in doubts_of_model(shadow))
    if references is not None:
        yield from doubts_of_references(target, references)


def _threshold_warnings(results: Iterable[AttackResult]) -> Iterator[str]:
    classes = max((one.get("classes_without_threshold", 0) for found in results for one in found.rows), default=0)
    if classes:
        yield f"{classes} classes lack members or non-members among the shadows: theirs is the threshold of all classes"


def _label_notes(file: Predictions) -> Iterator[str]:
    if file.classes is not None:
        shown = ", ".join(file.classes[:SHOWN]) + (", ..." if len(file.classes) > SHOWN else "")
        yield f"labels are names, of the columns in this order: {shown}"


def _reference_notes(references: References | None) -> Iterator[str]:
    if references is None:
        return
    k, inside = len(references), references.inside
    if not inside.any():
        yield (
            f"{k} reference models, taken to have trained on none of the records: attacks run in their offline form; "
            "the online form, which compares with models that did, needs --reference-member"
        )
        return
    lacking = int((~inside.any(0) | inside.all(0)).sum())
    about = f"; {lacking} records lack one of the two kinds, all records' answers stand in" if lacking else ""
    yield (
        f"{k} reference models, on average {inside.sum(0).mean():.1f} that trained on a record and "
        f"{(~inside).sum(0).mean():.1f} that did not{about}"
    )
