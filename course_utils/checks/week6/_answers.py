"""What the checks of week 6 share: an answer's call without torch's own function, one number, the recording."""

from collections.abc import Callable

import torch
from torch.overrides import TorchFunctionMode

from course_utils._arguments import kind
from course_utils.checks.core import Mistake, call, plain_number


class _Names(TorchFunctionMode):
    """Notes the names of the torch functions that run inside, wherever they are called from."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_function__(
        self, function: Callable, kinds: object, arguments: tuple = (), named: dict | None = None
    ) -> object:
        self.seen.add(getattr(function, "__name__", ""))
        return function(*arguments, **(named or {}))


def call_by_hand(function: object, banned: str, words: str, *arguments: object) -> object:
    """What `function` returns; Mistake with `words` when it used a torch function with `banned` in its name."""
    with _Names() as names:
        returned = call(function, *arguments)
    if any(banned in name for name in names.seen):
        raise Mistake(words)
    return returned


def one_number(value: object, name: str) -> float:
    """`value` as a float; a Mistake when it isn't one real number."""
    number = plain_number(value, name)
    try:
        return float(number)
    except (TypeError, ValueError, OverflowError):
        raise Mistake(f"{name} should be one real number, but it is {kind(value)}") from None


def still_recording() -> None:
    """Raise Mistake when an answer has switched autograd off and not on again."""
    if not torch.is_grad_enabled():
        raise Mistake("afterwards no graph is recorded any more; use no_grad as a with block")
