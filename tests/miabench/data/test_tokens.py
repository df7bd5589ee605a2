"""Documents as token ids: cut as the module's docstring says, padded, with a vector for every id."""

import numpy as np
import pytest

from miabench.data.tokens import PADDING, UNKNOWN, encode, frequent_words, glove_words, split
from miabench.errors import UserError


def decoded(corpus):
    """Words of each sentence of each document; `?` for unknown words."""
    names = {UNKNOWN: "?", **dict(enumerate(corpus.words, start=2))}
    return [[[names[i] for i in row if i] for row in document if any(row)] for document in corpus.ids.tolist()]


@pytest.mark.parametrize(
    ("document", "sentences"),
    [
        ("It works. Does it?  YES!\nGood", [["it", "works"], ["does", "it"], ["yes"], ["good"]]),
        ("3.5 of e.g.this", [["3", "5", "of", "e", "g", "this"]]),  # no white space after the full stops
        ("Wait... what?! No.", [["wait"], ["what"], ["no"]]),
        ("don't, (stop) well-known x_1", [["don", "t", "stop", "well", "known", "x_1"]]),
        ("Über ÉTÉ. Ναι", [["über", "été"], ["ναι"]]),
        (". ! ? ...", []),
        ("", []),
    ],
)
def test_split(document, sentences):
    assert split(document) == sentences


def test_encode_by_hand():
    corpus = encode(["A b a. C", "b? d"], sentences=3, words=4)
    assert corpus.words == ("a", "b", "c", "d")
    assert corpus.ids.dtype == np.int32
    assert corpus.ids.tolist() == [
        [[2, 3, 2, 0], [4, 0, 0, 0], [0, 0, 0, 0]],
        [[3, 0, 0, 0], [5, 0, 0, 0], [0, 0, 0, 0]],
    ]
    assert corpus.counts.tolist() == [2, 2, 1, 1]


def test_encode_keeps_the_first_words_of_the_first_sentences():
    corpus = encode(["a b c. d e f. ?! g h i", "j"], sentences=2, words=2)
    assert decoded(corpus) == [[["a", "b"], ["d", "e"]], [["j"]]]
    assert corpus.words == ("a", "b", "d", "e", "j")  # what is cut off is not in the vocabulary


def test_a_sentence_without_words_takes_no_place():
    assert decoded(encode(["?! . a. ... b"], sentences=2, words=2)) == [[["a"], ["b"]]]


def test_a_document_without_words_is_one_unknown_word():
    corpus = encode(["", "a", " ?! "], sentences=2, words=2)
    assert corpus.ids[0].tolist() == corpus.ids[2].tolist() == [[UNKNOWN, 0], [0, 0]]
    assert corpus.counts.tolist() == [1]


def test_encode_equals_the_obvious_loop():
    rng = np.random.default_rng(0)
    documents = [
        ". ".join(
            " ".join(f"w{rng.integers(30)}" for _ in range(rng.integers(0, 9))) for _ in range(rng.integers(0, 6))
        )
        for _ in range(50)
    ]
    expected = np.zeros((50, 4, 5), dtype=np.int32)
    ids = {}
    for i, document in enumerate(documents):
        for j, sentence in enumerate(split(document)[:4]):
            for k, word in enumerate(sentence[:5]):
                expected[i, j, k] = ids.setdefault(word, 2 + len(ids))
        expected[i, 0, 0] = expected[i, 0, 0] or UNKNOWN
    corpus = encode(documents, sentences=4, words=5)
    np.testing.assert_array_equal(corpus.ids, expected)
    assert corpus.words == tuple(ids)
    assert (corpus.ids == UNKNOWN).any()


def test_frequent_words():
    corpus, vectors = frequent_words(encode(["a b c. b", "c c d", "?"], 2, 3), min_count=2)
    assert corpus.words == ("b", "c")
    assert decoded(corpus) == [[["?", "b", "c"], ["b"]], [["c", "c", "?"]], [["?"]]]
    assert vectors.shape == (4, 50)
    assert vectors.dtype == np.float32


def test_all_words_are_frequent_enough_for_a_count_of_one():
    corpus = encode(["a b", "b c"], 1, 2)
    kept, vectors = frequent_words(corpus, min_count=1)
    assert kept.ids.tolist() == corpus.ids.tolist()
    assert len(vectors) == 5


def test_no_word_is_frequent_enough():
    corpus, vectors = frequent_words(encode(["a b", "c"], 1, 2), min_count=2)
    assert corpus.ids.tolist() == [[[1, 1]], [[1, 0]]]
    assert vectors.shape == (2, 50)


def test_random_vectors_have_the_std_of_the_docstring_and_always_the_same_values():
    corpus = encode([f"w{i}" for i in range(2000)], 1, 1)
    _, vectors = frequent_words(corpus, min_count=1)
    assert not vectors[PADDING].any()
    drawn = vectors[1:]
    spread = 6 / np.sqrt(drawn.size)
    assert abs(drawn.mean()) < 0.6 * spread
    assert drawn.std() == pytest.approx(0.6, rel=spread)
    assert vectors.tobytes() == frequent_words(corpus, min_count=1)[1].tobytes()
    assert len({row.tobytes() for row in vectors}) == len(vectors)


