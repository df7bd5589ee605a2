"""Documents as token ids: sentences x words, padded, with a vector for every id.

A document's HTML tags and entities are taken out, its letters composed (Unicode NFC) and lower-cased. It is cut into
sentences after each `.`, `!` or `?` that white space follows, and after the full stops of other scripts; words are runs
of letters with their marks, digits and underscores, so punctuation is dropped. In scripts that put no spaces between
words (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan) every letter with its marks is a word. The first words of
the first sentences are kept; sentences without words are left out, and a document without any word is one unknown word.

PADDING fills the rest and UNKNOWN stands for words that are not in the vocabulary: two ids, so that models can tell
them apart. All other ids count the vocabulary in order of first appearance.
"""

from __future__ import annotations

import html
import io
import itertools
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miabench.errors import UserError
from miabench.files.opened import opened

PADDING = 0
UNKNOWN = 1
RESERVED = 2  # ids that stand for no word
RANDOM_DIMENSION = 50  # of vectors without GloVe: that of glove.6B.50d
# About GloVe's own, which schedules are made for. With 0.1 a GRU's gates hardly move, and han stays at chance: on 7,600
# AG News documents at learning rate 0.01 the members' accuracy after 40 epochs was 0.30, of 4 classes; with 0.6, 0.55
RANDOM_STD = 0.6
RANDOM_SEED = 0  # the vectors' own: the experiment's seed does not change the data

LAST_MARK = 0x1FFFF  # above it there are marks that only choose between forms of one letter

_SENTENCE_END = re.compile(r"(?<=[.!?؟])\s+|(?<=[。！？｡।])\s*")
_ASCII_WORD = re.compile(r"\w+")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(\s[^<>]*)?/?>|<!--.*?-->", re.DOTALL)
# Letters of scripts without spaces: Thai to Burmese, Khmer, kana, Han with its extensions
_UNSPACED = (
    "\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U000323af"
)


