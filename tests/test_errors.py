"""Errors and warnings on purpose: shown as one line, and a failure when they do not come."""

import warnings

import pytest
import torch

from course_utils.errors import expected_error, expected_warning, one_line


def test_an_expected_error_is_printed_as_one_line(capsys):
    with expected_error(ValueError):
        raise ValueError("the first sentence.\n  It has a second one.")
    assert capsys.readouterr().out == "ValueError: the first sentence.\n"


def test_a_real_error_of_torch_is_one_line(capsys):
    with expected_error(RuntimeError):
        torch.ones(2, 3) @ torch.ones(2, 3)
    out = capsys.readouterr().out
    assert out.startswith("RuntimeError: ") and out.endswith("shapes cannot be multiplied (2x3 and 2x3)\n")
    assert out.count("\n") == 1


def test_one_of_several_kinds_and_its_subclasses_will_do(capsys):
    with expected_error(TypeError, LookupError):
        _ = {}["a"]
    assert capsys.readouterr().out == "KeyError: 'a'\n"


def test_no_error_is_a_failure(capsys):
    said = "expected to raise TypeError or ValueError, but it ran without"
    with pytest.raises(AssertionError, match=said), expected_error(TypeError, ValueError):
        pass
    assert capsys.readouterr().out == ""


def test_another_error_passes_through():
    with pytest.raises(ZeroDivisionError), expected_error(TypeError):
        _ = 1 / 0


@pytest.mark.parametrize("kinds", [(), ("ValueError",), (ValueError("text"),), (int,)])
def test_what_is_no_error_class_is_refused(kinds):
    said = r"write for example expected_error\(RuntimeError\)"
    with pytest.raises(TypeError, match=said), expected_error(*kinds):
        pass


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("It fails. Then more.", "It fails."),
        ("version 2.15 is fine", "version 2.15 is fine"),
        ("f() got a keyword argument 'fil'. Did you mean 'fill'?", "f() got a keyword argument 'fil'"),
        ("at <object at 0x7f3a> see https://example.org/a?b=c", "at <object at 0x…> see <link>"),
        ("a\n\n   b", "a b"),
        (KeyError("it happens when:\n1. never"), "'it happens when: 1. never'"),
        ("x" * 200, "x" * 159 + "…"),
        ("", ""),
    ],
)
def test_one_line(message, line):
    assert one_line(message) == line


# ---- warnings


def warn_once():
    """Does what torch warns of once in a process."""
    _ = torch.ones(2, 3, 4).T


def settings():
    return torch.is_warn_always_enabled(), list(warnings.filters)


def test_a_warning_that_torch_gives_once_is_shown_every_time(capsys):
    with warnings.catch_warnings(record=True):
        warn_once()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_once()
    assert not caught, "torch warns of this every time: choose another warning for this test"
    with expected_warning(UserWarning):
        warn_once()
    first = capsys.readouterr().out
    with expected_warning(UserWarning):
        warn_once()
    assert capsys.readouterr().out == first
    assert first.startswith("UserWarning: The use of `x.T` on tensors of dimension other than 2")
    assert first.count("\n") == 1


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_settings_are_restored_also_after_an_exception(always, error):
    before_all = torch.is_warn_always_enabled()
    torch.set_warn_always(always)
    try:
        before = settings()
        if error is None:
            with expected_warning():
                warnings.warn("look", UserWarning, stacklevel=1)
        else:
            with pytest.raises(error), expected_warning():
                warnings.simplefilter("ignore")
                raise error
        assert settings() == before
    finally:
        torch.set_warn_always(before_all)


def test_no_warning_is_a_failure_and_settings_are_restored():
    before = settings()
    said = "expected to give a FutureWarning, but it gave none"
    with pytest.raises(AssertionError, match=said), expected_warning(FutureWarning):
        pass
    assert settings() == before


def test_a_warning_of_another_kind_is_passed_on(capsys):
    with warnings.catch_warnings(record=True) as passed_on:
        warnings.simplefilter("always")
        with expected_warning(UserWarning):
            warnings.warn("old", DeprecationWarning, stacklevel=1)
            warnings.warn("look here", UserWarning, stacklevel=1)
    assert [(entry.category, str(entry.message)) for entry in passed_on] == [(DeprecationWarning, "old")]
    assert capsys.readouterr().out == "UserWarning: look here\n"


def test_a_warning_of_another_kind_is_not_the_one_expected():
    with (
        pytest.warns(DeprecationWarning, match="old"),
        pytest.raises(AssertionError, match="UserWarning"),
        expected_warning(UserWarning),
    ):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_a_warning_that_filters_turn_into_an_error_is_still_shown(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with expected_warning(UserWarning):
            warnings.warn("look", UserWarning, stacklevel=1)
    assert capsys.readouterr().out == "UserWarning: look\n"


@pytest.mark.parametrize("kind", [None, "UserWarning", ValueError, UserWarning("text")])
def test_what_is_no_warning_class_is_refused(kind):
    said = r"write for example expected_warning\(UserWarning\)"
    with pytest.raises(TypeError, match=said), expected_warning(kind):
        pass
