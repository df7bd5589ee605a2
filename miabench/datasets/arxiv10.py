"""arXiv-10: 100,000 abstracts of papers on arXiv, 10 classes (fields of research).

Farhangi et al., "Protoformer: embedding prototypes for transformers" (PAKDD 2022, arXiv:2206.12710). Its authors give
the file away through their repository, ashfarhangi/Protoformer on GitHub; download it there and name it with `path`:
a CSV with the columns title, abstract and label.

As in the CRL paper's code, the abstract alone is read, lower-cased, as 10 sentences of 40 words, with the vectors of
glove.6B.50d.txt where `glove` names that file. Differs from that code: sentences and words are cut as
`miabench.data.tokens` says (no NLTK), padding and unknown words have ids of their own, and classes are sorted by name
instead of counted in order of appearance, which changes their numbers only. What `text` says about the vocabulary
holds here too.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from miabench import Data, Dataset, Field, Schedule
from miabench.datasets.text import Text


class Arxiv10(Dataset, frozen=True):
    """Abstracts of papers, by field of research."""

    # conf/train/arxiv10_han.yml of the CRL paper's code
    schedule: ClassVar[Schedule] = Schedule(epochs=150, lr=0.01, milestones={100: 0.001, 130: 0.0001}, batch_size=256)

    path: Path = Field(description="the CSV file, from the repository ashfarhangi/Protoformer on GitHub")
    glove: Path | None = Field(None, description="GloVe's vectors as text, glove.6B.50d.txt in the paper; None: random")

    def load(self, root: Path) -> Data:
        """The pool, in the file's order.

        Raises:
            UserError: naming the file, and the line and column that is wrong.
        """
        table = Text(path=self.path, text="abstract", label="label", glove=self.glove, sentences=10, words=40)
        return table.load(root)
