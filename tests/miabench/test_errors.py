"""Errors that a user can cause quote strangers' files: they stay short and move no cursor."""

from miabench.errors import UserError, nearest


def test_control_characters_are_escaped_and_lines_stay():
    error = UserError("a\x1b[2J\x00\x07\nb", "\udc80")
    assert error.problems == ("a\\x1b[2J\\x00\\x07\nb", "\\udc80")
    assert str(error) == "a\\x1b[2J\\x00\\x07\nb\n\\udc80"


def test_letters_of_all_scripts_stay():
    assert str(UserError("Größe, 価値, σ²")) == "Größe, 価値, σ²"


def test_long_messages_are_cut():
    (problem,) = UserError("x" * 10**6).problems
    assert problem.endswith("... (996,000 more characters)")
    assert len(problem) < 4100


def test_a_hint_names_a_few_of_very_many():
    hint = nearest("label", [f"c{i}" for i in range(10**5)])
    assert hint.endswith("and 99,960 more")
    assert len(hint) < 400
    assert nearest("labe", ["label", "x"]) == "; did you mean 'label'? Known: label, x"
