"""A check looks at an answer and says in one line: not attempted, not yet (and why), or right (and what to notice).

A check never raises and never prints a traceback. It tests in the order type, dtype, device, shape, requires_grad,
finite, values, so that the first message names the first thing to repair. It works on copies and restores what it
touches: random state, gradient mode, default dtype and device are afterwards what they were.
"""

import functools
import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

import numpy as np
import torch

from course_utils._arguments import kind
from course_utils.errors import in_words

OPEN, WRONG, RIGHT = "open", "wrong", "right"
MARKS = {OPEN: "○", WRONG: "✗", RIGHT: "✓"}
COLOURS = {OPEN: "#808080", WRONG: "#D55E00", RIGHT: "#009E73"}
GRADE_MIME = "application/vnd.pytorch-course.result+json"


class Mistake(Exception):
    """What is wrong with an answer, in one sentence for the learner."""


class NotAttempted(Exception):
    """The answer is still the stub's `...`."""


@dataclass(frozen=True)
class Result:
    """What a check found: `status` is "open", "wrong" or "right"; `message` is one sentence."""

    number: str
    status: str
    message: str

    def __repr__(self) -> str:
        return f"{MARKS[self.status]} {self.number} {self.message}"

    def _repr_html_(self) -> str:
        colour = COLOURS[self.status]
        return (
            f'<div style="border-left:4px solid {colour};padding:2px 10px">'
            f'<b style="color:{colour}">{MARKS[self.status]}</b> '
            f"<b>{escape(self.number)}</b> {escape(self.message)}</div>"
        )


class ForGrading:
    """A check's result as course_utils.grade reads it; anything else that stands in its place shows nothing."""

    def __init__(self, result: object) -> None:
        self._result = result

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        if type(self._result) is not Result:
            return {"text/plain": "no result of a check"}
        return {GRADE_MIME: {"number": self._result.number, "status": self._result.status}}


@dataclass(frozen=True)
class Summary:
    """The exercises of one week and how far the reader has come with each."""

    rows: tuple[tuple[str, str, str], ...]  # number, title, status

    @property
    def done(self) -> int:
        return sum(status == RIGHT for _, _, status in self.rows)

    def __repr__(self) -> str:
        lines = [f"{MARKS[status]} {number} {title}" for number, title, status in self.rows]
        return "\n".join([f"{self.done} of {len(self.rows)} solved", *lines])

    def _repr_html_(self) -> str:
        lines = "".join(
            f'<tr><td style="color:{COLOURS[status]}"><b>{MARKS[status]}</b></td><td>{number}</td>'
            f'<td style="text-align:left">{escape(title)}</td></tr>'
            for number, title, status in self.rows
        )
        return f"<b>{self.done} of {len(self.rows)} solved</b><table>{lines}</table>"


_titles: dict[str, str] = {}
_states: dict[str, str] = {}


def summary(week: int) -> Summary:
    """All exercises of `week` in order, each with what its check said last ("open" if it was never run)."""
    numbers = [number for number in _titles if number.removeprefix("bug ").split(".")[0] == str(week)]
    numbers.sort(key=lambda number: (number.startswith("bug"), int(number.split(".")[1])))
    return Summary(tuple((number, _titles[number], _states.get(number, OPEN)) for number in numbers))


def exercise(number: str, title: str) -> Callable:
    """Make a function into the check of exercise `number` ("1.4", or "bug 1.2"), and enter it in the summary.

    The function takes the learner's answers, raises Mistake with a sentence about the first mistake, and returns the
    sentence that a right answer earns. The check it becomes returns a Result, whatever it is called with.
    """

    def decorate(judge: Callable[..., str]) -> Callable[..., Result]:
        _titles[number] = title

        @functools.wraps(judge)
        def check(*answers: object, **named: object) -> Result:
            status, message = _judged(judge, (*answers, *named.values()))
            _states[number] = status
            return Result(number, status, message)

        return check

    return decorate


def _judged(judge: Callable[..., str], answers: tuple[object, ...]) -> tuple[str, str]:
    wanted = judge.__code__.co_argcount
    if len(answers) != wanted:
        return WRONG, f"this check takes {wanted} answer(s), but it was called with {len(answers)}; restore its line"
    try:
        with nothing_changed():
            for answer in answers:
                attempted(answer)
            return RIGHT, judge(*answers)
    except NotAttempted as still_open:
        return OPEN, str(still_open)
    except Mistake as mistake:
        return WRONG, " ".join(str(mistake).split())
    except (Exception, SystemExit) as error:  # an object we did not foresee: a line, not our stack trace
        return WRONG, f"the answer could not be read ({in_words(error, 120)}); compare its type with what is asked"


