"""Hierarchical attention network for documents (Yang et al., NAACL 2016).

    words of a sentence:     h_t = bi-GRU(vectors), a = softmax_t(c . tanh(W h_t + b)), sentence = sum_t a_t h_t  (100)
    sentences of a document: the same with another bi-GRU, W, b and c -> feature (100), Linear to the classes

Both GRUs have 50 units in each direction. Records are token ids (sentences x words), 0 for padding, which comes after
the words of a sentence; sentences without words are skipped. Nothing is computed for padding, so more of it changes
nothing (in the code of Fang and Kim, UAI 2024, padding is read like a word). All sentences of a batch go through the
first GRU together.

97,610 parameters for vectors of 50 numbers and 10 classes. PyTorch's default initialisation; c starts from
U(-0.25, 0.25) for words and U(-0.1, 0.1) for sentences. The word vectors are the dataset's; they stay as they are,
and are not stored with the network, unless `train_embedding` learns them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from miabench import Classifier, Domain, Field, Model
from miabench.data.tokens import PADDING

HIDDEN = 50  # units of a GRU in each direction
WIDTH = 2 * HIDDEN


class HAN(Model, frozen=True):
    """Word and sentence GRU with attention."""

    train_embedding: bool = Field(False, description="learn the word vectors too, from the dataset's on")

    def unsupported(self, domain: Domain) -> str | None:
        """Records that are not documents with a vector for every word."""
        if domain.vocabulary is None or len(domain.shape) != 2:
            kind = "numbers" if domain.vocabulary is None else "token ids"
            size = " x ".join(str(length) for length in domain.shape)
            return f"it takes documents as token ids (sentences x words), but these records are {kind} ({size})"
        if domain.embedding is None:
            return "it needs a vector for every token, but the dataset gives none (Data.embedding)"
        return None

    def build(self, domain: Domain) -> Classifier:
        """The network; feature_dim is 100."""
        assert domain.embedding is not None  # `unsupported` says so first
        encoder = _DocumentEncoder(domain.embedding, self.train_embedding)
        return Classifier(encoder, nn.Linear(WIDTH, domain.num_classes), WIDTH)


class _DocumentEncoder(nn.Module):
    """Token ids (N, S, W) -> features (N, 100)."""

    embedding: Tensor  # (V, E)

    def __init__(self, embedding: Tensor, train_embedding: bool) -> None:
        super().__init__()
        if train_embedding:
            self.embedding = nn.Parameter(embedding.clone())
        else:  # not persistent: every stored network would hold the same vectors, which are the dataset's
            self.register_buffer("embedding", embedding, persistent=False)
        self.words = _AttentiveGRU(embedding.shape[1], context_bound=0.25)
        self.sentences = _AttentiveGRU(WIDTH, context_bound=0.1)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x != PADDING).sum(2)  # (N, S), words
        real = lengths > 0
        counts = real.sum(1)  # (N,), sentences
        tokens = _pack(x[real], lengths[real])
        vectors = self.words(tokens._replace(data=F.embedding(tokens.data, self.embedding)))  # (sentences, 100)
        first = torch.arange(x.shape[1], device=x.device) < counts[:, None]  # (N, S): where they go, without gaps
        documents = vectors.new_zeros(*first.shape, WIDTH).masked_scatter(first[..., None], vectors)
        encoded: Tensor = self.sentences(_pack(documents, counts))
        return encoded


class _AttentiveGRU(nn.Module):
    """B packed sequences of vectors -> their weighted sums of GRU states (B, 100)."""

    def __init__(self, in_features: int, context_bound: float) -> None:
        super().__init__()
        self.context = nn.Parameter(torch.empty(WIDTH, 1).uniform_(-context_bound, context_bound))
        self.gru = nn.GRU(in_features, HIDDEN, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: PackedSequence) -> Tensor:
        states: PackedSequence = self.gru(x)[0]
        scores = torch.tanh(self.linear(states.data)) @ self.context  # (all steps, 1)
        weights = _pad(states._replace(data=scores), -torch.inf).softmax(1)  # (B, T, 1), 0 at padding
        return (weights * _pad(states, 0.0)).sum(1)


def _pack(x: Tensor, lengths: Tensor) -> PackedSequence:
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)


def _pad(x: PackedSequence, value: float) -> Tensor:
    """(B, T, ...) with T the longest length."""
    return pad_packed_sequence(x, batch_first=True, padding_value=value)[0]