@pytest.fixture
def glove(tmp_path):
    def write(content):
        path = tmp_path / "glove.3d.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


GLOVE = "the 1 2 3\n, 4 5 6\nzebra 7 8 9\ncat -0.5 1e-3 0.25\n"


def test_glove_words(glove):
    corpus, vectors = glove_words(encode(["The cat, a cat.", "zebra?"], 1, 9), glove(GLOVE))
    assert corpus.words == ("the", "cat", "zebra")
    assert decoded(corpus) == [[["the", "cat", "?", "cat"]], [["zebra"]]]
    expected = [[0, 0, 0], [0, 0, 0], [1, 2, 3], [-0.5, 1e-3, 0.25], [7, 8, 9]]
    np.testing.assert_array_equal(vectors, np.array(expected, dtype=np.float32))
    assert vectors.dtype == np.float32


def test_glove_lines_end_at_line_feeds_alone(glove):
    corpus, _ = glove_words(encode(["cat"], 1, 1), glove("a\x85b 1 2\n\u2028 3 4\ncat 5 6\n"))
    assert corpus.words == ("cat",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "the 1 2 3\ncat 1 2\n",
            r"3d.txt, line 2: expected a word and 3 finite numbers, as many as on the first line$",
        ),
        ("the 1 2 3\ncat 1 2 nan\n", r"line 2: expected a word and 3 finite numbers"),
        ("2 3\nthe 1 2 3\ncat 1 2 3\n", r"line 3: expected a word and 1 finite numbers"),  # word2vec's header
        ("cat 1 two 3\n", r"line 1: could not convert string to float: 'two'; expected a word and 3 numbers$"),
        ("dog 1 2 3\n", r"3d.txt has none of the documents' words; expected lines such as 'the 0.418 0.24968 ...'$"),
        ("", r"3d.txt has none of the documents' words"),
        (b"a 1\nPK\xff\xfe\n", r"3d.txt, after line \d: not UTF-8 text; unpack an archive first$"),
    ],
)
def test_bad_glove(glove, content, message):
    with pytest.raises(UserError, match=message):
        glove_words(encode(["cat"], 1, 1), glove(content))


def test_missing_glove(tmp_path):
    with pytest.raises(UserError, match=r"^cannot read .*absent.txt: No such file or directory$"):
        glove_words(encode(["cat"], 1, 1), tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("document", "sentences"),
    [
        (
            "\u8fd9\u90e8\u7535\u5f71\u597d\u3002\u6211\u770b\uff01 OK",
            ["\u8fd9 \u90e8 \u7535 \u5f71 \u597d", "\u6211 \u770b", "ok"],
        ),
        ("abc\u4e2d\u6587def", ["abc \u4e2d \u6587 def"]),
        ("\u304c\u3067\u30ab\u30bf", ["\u304c \u3067 \u30ab \u30bf"]),
        ("\u0e14\u0e35\u0e21\u0e32\u0e01", ["\u0e14\u0e35 \u0e21 \u0e32 \u0e01"]),  # a vowel sign stays with its letter
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0905\u091a\u094d\u091b\u0940\u0964 \u0926\u0942",
            ["\u0939\u093f\u0928\u094d\u0926\u0940 \u0905\u091a\u094d\u091b\u0940", "\u0926\u0942"],
        ),
        ("\uc548\ub155 \ud558\uc138\uc694", ["\uc548\ub155 \ud558\uc138\uc694"]),
        ("re\u0301sume\u0301 R\u00c9SUM\u00c9", ["r\u00e9sum\u00e9 r\u00e9sum\u00e9"]),
        ("caf\u00e9's na\u00efve_1", ["caf\u00e9 s na\u00efve_1"]),
        ("Good.<br /><br />Bad &amp; <b class='x'>ugly</b>&nbsp;too<!-- or not -->", ["good", "bad ugly too"]),
        ("R&eacute;sum&eacute;", ["r\u00e9sum\u00e9"]),
        ("a < b and c > d, I <3 you > me", ["a b and c d i 3 you me"]),
        ("<john@x.com>", ["john x com"]),
    ],
)
def test_words_of_all_scripts_without_markup(document, sentences):
    assert split(document) == [sentence.split() for sentence in sentences]


def test_words_in_ascii_are_found_in_two_ways_alike():
    """The fast way and the one for all scripts."""
    document = "One_1, two's (three)! x-y? 4.5 - ok. Go."
    assert split(f"{document} \u00e9") == [*split(document), ["\u00e9"]]


def test_what_is_cut_off_and_unknown_is_counted():
    corpus = encode(["a b c", "a. b. c", "?", "", "a b"], sentences=2, words=2)
    assert corpus.cut == 2
    assert corpus.wordless == 2
    assert corpus.unknown == 2 / 8
    kept, _ = frequent_words(corpus, 3)
    assert kept.words == ("a", "b")
    kept, _ = frequent_words(corpus, 4)
    assert (kept.cut, kept.wordless, kept.unknown) == (2, 5, 1)
