"""A prediction keeps the reader's guess, shows it beside the truth, and needs no front end."""

import sys

import ipywidgets
import pytest

from course_utils import predict as module
from course_utils.predict import NO_GUESS, predict

QUESTION = "What does a.add_(1) change?"
OPTIONS = ["a", "a and b", "nothing"]


@pytest.fixture(autouse=True)
def forget_guesses(monkeypatch):
    monkeypatch.setattr(module, "_guesses", {})


def control(prediction):
    """The widget that the reader works with."""
    assert prediction._repr_mimebundle_()["application/vnd.jupyter.widget-view+json"]
    (found,) = [child for child in prediction._widget().children if not isinstance(child, ipywidgets.HTML)]
    return found


def test_without_an_answer_the_guess_is_the_default():
    assert predict(QUESTION, OPTIONS).guess == NO_GUESS
    assert predict(QUESTION, OPTIONS, default="a").guess == "a"


def test_the_reveal_shows_guess_and_truth():
    prediction = predict(QUESTION, OPTIONS)
    assert repr(prediction.reveal("a")) == "you predicted: no guess yet\nit is:         a"
    prediction.guess = "nothing"
    assert repr(prediction.reveal("a and b")) == "you predicted: nothing ✗\nit is:         a and b"
    prediction.guess = "a and b"
    assert repr(prediction.reveal("a and b")) == "you predicted: a and b ✓\nit is:         a and b"


def test_a_number_is_compared_as_it_reads():
    prediction = predict("How many?", ["2", "3"])
    prediction.guess = 3
    assert prediction.reveal(3).right and not prediction.reveal(2).right


def test_free_text_is_shown_and_not_judged():
    prediction = predict("How many?")
    prediction.guess = "about 3"
    reveal = prediction.reveal(3)
    assert not reveal.right and not reveal.wrong
    assert repr(reveal) == "you predicted: about 3\nit is:         3"


def test_the_guess_is_kept_when_the_cell_runs_again():
    control(predict(QUESTION, OPTIONS)).value = "a and b"
    again = predict(QUESTION, OPTIONS)
    assert again.guess == "a and b"
    assert control(again).value == "a and b"
    assert predict("Another question?", OPTIONS).guess == NO_GUESS


@pytest.mark.parametrize("options", [OPTIONS, None])
def test_the_widget_changes_the_guess(options):
    prediction = predict(QUESTION, options)
    control(prediction).value = "nothing"
    assert prediction.guess == "nothing"


def test_a_guess_that_was_typed_and_deleted_is_no_guess():
    prediction = predict(QUESTION)
    control(prediction).value = "b"
    control(prediction).value = ""
    assert prediction.guess == NO_GUESS


def test_a_choice_is_not_made_for_the_reader():
    assert control(predict(QUESTION, OPTIONS)).value is None


def test_the_truth_must_be_among_the_options():
    with pytest.raises(ValueError, match="the truth 'b' is not among the options") as caught:
        predict(QUESTION, OPTIONS).reveal("b")
    assert "\n" not in str(caught.value)


def test_the_plain_text_is_the_same_whatever_was_guessed():
    text = f"? {QUESTION}  [a | a and b | nothing]"
    for guess in OPTIONS:
        prediction = predict(QUESTION, OPTIONS)
        assert repr(prediction) == text == prediction._repr_mimebundle_()["text/plain"]
        prediction.guess = guess
    assert repr(predict(QUESTION)) == f"? {QUESTION}"


def test_text_that_looks_like_html_is_shown_as_text():
    tricky = "<b>&</b>"
    prediction = predict(f"Is it {tricky}?", [tricky, "no"])
    prediction.guess = tricky
    html = prediction.reveal(tricky)._repr_html_()
    assert tricky not in html and html.count("&lt;b&gt;&amp;&lt;/b&gt;") == 2
    (label,) = [child for child in prediction._widget().children if isinstance(child, ipywidgets.HTML)]
    assert tricky not in label.value and "&lt;b&gt;" in label.value


def test_nothing_of_ipywidgets_is_needed_without_a_front_end(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    prediction = predict(QUESTION, OPTIONS, default="a")
    assert "a ✓" in repr(prediction.reveal("a"))
    assert "a ✓" in prediction.reveal("a")._repr_html_()
    with pytest.raises(ImportError):  # so that this test would notice an import
        prediction._widget()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("",), "needs a question"),
        (("  ",), "needs a question"),
        ((None,), "needs a question"),
        ((3,), "needs a question"),
        ((QUESTION, []), "at least two different texts"),
        ((QUESTION, ["a"]), "at least two different texts"),
        ((QUESTION, ["a", "a"]), "at least two different texts"),
        ((QUESTION, [1, 2]), "at least two different texts"),
        ((QUESTION, [["a"], ["b"]]), "at least two different texts"),
        ((QUESTION, "yes or no"), "at least two different texts"),
        ((QUESTION, 5), "at least two different texts"),
        ((QUESTION, OPTIONS, "typo"), "the default 'typo' is not among the options"),
    ],
)
def test_bad_input_gives_one_clear_line(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        predict(*arguments)
    assert "\n" not in str(caught.value)


def test_the_same_question_with_other_options_has_a_guess_of_its_own():
    first = predict("The same words?", ["a", "b"])
    first.guess = "a"
    assert predict("The same words?", ["a", "b"]).guess == "a"
    assert predict("The same words?", ["c", "d"]).guess == NO_GUESS


def test_a_cell_run_again_leaves_no_widgets_behind(monkeypatch):
    from ipywidgets.widgets.widget import _instances

    monkeypatch.setattr("course_utils._widgets._shown", {})

    def show(run: str) -> int:
        parent = {"metadata": {"cellId": "cell"}, "header": {"msg_id": run}}
        shell = type("Shell", (), {"get_parent": lambda self: parent})()
        monkeypatch.setattr("IPython.get_ipython", lambda: shell)
        predict("Which one?", ["a", "b"])._repr_mimebundle_()
        return len(_instances)

    counts = [show(str(run)) for run in range(4)]
    assert counts[1:] == counts[:1] * 3