@dataclass(frozen=True)
class Corpus:
    """Encoded documents.

    Attributes:
        ids: padded token ids (N, S, W), int32: words before padding, sentences with words before those without.
        words: the vocabulary; word i has the id RESERVED + i.
        cut: how many documents have more words than are kept.
    """

    ids: NDArray[np.int32]
    words: tuple[str, ...]
    cut: int = 0

    def keeping(self, keep: NDArray[np.bool_]) -> Corpus:
        """The corpus in which only some words (bool, one per word) are known; ids are counted anew."""
        new_ids = np.where(keep, RESERVED - 1 + np.cumsum(keep), UNKNOWN)
        table = np.concatenate([[PADDING, UNKNOWN], new_ids]).astype(np.int32)
        return replace(self, ids=table[self.ids], words=tuple(itertools.compress(self.words, keep)))

    @property
    def unknown(self) -> float:
        """Which share of the words that were kept of the documents is unknown."""
        return float((self.ids == UNKNOWN).sum() / max(1, (self.ids != PADDING).sum()))

    @property
    def wordless(self) -> int:
        """How many documents have no known word."""
        return int((self.ids.reshape(len(self.ids), -1) <= UNKNOWN).all(1).sum())

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each word occurs in what was kept of the documents, one number per word."""
        return np.bincount(self.ids.ravel(), minlength=RESERVED + len(self.words))[RESERVED:]


@lru_cache(maxsize=1)
def _word() -> re.Pattern[str]:
    """A word: `re` takes letters alone, and would cut Hindi and Thai at every vowel sign, as these are marks."""
    marks = "".join(chr(code) for code in range(LAST_MARK) if unicodedata.category(chr(code)).startswith("M"))
    return re.compile(rf"(?=[{_UNSPACED}])\w[{marks}]*|((?![{_UNSPACED}])[\w{marks}])+")


def split(document: str) -> list[list[str]]:
    """The lower-case words of each sentence that has any."""
    if "<" in document or "&" in document:
        document = _TAG.sub(" ", html.unescape(document))
    text = unicodedata.normalize("NFC", document.lower())
    word = _ASCII_WORD if text.isascii() else _word()  # ten times as fast, and the same there
    sentences = ([match[0] for match in word.finditer(sentence)] for sentence in _SENTENCE_END.split(text))
    return [words for words in sentences if words]


def encode(documents: Iterable[str], sentences: int, words: int) -> Corpus:
    """Documents as token ids (N, `sentences`, `words`); every word that occurs in what is kept is known."""
    known: defaultdict[str, int] = defaultdict(itertools.count(RESERVED).__next__)
    ids = array("i")  # of all kept words one after the other
    lengths = array("i")  # of each kept sentence
    rows = array("q")  # of each kept sentence in (N * sentences)
    documents_read = cut = 0
    for documents_read, document in enumerate(documents, start=1):
        first_row = (documents_read - 1) * sentences
        found = split(document)
        kept = [sentence[:words] for sentence in found[:sentences]]
        cut += sum(map(len, found)) > sum(map(len, kept))
        for row, sentence in enumerate(kept, start=first_row):
            ids.extend([known[word] for word in sentence])
            lengths.append(len(sentence))
            rows.append(row)
        if not kept:
            ids.append(UNKNOWN)
            lengths.append(1)
            rows.append(first_row)
    padded = np.zeros((documents_read * sentences, words), dtype=np.int32)
    filled = np.zeros(padded.shape, dtype=bool)
    filled[np.array(rows)] = np.arange(words) < np.array(lengths)[:, None]
    padded[filled] = ids  # row by row, as they were read
    return Corpus(padded.reshape(documents_read, sentences, words), tuple(known), cut)


def frequent_words(corpus: Corpus, min_count: int) -> tuple[Corpus, NDArray[np.float32]]:
    """The corpus with the words that occur `min_count` times or more, and random vectors (V, 50) for its ids.

    The vectors are drawn from N(0, RANDOM_STD^2) with a seed of their own; padding has zeros.
    """
    corpus = corpus.keeping(corpus.counts >= min_count)
    shape = (RESERVED + len(corpus.words), RANDOM_DIMENSION)
    vectors = np.random.default_rng(RANDOM_SEED).normal(0, RANDOM_STD, shape).astype(np.float32)
    vectors[PADDING] = 0
    return corpus, vectors


def glove_words(corpus: Corpus, glove: Path) -> tuple[Corpus, NDArray[np.float32]]:
    """The corpus with the words that have a GloVe vector, and the vectors (V, E) of its ids.

    Padding and unknown words have zeros, as in the code of Fang and Kim (UAI 2024). GloVe's words that no document
    holds are left out: nothing would ever look them up.

    Args:
        corpus: of which all words are known.
        glove: text file with a word and its E numbers on each line, for example glove.6B.50d.txt.

    Raises:
        UserError: a file that is missing or of another form, or that has none of the words.
    """
    found = _read_glove(glove, set(corpus.words))
    if not found:
        raise UserError(f"{glove} has none of the documents' words; expected lines such as 'the 0.418 0.24968 ...'")
    corpus = corpus.keeping(np.array([word in found for word in corpus.words]))
    vectors = np.stack([found[word] for word in corpus.words])
    return corpus, np.concatenate([np.zeros((RESERVED, vectors.shape[1]), np.float32), vectors])


def _read_glove(path: Path, wanted: set[str]) -> Mapping[str, NDArray[np.float32]]:
    """The vectors of the wanted words; only their lines are parsed, and the first, whose length all must have."""
    found: dict[str, NDArray[np.float32]] = {}
    dimension = None
    number = 0
    try:
        with opened(path) as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                word, _, rest = line.partition(" ")
                if dimension is None:
                    dimension = len(rest.split())
                if word in wanted:
                    found[word] = _vector(rest, dimension, f"{path}, line {number}")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}, after line {number}: not UTF-8 text; unpack an archive first") from None
    return found


def _vector(numbers: str, dimension: int, place: str) -> NDArray[np.float32]:
    try:
        vector = np.array(numbers.split(), dtype=np.float32)
    except ValueError as error:
        raise UserError(f"{place}: {error}; expected a word and {dimension} numbers") from None
    if len(vector) != dimension or not np.isfinite(vector).all():
        raise UserError(f"{place}: expected a word and {dimension} finite numbers, as many as on the first line")
    return vector
