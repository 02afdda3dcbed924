"""What one move of a control costs in each explorer: arithmetic, drawing, PNG, in processor time.

Half of the moves go to an end of a control's scale, half anywhere; which control is drawn by a fixed seed.
"""

import inspect
import random
import statistics
from collections.abc import Callable

from benchmarks.table import Row, cpu_seconds, p95
from course_utils import explore
from course_utils.explore import Explorer

LIMIT = 30  # milliseconds, for the median
MOVES = 200


def measure(quick: bool) -> list[Row]:
    return [one(make, 20 if quick else MOVES) for make in explorers()]


def explorers() -> list[Callable[[], Explorer]]:
    """Every function of course_utils.explore that makes an explorer."""
    functions = [getattr(explore, name) for name in explore.__all__]
    return [
        function
        for function in functions
        if inspect.isfunction(function) and inspect.signature(function).return_annotation is Explorer
    ]


def one(make: Callable[[], Explorer], moves: int) -> Row:
    """The row of one explorer, after `moves` moves."""
    explorer, chance = make(), random.Random(0)
    milliseconds: dict[str, list[float]] = {}
    for number in range(moves):
        name, value = next_move(explorer, chance, to_an_end=number % 2 == 0)
        control = explorer.controls[name]
        seconds = cpu_seconds(lambda control=control, value=value: setattr(control, "value", value))
        milliseconds.setdefault(name, []).append(1000 * seconds)
    explorer.close()
    every = [took for some in milliseconds.values() for took in some]
    slowest = max(milliseconds, key=lambda name: statistics.median(milliseconds[name]))
    return Row(
        make.__name__,
        statistics.median(every),
        "ms",
        limit=LIMIT,
        also={"p95, ms": p95(every), "slowest control, ms": statistics.median(milliseconds[slowest])},
        note=slowest,
    )


def next_move(explorer: Explorer, chance: random.Random, to_an_end: bool) -> tuple[str, object]:
    """A control that can be moved and another value for it; with `to_an_end` the first or last of its scale."""
    possible = []
    for name, control in explorer.controls.items():
        values = [value for _, value in control.options]
        if others := [value for value in values if value != control.value]:
            ends = [value for value in (values[0], values[-1]) if value != control.value]
            possible.append((name, ends if to_an_end else others))
    name, values = chance.choice(possible)
    return name, chance.choice(values)
