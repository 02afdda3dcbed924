"""The checks of week 4. Each compares with something other than the solution: a closed form, a slow loop, torch."""

from course_utils.checks import core
from course_utils.checks.week4.beginnings import between, bug_4_1, bug_4_2, gain, initialise, reductions
from course_utils.checks.week4.losses import bug_4_3, bug_4_4, frames_needed, hardest, loss_map, pinball
from course_utils.checks.week4.optimizers import breaking_rate, bug_4_5, bug_4_6, first_step, lion, three_groups

__all__ = [
    "between",
    "breaking_rate",
    "bug_4_1",
    "bug_4_2",
    "bug_4_3",
    "bug_4_4",
    "bug_4_5",
    "bug_4_6",
    "first_step",
    "frames_needed",
    "gain",
    "hardest",
    "initialise",
    "lion",
    "loss_map",
    "pinball",
    "reductions",
    "summary",
    "three_groups",
]


def summary() -> core.Summary:
    """The exercises of week 4, done and open."""
    return core.summary(4)
