"""What reference models, trained elsewhere, answered about the audited records.

A file holds `logits` or `probabilities` (K, N, C), as the target's files do: K models on the members' records, then the
non-members', both in the order of their files. A mask says which model trained on which record; without one none did.
One model's outputs are read at a time, and only what attacks compare is kept: (K, N) numbers a probe.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from miabench.auditing.outputs import FORMS, as_logits
from miabench.errors import UserError, nearest
from miabench.files.npz import open_npz
from miabench.plugins.attack import Logits, Observed, Probe
from miabench.plugins.probes import LogOdds

ALIKE = 1e-5  # two models' log odds agree to this, relative and absolute, on all records only if they are one model


@dataclass(frozen=True)
class ReferenceFiles:
    """Where answers of reference models are.

    Attributes:
        answers: npz of `logits` or `probabilities` (K, N, C).
        member: npz of booleans (K, N): whether the model trained on the record; None where none trained on any.
    """

    answers: Path
    member: Path | None = None


def reference_files(answers: str | Path | None, member: str | Path | None) -> ReferenceFiles | None:
    """The files that are given, or None.

    Raises:
        UserError: a mask without answers.
    """
    if answers is None:
        if member is not None:
            raise UserError(f"{member} says which reference trained on which record: give --reference-answers too")
        return None
    return ReferenceFiles(Path(answers), None if member is None else Path(member))


@dataclass(frozen=True)
class References:
    """What attacks compare with.

    Attributes:
        answers: of K models on N records (K, N) by probe; log odds always.
        inside: whether the model trained on the record (K, N).
        correct: whether the model classifies the record correctly (K, N).
    """

    answers: Mapping[Probe, NDArray[np.float64]]
    inside: NDArray[np.bool_]
    correct: NDArray[np.bool_]

    def __len__(self) -> int:
        """K."""
        return len(self.inside)

    def beside(self, target: Observed, probes: Sequence[Probe]) -> Observed:
        """The target with the references' answers to some probes."""
        return replace(
            target,
            references={probe: self.answers[probe] for probe in probes},
            reference_in=self.inside,
            reference_out=~self.inside,
        )


def derived(probe: Probe, logits: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[Any]:
    """The answers to a probe that follow from logits (N, C)."""
    assert probe.root == Logits(), "other probes ask the model"
    return logits if probe.of is None else probe.derive(derived(probe.of, logits, labels), labels)


def read_references(files: ReferenceFiles, target: Observed, form: str, probes: Sequence[Probe]) -> References:
    """Read the files, check them, and derive what attacks ask for.

    Args:
        files: where they are.
        target: what they stand beside.
        form: `logits` or `probabilities`, what the target's files hold.
        probes: what attacks ask references for; each follows from logits.

    Raises:
        UserError: files that do not fit the target, or a reference that is the target.
    """
    wanted = list(dict.fromkeys([LogOdds(), *probes]))
    answers: dict[Probe, list[NDArray[Any]]] = {probe: [] for probe in wanted}
    correct = []
    own = derived(LogOdds(), target[Logits()], target.labels)
    for k, outputs in enumerate(_outputs(files.answers, form, target)):
        logits = as_logits(outputs, form, _Place(files.answers, k))
        for probe in wanted:
            answers[probe].append(derived(probe, logits, target.labels))
        correct.append(logits.argmax(1) == target.labels)
        _refuse_twins(files.answers, own, answers[LogOdds()])
    arrays = {probe: np.stack(answers.pop(probe)) for probe in wanted}
    return References(arrays, _mask(files.member, (len(correct), len(target))), np.stack(correct))


@dataclass(frozen=True)
class _Place:
    """Names a record of one reference model."""

    path: Path
    model: int

    def __call__(self, record: int) -> str:
        return f"{self.path}, reference {self.model}, record {record} (from 0)"


def _outputs(path: Path, form: str, target: Observed) -> Iterator[NDArray[np.float64]]:
    """Each model's outputs (N, C), finite, one at a time."""
    for k, array in enumerate(_slabs(path, form)):
        _check_shape(path, array, target)
        outputs = array.reshape(len(target), -1).astype(np.float64)
        wrong = np.argwhere(~np.isfinite(outputs))
        if len(wrong):
            value = outputs[tuple(wrong[0])]
            raise UserError(f"{_Place(path, k)(wrong[0][0])}: {form} holds {value}; expected finite numbers")
        yield outputs


def _slabs(path: Path, form: str) -> Iterator[NDArray[Any]]:
    """The parts of the array along its first axis, read one by one."""
    with open_npz(path) as file:
        name = _name(file, path, form)
        with cast(zipfile.ZipFile, file.zip).open(f"{name}.npy") as stream:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = header(stream)
            if shape[:1] == (0,):
                raise UserError(f"{path}: {name} has shape {shape}: it holds no reference model; give one or more")
            if dtype.kind not in "biuf" or not shape:
                raise UserError(f"{path}: {name} has type {dtype} and shape {shape}; expected numbers (K, N, C)")
            if fortran:
                yield from file[name]
                return
            size = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
            for _ in range(shape[0]):
                content = stream.read(size)
                if len(content) < size:
                    raise EOFError("it is cut off")
                yield np.frombuffer(content, dtype).reshape(shape[1:])


def _name(file: NpzFile, path: Path, wanted: str) -> str:
    """The name of the array that is meant; an npz of one array may call it anything but the other form.

    Raises:
        UserError: there is no such array.
    """
    names = list(file.files)
    other = [name for name in names if name in FORMS and name != wanted]
    if wanted in names:
        return wanted
    if wanted in FORMS and other:
        raise UserError(
            f"{path} holds {other[0]}, the target's files {wanted}: references must answer in the same form"
        )
    if len(names) == 1:
        return names[0]
    raise UserError(f"{path} has no array {wanted!r}{nearest(wanted, names)}")


def _check_shape(path: Path, array: NDArray[Any], target: Observed) -> None:
    n, c = len(target), target.num_classes
    allowed = [(n, c), *([(n,), (n, 1)] if c == 2 else [])]
    if array.shape not in allowed:
        shape = f"(K, {', '.join(map(str, array.shape))})"
        raise UserError(
            f"{path} has shape {shape}; expected (K, {n}, {c}): K reference models on the records of the members' "
            "file, then of the non-members' file, in file order"
        )


def _refuse_twins(path: Path, target: NDArray[np.float64], references: Sequence[NDArray[np.float64]]) -> None:
    """Refuse a reference that is the target, or an earlier reference."""
    newest, k = references[-1], len(references) - 1
    twin = next((i for i, one in enumerate([target, *references[:-1]]) if np.allclose(one, newest, ALIKE, ALIKE)), None)
    if twin is not None:
        other = "the target itself" if twin == 0 else f"reference {twin - 1} again"
        raise UserError(
            f"{path}: reference {k} answers as {other} does on every record; "
            "references are other models, each trained and given once"
        )


def _mask(path: Path | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which model trained on which record (K, N)."""
    if path is None:
        return np.zeros(shape, dtype=bool)
    with open_npz(path) as file:
        mask = file[_name(file, path, "member")]
    if mask.shape != shape:
        raise UserError(f"{path}: member has shape {mask.shape}; expected {shape}, a row for each reference model")
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise UserError(f"{path}: member has type {mask.dtype}; expected booleans, or the numbers 0 and 1")
    if mask.all():
        raise UserError(
            f"{path}: every reference trained on every record: attacks compare with models that did not, so there is "
            "nothing to compare with"
        )
    return mask.astype(bool)
