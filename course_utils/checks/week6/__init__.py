"""The checks of week 6. Each compares with something other than the solution: a closed form, a slow loop, torch."""

from course_utils.checks import core
from course_utils.checks.week6.averages import one_cycle, refresh, young_ema
from course_utils.checks.week6.modes import bug_6_1, only_head
from course_utils.checks.week6.normalising import bn_four, plus_minus
from course_utils.checks.week6.regularising import dropout_scale, weight_decay
from course_utils.checks.week6.speed import accumulate, healthy
from course_utils.checks.week6.states import bug_6_2, bug_6_3, frozen_body, load_what_fits, through_a_file
from course_utils.checks.week6.tuning import bug_6_4, diagnosis, patients, report

__all__ = [
    "accumulate",
    "bn_four",
    "bug_6_1",
    "bug_6_2",
    "bug_6_3",
    "bug_6_4",
    "diagnosis",
    "dropout_scale",
    "frozen_body",
    "healthy",
    "load_what_fits",
    "one_cycle",
    "only_head",
    "patients",
    "plus_minus",
    "refresh",
    "report",
    "summary",
    "through_a_file",
    "weight_decay",
    "young_ema",
]


def summary() -> core.Summary:
    """The exercises of week 6, done and open."""
    return core.summary(6)
