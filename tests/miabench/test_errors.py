"""Errors that a user can cause quote strangers' files: they stay short and move no cursor."""

from miabench.errors import UserError, harmless_lines, nearest


def test_control_characters_are_escaped_and_lines_stay():
    error = UserError("a\x1b[2J\x00\x07\nb", "\udc80")
    assert error.problems == ("a\\x1b[2J\\x00\\x07\nb", "\\udc80")
    assert str(error) == "a\\x1b[2J\\x00\\x07\nb\n\\udc80"


def test_letters_of_all_scripts_stay():
    assert str(UserError("Größe, 価値, σ²")) == "Größe, 価値, σ²"


def test_long_messages_are_cut_in_their_middle():
    (problem,) = UserError(f"the file {'x' * 10**6} is damaged; remove it").problems
    assert problem.startswith("the file xxx")
    assert problem.endswith("xxx is damaged; remove it")
    assert "xxx... (996,031 more characters) ...xxx" in problem
    assert len(problem) < 4100


def test_of_many_lines_each_is_harmless():
    assert harmless_lines("a\x1b\n" * 3) == "a\\x1b\n" * 3
    assert len(harmless_lines(f"{'x' * 10**6}\n" * 2)) < 8200


def test_a_hint_names_a_few_of_very_many():
    hint = nearest("label", [f"c{i}" for i in range(10**5)])
    assert hint.endswith("and 99,960 more")
    assert len(hint) < 400
    assert nearest("labe", ["label", "x"]) == "; did you mean 'label'? Known: label, x"
