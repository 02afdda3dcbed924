"""The checks of week 5. Each compares with something other than the solution: a closed form, a slow loop, torch."""

from course_utils.checks import core
from course_utils.checks.week5.dashboards import log_training, write_batch, write_line
from course_utils.checks.week5.hooks import before_and_after, bug_5_3, clip_by_hooks, first_bad
from course_utils.checks.week5.maps import box_of, bug_5_4, class_maps, grad_cam
from course_utils.checks.week5.plateaus import choose, factor, reduced_after
from course_utils.checks.week5.schedules import bug_5_1, bug_5_2, cosine_then_floor, fade, papers

__all__ = [
    "before_and_after",
    "box_of",
    "bug_5_1",
    "bug_5_2",
    "bug_5_3",
    "bug_5_4",
    "choose",
    "class_maps",
    "clip_by_hooks",
    "cosine_then_floor",
    "factor",
    "fade",
    "first_bad",
    "grad_cam",
    "log_training",
    "papers",
    "reduced_after",
    "summary",
    "write_batch",
    "write_line",
]


def summary() -> core.Summary:
    """The exercises of week 5, done and open."""
    return core.summary(5)
