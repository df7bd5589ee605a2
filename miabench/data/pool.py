"""The pool of records, as tensors in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from miabench.data.cells import listed
from miabench.errors import UserError

FEWEST = 4  # records of a class: a member and a non-member in each half
MIN_RECORDS = 8  # two halves, each split in two, and at least two records a part


@dataclass(frozen=True)
class Data:
    """All records of a dataset; a record is known by its row everywhere.

    Inputs are kept as they came (uint8 images stay uint8) and turned into what networks see by `inputs`:
    (x * scale - mean) / std.

    Attributes:
        x: raw inputs (N, ...), uint8 or float32; int64 for token ids, of which 0 is padding.
        y: classes (N,), int64, 0 to C-1.
        class_names: C names.
        scale: 1/255 for images.
        mean: None, or what broadcasts against one record: per channel (3, 1, 1) or per feature (F,).
        std: as mean; no zeros.
        augmentation: what is done to a training batch, see `miabench.data.augmentation`.
        where: record i in words for error messages (a file name, a row), or empty.
        embedding: the vector of each token id (V, E), float32, which models start from; None for numbers.
        notes: what was done to the records on the way here, and what looks doubtful; in no hash.
    """

    x: Tensor
    y: Tensor
    class_names: tuple[str, ...]
    scale: float = 1.0
    mean: Tensor | None = None
    std: Tensor | None = None
    augmentation: Literal["none", "crop-flip"] = "none"
    where: Sequence[str] = ()
    embedding: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """N, the number of records in the pool."""
        return len(self.y)

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return len(self.class_names)

    @property
    def domain(self) -> Domain:
        """What a model must fit, with vectors of its own: a network may hold them, and a training change them."""
        vectors = None if self.embedding is None else self.embedding.clone()
        return Domain(tuple(self.x.shape[1:]), self.num_classes, self._vocabulary, vectors)

    @property
    def _vocabulary(self) -> int | None:
        if self.x.dtype != torch.int64:
            return None
        return int(self.x.max()) + 1 if self.embedding is None else len(self.embedding)

    def inputs(self, ids: Tensor, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
        """Normalised inputs (n, ...) of some rows on a device; integer tokens (int64) pass as they are."""
        return self.normalisation(device, dtype)(own_rows(self.x, ids).to(device))

    def normalisation(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Normalisation:
        """How raw inputs on a device become what networks see."""
        mean, std = (None if moment is None else moment.to(device, dtype) for moment in (self.mean, self.std))
        return Normalisation(dtype, self.scale, mean, std)

    @cached_property
    def digests(self) -> NDArray[np.uint64]:
        """A 128-bit digest of each record's raw input (N, 2): equal digests are exact duplicates."""
        rows = np.ascontiguousarray(self.x.numpy()).reshape(len(self), -1).view(np.uint8)
        digests = b"".join(hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)
        return np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)

    @cached_property
    def first_copy(self) -> NDArray[np.int64]:
        """Row of the first record with the same input (N,): a record's own row where none came before."""
        _, first, inverse = np.unique(self.digests, axis=0, return_index=True, return_inverse=True)
        return first[inverse.reshape(-1)].astype(np.int64)

    def by_content(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The order (n,) that sorts some rows by a hash of their inputs: it says nothing else about them."""
        digests = self.digests[ids]
        return np.lexsort((ids, digests[:, 1], digests[:, 0]))  # exact duplicates in the order of the pool

    def drawn(self, ids: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Of some rows the `count` whose content has the smallest hashes, in the order given."""
        return ids[np.sort(self.by_content(ids)[:count])]

    @property
    def duplicates(self) -> int:
        """How many records repeat the input of an earlier one."""
        return int((self.first_copy != np.arange(len(self))).sum())

    def fingerprint(self, ids: Tensor | None = None) -> str:
        """SHA-256 of the content (inputs and classes) of some rows in order; of the whole pool by default."""
        rows = slice(None) if ids is None else ids.numpy()
        digest = hashlib.sha256(np.ascontiguousarray(self.digests[rows]).tobytes())
        digest.update(np.ascontiguousarray(self.y.numpy()[rows]).tobytes())
        return digest.hexdigest()

    @cached_property
    def preparation(self) -> dict[str, str]:
        """What happens to inputs before a network learns from them, for keys: normalisation, word vectors, ..."""
        return _preparation(self)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the whole pool's content and of its preparation: what a planned job must find again."""
        return hashlib.sha256(f"{self.fingerprint()} {sorted(self.preparation.items())}".encode()).hexdigest()

    def rows(self, keep: NDArray[np.int64]) -> Data:
        """The pool with only some rows, in the given order."""
        ids = torch.from_numpy(keep)
        where = [self.where[i] for i in keep] if self.where else ()
        return replace(self, x=self.x[ids], y=self.y[ids], where=where)


def _preparation(data: Data) -> dict[str, str]:
    digest = hashlib.sha256()
    for moment in (data.mean, data.std):
        digest.update(b"none" if moment is None else moment.to(torch.float64).numpy().tobytes())
    preparation = {
        "shape": str(tuple(data.x.shape[1:])),
        "num_classes": str(data.num_classes),
        "scale": repr(data.scale),
        "normalisation": digest.hexdigest(),
        "augmentation": data.augmentation,
    }
    if data.embedding is not None:
        vectors = np.ascontiguousarray(data.embedding.numpy())
        preparation["embedding"] = hashlib.sha256(f"{vectors.shape}".encode() + vectors.tobytes()).hexdigest()
    return preparation


def prepared(data: Data, source: str, deduplicate: bool, records: float | None) -> Data:
    """A pool that can be split and trained on.

    Args:
        data: as a dataset loaded it.
        source: what loaded it, for errors about its form.
        deduplicate: whether exact duplicates are dropped.
        records: use only so many of what is left, or such a share (below 1), classes in proportion; None: all.

    Raises:
        UserError: NaN or infinite inputs, one class only, too few records; what is no pool at all.
    """
    _check_form(data, source)
    if data.x.is_floating_point() and len(data):
        finite = data.x.reshape(len(data), -1).isfinite().all(1)
        if not finite.all():
            row = int((~finite).nonzero()[0])
            where = data.where[row] if data.where else f"row {row}"
            raise UserError(f"{where} holds a value that is NaN or infinite; every feature must be a finite number")
    if deduplicate:
        data = data.rows(np.unique(data.first_copy))
    if records is not None and records < len(data):
        count = records if records >= 1 else records * len(data)
        data = data.rows(_proportional(data.y.numpy(), round(count)))
    if len(data) < MIN_RECORDS:
        raise UserError(f"the dataset has {len(data)} records; splitting needs {MIN_RECORDS} or more")
    if data.y.min() == data.y.max():
        said = "".join(f"; {note}" for note in data.notes)
        raise UserError(
            f"all records are of one class ({data.class_names[int(data.y[0])]}); it needs two or more{said}"
        )
    small = _small_classes(data)
    return replace(data, notes=(*data.notes, small)) if small else data


def _small_classes(data: Data) -> str:
    """A note on classes of too few records; where most are, the label may be none."""
    small = [data.class_names[i] for i in (data.y.bincount(minlength=data.num_classes) < FEWEST).nonzero()[:, 0]]
    if not small:
        return ""
    doubt = "; is the label a class?" if 2 * len(small) > data.num_classes else ""
    return (
        f"{len(small):,} of {data.num_classes:,} classes have fewer than {FEWEST} records ({listed(small)}): too few "
        f"for members and non-members of target and shadows{doubt}"
    )


def _check_form(data: Data, name: str) -> None:
    """Refuse what breaks the contract of `Dataset.load`: plugins are written by users."""
    if not isinstance(data, Data):
        raise UserError(f"{name}.load must return a miabench.Data; it gave {type(data).__name__}")
    if data.y.dtype != torch.int64 or data.y.shape != data.x.shape[:1]:
        raise UserError(
            f"{name}.load must give a class, int64, for each of the {len(data.x)} records; "
            f"it gave y of type {str(data.y.dtype).removeprefix('torch.')} and shape {tuple(data.y.shape)}"
        )
    if len(data) and (int(data.y.min()) < 0 or int(data.y.max()) >= data.num_classes):
        raise UserError(
            f"{name}.load must give classes 0 to {data.num_classes - 1}, as it names {data.num_classes} of them; "
            f"it gave {int(data.y.min())} to {int(data.y.max())}"
        )


def _proportional(y: NDArray[np.int64], records: int) -> NDArray[np.int64]:
    """Rows, ascending, of a fixed random choice in which every class has its share."""
    classes, counts = np.unique(y, return_counts=True)
    if records < len(classes):
        raise UserError(f"records = {records} is fewer than the {len(classes)} classes; ask for {len(classes)} or more")
    quantile = np.empty(len(y))  # of each record within its class, in random order
    random = np.random.default_rng(0)
    for label, count in zip(classes, counts, strict=True):
        quantile[y == label] = (random.permutation(count) + 0.5) / count
    return np.sort(np.argsort(quantile, kind="stable")[:records])


def own_rows(x: Tensor, ids: Tensor | slice) -> Tensor:
    """Some records (n, ...) of a tensor (N, ...), in memory of their own."""
    if x.is_cpu and x.is_contiguous() and isinstance(ids, Tensor) and ids.dtype == torch.int64 and ids.ndim == 1:
        with suppress(IndexError):  # a negative row
            return x.index_select(0, ids)  # the same, on a CPU four times as fast; of another layout it keeps nothing
    rows = x[ids]
    shared = rows.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    return rows.clone() if shared else rows


@dataclass(frozen=True)
class Normalisation:
    """From raw inputs (n, ...) to what networks see: (x * scale - mean) / std; integer tokens stay as they are.

    Every number is made by itself, so that a batch's are those of the whole pool, bit for bit.

    Attributes:
        dtype: of what networks see.
        scale: see `Data`, as for `mean` and `std`, which are of that type and on the inputs' device.
    """

    dtype: torch.dtype
    scale: float
    mean: Tensor | None
    std: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """The inputs, made in place where they have the type already: x is the caller's own."""
        if x.dtype == torch.int64:
            return x
        x = x.to(self.dtype)
        if self.scale != 1.0:
            x.mul_(self.scale)
        if self.mean is not None:
            x.sub_(self.mean)
        if self.std is not None:
            x.div_(self.std)
        return x


@dataclass(frozen=True)
class Domain:
    """What a model must fit: the shape of one record, what it is made of, and the number of classes.

    Attributes:
        shape: of one record, for example (3, 32, 32), (446,), or (10, 40) for documents of sentences x words.
        num_classes: C.
        vocabulary: V where records are token ids, 0 to V-1 (0 is padding); None where they are numbers.
        embedding: the dataset's vector of each token (V, E), float32, or None. Two domains that differ in the
            vectors alone are equal, as tensors do not compare or hash.
    """

    shape: tuple[int, ...]
    num_classes: int
    vocabulary: int | None = None
    embedding: Tensor | None = field(default=None, compare=False, repr=False)
