"""Errors and warnings that are raised on purpose, caught, and shown as one line.

A stored error output would stop papermill, and a stack trace that nobody meant frightens a reader. These two
context managers show the message instead, and fail when nothing was raised: the notebook's claim is then wrong.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def one_line(message: object, limit: int = 160) -> str:
    """The first sentence of `message`, without addresses and links, at most `limit` characters long."""
    text = str(message).replace("\\n", " ")  # a KeyError shows its message as repr does
    text = " ".join(text.split()).partition(". Did you mean")[0]  # newer Pythons add a guess
    text = re.sub(r"https?://\S+", "<link>", re.sub(r"\b0x[0-9a-f]+", "0x…", text))
    text = re.split(r"(?<=[.!]) (?=[A-Z(])", text)[0]
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def in_words(error: BaseException | Warning, limit: int = 160) -> str:
    """The class of `error` and the first sentence of its message, if it has one."""
    text = one_line(error, limit)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def expected_error(*kinds: type[BaseException]) -> Iterator[None]:
    """Run a block that must raise one of `kinds`, and print the error's name and first sentence.

    Raises AssertionError when the block raises nothing. An error of another kind is passed on.
    """
    if not kinds or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise TypeError("expected_error needs the error's class; write for example expected_error(RuntimeError)")
    try:
        yield
    except kinds as error:
        print(in_words(error))
    else:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise AssertionError(f"this block was expected to raise {names}, but it ran without an error")


@contextmanager
def expected_warning(kind: type[Warning] = UserWarning) -> Iterator[None]:
    """Run a block that must warn, and print the first warning of class `kind`.

    torch shows some warnings once in a process; inside the block it shows them always, so that a cell run twice
    prints the same. Raises AssertionError when the block warns of nothing; other warnings are passed on.
    """
    if not (isinstance(kind, type) and issubclass(kind, Warning)):
        raise TypeError("expected_warning needs the warning's class; write for example expected_warning(UserWarning)")
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        torch.set_warn_always(before)
        fitting = [entry for entry in caught if issubclass(entry.category, kind)]
        for entry in caught:
            if entry not in fitting:
                warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
    if not fitting:
        raise AssertionError(f"this block was expected to give a {kind.__name__}, but it gave none")
    print(in_words(fitting[0].message))
