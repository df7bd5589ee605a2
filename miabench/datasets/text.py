"""Documents with a class each: a CSV file, plain or compressed (gzip, bzip2, xz, or a zip of one file).

CSV: UTF-8, with commas, semicolons, tabs or bars between cells. Classes are sorted, as numbers where all of them are.
Documents become token ids, sentences x words, as `miabench.data.tokens` says: lower-case, without HTML tags; a sentence
ends with `.`, `!` or `?` before white space, or with its column; words are runs of letters, digits and underscores, and
single letters in scripts that put no spaces between words. A document without words is one unknown word. (The code of
Fang and Kim, UAI 2024, cuts with NLTK, which keeps punctuation, and reads padding and unknown words alike.)

The vocabulary comes from a GloVe file (Pennington, Socher and Manning, EMNLP 2014; the paper uses glove.6B.50d.txt),
cut to the words that occur; without one, it is the words that occur often enough in the whole pool. Members,
non-members and the attacker's records count alike in both, so the vocabulary itself carries no membership. Without
GloVe the words' vectors are random, the same ones under every seed, and about as long as GloVe's.

Encoded once; the encoded copy is kept under the data root and found again by the content of the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from miabench import Data, Dataset, Field, Schedule, UserError
from miabench.data.labels import classes_of, label_problems
from miabench.data.tokens import Corpus, encode, frequent_words, glove_words
from miabench.files.array_cache import Arrays, cached_arrays
from miabench.files.csv_rows import Column, csv_rows
from miabench.files.hashing import hash_of
from miabench.files.opened import opened
from miabench.files.paths import expanded
from miabench.store.hashed import hashed

MOSTLY = 0.5  # share of unknown words that is told
CHOOSE = "`label` and `text` name the columns to read"


class Text(Dataset, frozen=True):
    """A CSV file of documents: text columns and a label column."""

    # 2: random vectors as long as GloVe's; 3: composed letters, no HTML, scripts without spaces
    version: ClassVar[int] = 3
    schedule: ClassVar[Schedule] = Schedule(epochs=40, lr=0.01, milestones={25: 0.001, 35: 0.0001}, batch_size=64)

    path: Path = Field(description="the file")
    text: Column | tuple[Column, ...] = Field(
        "text", description="the column or columns with the text: names, or positions from 0 without a header"
    )
    label: Column = Field("label", description="the column with the class: its name, or position without a header")
    header: bool = Field(True, description="whether the first row names the columns")
    glove: Path | None = Field(None, description="GloVe's vectors as text, for example glove.6B.50d.txt; None: random")
    sentences: int = Field(10, ge=1, description="sentences kept of each document")
    words: int = Field(40, ge=1, description="words kept of each sentence")
    min_count: int = Field(
        2, ge=1, description="without GloVe: words that occur less often in the whole pool are unknown"
    )

    def load(self, root: Path) -> Data:
        """The pool, in the file's order; encoded where no copy of this content is kept under `root`.

        Raises:
            UserError: naming the file, and the line and column that is wrong.
        """
        path = expanded(self.path)
        kept = cached_arrays(root / "text" / self._key(path), lambda: self._encode(path))
        return Data(
            torch.from_numpy(kept["ids"].astype(np.int64)),
            torch.from_numpy(kept["y"]),
            tuple(kept["class_names"].tolist()),
            where=[f"{path}, line {line}" for line in kept["line"]],
            embedding=torch.from_numpy(kept["embedding"]),
            notes=tuple(kept["notes"].tolist()),
        )

    def _key(self, path: Path) -> str:
        parts = {k: v for k, v in hashed(self).items() if k not in ("path", "glove", "deduplicate", "records")}
        files = [path] if self.glove is None else [path, expanded(self.glove)]
        parts |= {"version": self.version, "content": [_sha256(file) for file in files]}
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def _encode(self, path: Path) -> Arrays:
        text = self.text if isinstance(self.text, tuple) else (self.text,)
        rows = csv_rows(path, (self.label, *text), self.header, CHOOSE)
        if not rows:
            raise UserError(f"{path} holds no documents")
        labels = [row.cells[0].strip() for row in rows]
        if problems := list(label_problems(labels, [f"line {row.line}, column {self.label!r}" for row in rows])):
            raise UserError(*(f"{path}, {problem}" for problem in problems))
        class_names, y, notes = classes_of(labels)
        corpus = encode((". ".join(row.cells[1:]) for row in rows), self.sentences, self.words)
        if self.glove is None:
            corpus, embedding = frequent_words(corpus, self.min_count)
        else:
            corpus, embedding = glove_words(corpus, expanded(self.glove))
        return {
            "ids": corpus.ids,
            "y": y,
            "class_names": np.array(class_names),
            "line": np.array([row.line for row in rows]),
            "embedding": embedding,
            "notes": np.array([*self._notes(corpus), *notes]),
        }

    def _notes(self, corpus: Corpus) -> Iterator[str]:
        """What became of the documents, and whether it may have been too much."""
        documents = len(corpus.ids)
        yield (
            f"{len(corpus.words):,} words are known; {corpus.unknown:.1%} of what was read are unknown words; "
            f"{corpus.cut / documents:.1%} of the documents are longer than {self.sentences} sentences of {self.words} "
            f"words and are cut off; {corpus.wordless / documents:.1%} have no known word"
        )
        if corpus.unknown > MOSTLY:
            remedy = "a lower min_count" if self.glove is None else "vectors of the documents' language"
            yield f"look at the text: more than half of its words are unknown; {remedy} may help"


def _sha256(path: Path) -> str:
    with opened(path) as file:
        return hash_of(file)