@contextmanager
def nothing_changed() -> Iterator[None]:
    """Give back, at the end, the random states, gradient mode, default dtype and device of the beginning."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    grad_mode, dtype, device = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device()
    cards = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        torch.set_default_dtype(torch.float32)  # what the tasks are written for
        if device.type != "cpu":
            torch.set_default_device("cpu")
        with torch.random.fork_rng(devices=cards), torch.enable_grad():
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_grad_enabled(grad_mode)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            # None is the CPU without a mode through which every later call would go
            torch.set_default_device(None if device.type == "cpu" else device)


def attempted(answer: object) -> None:
    """Raise NotAttempted when `answer` is `...` or None, or is a tuple, list or dict that holds only these."""
    if answer is None or answer is ...:
        raise NotAttempted("not attempted yet")
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, (tuple, list)) and answer and all(entry is None or entry is ... for entry in answer):
        raise NotAttempted("not attempted yet")


def call(function: object, *arguments: object) -> object:
    """What the learner's `function` returns for `arguments`; its own error becomes a Mistake of one line."""
    if not callable(function):
        raise Mistake(f"this check takes your function itself, but it got {kind(function)}; pass it without ()")
    name = getattr(function, "__name__", "your function")
    try:
        returned = function(*arguments)
    except (Exception, SystemExit) as error:
        code = getattr(function, "__code__", None)
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if code is not None and frame.filename == code.co_filename and frame.lineno >= code.co_firstlineno
        ]
        # counted from the line with `def`, which a reader finds in any cell
        place = f"line {lines[-1] - code.co_firstlineno + 1} of {name}" if lines else name
        raise Mistake(f"your function stopped in {place} with {in_words(error, 120)}") from None
    if returned is None:
        raise NotAttempted("not attempted yet (or its return is missing)")
    attempted(returned)
    return returned


@contextmanager
def reading(what: str) -> Iterator[None]:
    """An error that the learner's Dataset raises while it is read becomes a Mistake of one line."""
    try:
        yield
    except (Mistake, NotAttempted):
        raise
    except (Exception, SystemExit) as error:
        raise Mistake(f"reading {what} stopped with {in_words(error, 120)}") from None


def expect_type(value: object, wanted: type | tuple[type, ...], name: str) -> None:
    """Raise Mistake unless `value` is a `wanted`; a bool is no number."""
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted in (int, float, (int, float))):
        types = wanted if isinstance(wanted, tuple) else (wanted,)
        names = " or ".join(entry.__name__ for entry in types)
        article = "an" if names[0].lower() in "aeiou" else "a"
        raise Mistake(f"{name} should be {article} {names}, but it is {kind(value)}")


def plain_number(value: object, name: str) -> float:
    """`value` as a Python number: a number, or a tensor or NumPy array that holds just one. Else a Mistake."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return value.item()
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        return value.item()
    expect_type(value, (int, float), name)
    return value


def expect_tensor(
    value: object,
    name: str,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    shape: tuple[int, ...] | None = None,
    requires_grad: bool | None = None,
) -> None:
    """Raise Mistake unless `value` is a tensor with these properties (None: any) and only finite numbers."""
    expect_type(value, torch.Tensor, name)
    if dtype is not None and value.dtype != dtype:
        raise Mistake(f"{name} has dtype {value.dtype}, expected {dtype}; look at the values it was made from")
    if device is not None and value.device.type != torch.device(device).type:
        raise Mistake(f"{name} is on {value.device.type}, expected {torch.device(device).type}; move it with .to()")
    if shape is not None and tuple(value.shape) != tuple(shape):
        raise Mistake(f"{name} has shape {tuple(value.shape)}, expected {tuple(shape)}")
    if requires_grad is not None and value.requires_grad != requires_grad:
        wanted = "should record its operations (requires_grad)" if requires_grad else "should not require grad"
        raise Mistake(f"{name} {wanted}, but its requires_grad is {value.requires_grad}")
    if value.is_floating_point() and not bool(torch.isfinite(value).all()):
        raise Mistake(f"{name} holds nan or inf; look for a division by zero, a log of 0, or steps that are too long")


def expect_close(value: object, truth: object, name: str, why: str, tolerance: float = 1e-4) -> None:
    """Raise Mistake, ending in `why`, unless the numbers of `value` are those of `truth` within `tolerance`."""
    got = torch.as_tensor(value).detach().to("cpu", torch.float64)
    wanted = torch.as_tensor(truth).detach().to("cpu", torch.float64)
    if got.shape != wanted.shape:
        raise Mistake(f"{name} has shape {tuple(got.shape)}, expected {tuple(wanted.shape)}; {why}")
    if not torch.allclose(got, wanted, rtol=tolerance, atol=tolerance):
        if got.numel() == 1:
            raise Mistake(f"{name} is {got.item():.4g}, expected {wanted.item():.4g}: {why}")
        raise Mistake(f"{name} has the right shape, but other values: {why}")
