"""Which column a label means, in the forms that people's files have, and probabilities with few decimals."""

import numpy as np
import pytest
from scipy.special import softmax

from miabench import UserError
from miabench.auditing.audit import audit
from miabench.auditing.outputs import sum_tolerance
from miabench.auditing.predictions import read_all, read_predictions

NAMES = np.array(["cat", "dog", "owl"])


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return softmax(rng.normal(size=(30, 3)), axis=1), rng.integers(3, size=30)


@pytest.fixture
def save(tmp_path):
    def saved(name="m.npz", **arrays):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return saved


@pytest.fixture
def write(tmp_path):
    """A CSV of a header and columns."""

    def written(header, *columns, name="m.csv"):
        rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
        return tmp_path / name

    return written


def refused(path, message):
    with pytest.raises(UserError) as error:
        read_predictions(path)
    assert str(error.value).startswith(f"{path}{message}"), str(error.value)


# --- names ---


def test_names_are_columns_in_sorted_order(arrays, save, write):
    p, labels = arrays
    expected = read_predictions(save(probabilities=p, labels=labels))
    for path in (
        save("n.npz", probabilities=p, labels=NAMES[labels]),
        write("p0,p1,p2,label", *p.T, NAMES[labels]),
        write("p1,p2,p3,label", *p.T, NAMES[labels], name="r.csv"),
    ):
        read = read_predictions(path)
        np.testing.assert_array_equal(read.labels, expected.labels)
        np.testing.assert_array_equal(read.logits, expected.logits)
        assert read.classes == ("cat", "dog", "owl")


def test_an_array_of_classes_gives_the_order(arrays, save):
    p, labels = arrays
    read = read_predictions(save(probabilities=p, labels=NAMES[labels], classes=["owl", "cat", "dog"]))
    np.testing.assert_array_equal(read.labels, (labels + 1) % 3)


def test_classes_may_be_numbers_as_scikit_learn_has_them(arrays, save):
    p, labels = arrays
    read = read_predictions(save(probabilities=p, labels=np.array([10, 20, 50])[labels], classes=[10, 20, 50]))
    np.testing.assert_array_equal(read.labels, labels)


def test_labels_that_are_numbers_of_columns_beside_names(arrays, save):
    p, labels = arrays
    np.testing.assert_array_equal(read_predictions(save(probabilities=p, labels=labels, classes=NAMES)).labels, labels)


def test_a_class_that_one_file_lacks_is_found_in_another(arrays, save):
    p, labels = arrays
    lacking = NAMES[np.minimum(labels, 1)]
    paths = [save(probabilities=p, labels=lacking), save("n.npz", probabilities=p, labels=NAMES[labels])]
    first, second = read_all(paths, False)
    np.testing.assert_array_equal(first.labels, np.minimum(labels, 1))
    np.testing.assert_array_equal(second.labels, labels)


def test_the_report_says_how_names_were_taken(arrays, save):
    p, labels = arrays
    paths = [save(f"{i}.npz", probabilities=np.roll(p, i, 0), labels=NAMES[np.roll(labels, i)]) for i in range(2)]
    assert audit(*paths).notes == ("labels are names, of the columns in this order: cat, dog, owl",)


def test_numbers_as_text_are_numbers(arrays, save):
    p, labels = arrays
    np.testing.assert_array_equal(read_predictions(save(probabilities=p, labels=labels.astype(str))).labels, labels)


def test_wrong_names(arrays, save, write):
    p, labels = arrays
    mixed = NAMES[labels]
    mixed[4] = "7"
    refused(save(probabilities=p, labels=mixed), ", row 0 (from 0): ")
    path = write("p0,p1,p2,label", *p.T, ["", *NAMES[labels][1:]])
    refused(path, ", line 2, column 'label': an empty cell")
    refused(
        save(probabilities=p, labels=NAMES[labels], classes=NAMES[:2]),
        ": the outputs have 3 columns, but labels name 2: cat, dog; give",
    )
    refused(
        save(probabilities=p, labels=NAMES[labels], classes=["cat", "dog", "emu"]),
        f", row {np.flatnonzero(labels == 2)[0]} (from 0): label owl is none of the array 'classes'",
    )
    four = NAMES[labels].astype("<U9")
    four[5] = "elephant"
    refused(save(probabilities=p, labels=four), ": the outputs have 3 columns, but labels name 4: cat, dog, elep")


# --- columns from p1 ---


def test_columns_from_p1_have_labels_from_1(arrays, save, write):
    p, labels = arrays
    expected = read_predictions(save(probabilities=p, labels=labels))
    read = read_predictions(write("p1,p2,p3,label", *p.T, labels + 1))
    np.testing.assert_array_equal(read.labels, labels)
    np.testing.assert_array_equal(read.logits, expected.logits)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_any_delimiter(arrays, write, delimiter):
    p, labels = arrays
    expected = read_predictions(write("p0,p1,p2,label", *p.T, labels))
    path = write("p0,p1,p2,label", *p.T, labels, name="other.csv")
    path.write_text(path.read_text().replace(",", delimiter))
    read = read_predictions(path)
    np.testing.assert_array_equal(read.logits, expected.logits)
    np.testing.assert_array_equal(read.labels, labels)


def test_decimal_commas(arrays, write):
    p, labels = arrays
    p = p.round(4)
    expected = read_predictions(write("p0,p1,p2,label", *p.T, labels))
    path = write("p0,p1,p2,label", *p.T, labels, name="german.csv")
    path.write_text(path.read_text().replace(",", ";").replace(".", ","))
    np.testing.assert_array_equal(read_predictions(path).logits, expected.logits)


def test_label_0_has_no_column_where_they_begin_with_p1(arrays, write):
    p, labels = arrays
    refused(
        write("p1,p2,p3,label", *p.T, labels),
        f", line {2 + np.flatnonzero(labels == 0)[0]}: label 0; a label is the number of a column, 1 to 3",
    )


def test_a_column_missing_after_p1(arrays, write):
    p, labels = arrays
    refused(write("p1,p2,p4,label", *p.T, labels), " has no column 'p3'")


# --- one column of two classes ---


@pytest.mark.parametrize("header", ["p1,label", "p,label"])
def test_the_probability_of_the_second_class_alone(write, header):
    p, labels = np.random.default_rng(0).random(30), np.arange(30) % 2
    read = read_predictions(write(header, p, labels))
    np.testing.assert_allclose(read.logits, np.log(np.stack([1 - p, p], 1)))
    np.testing.assert_array_equal(read.labels, labels)


@pytest.mark.parametrize("shape", [(30,), (30, 1)])
def test_one_column_of_an_npz(save, shape):
    values, labels = np.random.default_rng(0).random(30), np.arange(30) % 2
    p = read_predictions(save(probabilities=values.reshape(shape), labels=labels)).logits
    np.testing.assert_allclose(p, np.log(np.stack([1 - values, values], 1)))
    z = read_predictions(save(logits=values.reshape(shape), labels=labels)).logits
    np.testing.assert_allclose(softmax(z, axis=1)[:, 1], 1 / (1 + np.exp(-values)))


def test_names_of_two_classes(write):
    p = np.random.default_rng(0).random(30)
    read = read_predictions(write("p,label", p, ["no", "yes"] * 15))
    np.testing.assert_array_equal(read.labels, np.arange(30) % 2)


def test_what_one_column_cannot_be(write):
    p, labels = np.random.default_rng(0).random(30), np.arange(30) % 2
    refused(write("p0,label", p, labels), ": one column of probabilities alone must be P(y = 1), named p1 or p, not p0")
    refused(write("p1,label", p, labels + 1), ", line 3: label 2; a label is the number of a column, 0 to 1")
    refused(write("p1,label", 2 * p, labels), f", line {2 + np.flatnonzero(2 * p > 1.001)[0]}: ")


# --- decimals ---


@pytest.mark.parametrize("num_classes", [3, 10, 100])
def test_three_decimals_are_enough(save, num_classes):
    rng = np.random.default_rng(0)
    p = softmax(2 * rng.normal(size=(300, num_classes)), axis=1).round(3)
    assert (p.sum(1) != 1).any()
    read = read_predictions(save(probabilities=p, labels=np.zeros(300)))
    np.testing.assert_allclose(softmax(read.logits, axis=1), p / p.sum(1, keepdims=True), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("num_classes", "edge"), [(2, 0.001), (3, 0.0015), (10, 0.005), (100, 0.05), (2000, 0.5), (1000, 0.5)]
)
def test_the_documented_edge_belongs_to_what_is_accepted(save, num_classes, edge):
    """In decimals, whatever 0.999 - 1 is in binary."""
    assert sum_tolerance(num_classes) == pytest.approx(edge)
    for sign in (-1, 1):
        p = np.full((10, num_classes), round((1 + sign * edge) / num_classes, 12))
        assert len(read_predictions(save(probabilities=p, labels=np.zeros(10))).labels) == 10
        p[4] += sign * 2e-6 / num_classes
        refused(save(probabilities=p, labels=np.zeros(10)), ", row 4 (from 0): the probabilities sum to ")


def test_a_probability_above_1_by_rounding(save):
    p = np.tile([1.001, 0.0, 0.0], (10, 1))
    assert len(read_predictions(save(probabilities=p, labels=np.zeros(10))).labels) == 10
    p[3, 0] = 1.0011
    refused(save(probabilities=p, labels=np.zeros(10)), ", row 3 (from 0): 1.0011 is no probability")


def test_two_decimals_are_told_what_to_do(save):
    p = np.tile([0.33, 0.33, 0.33], (10, 1))
    refused(
        save(probabilities=p, labels=np.zeros(10)),
        ", row 0 (from 0): the probabilities sum to 0.99; expected 1 within 0.0015, as 3 classes at three decimals may "
        "miss it: save more decimals, or logits",
    )
