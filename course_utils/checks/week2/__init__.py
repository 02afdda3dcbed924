"""The checks of week 2. Each compares with something other than the solution: a loader, a slow loop, torch itself."""

from course_utils.checks import core
from course_utils.checks.week2.augmenting import bug_2_4, label_survives
from course_utils.checks.week2.banknotes import bug_2_2, dog_cat, split_notes, train_banknotes
from course_utils.checks.week2.loading import bug_2_1, call_chain, pad_together, steps
from course_utils.checks.week2.statistics import bug_2_3, channel_statistics, undo
from course_utils.checks.week2.transforms import crop_vote, pepper_noise, sizes, ten_augmentations

__all__ = [
    "bug_2_1",
    "bug_2_2",
    "bug_2_3",
    "bug_2_4",
    "call_chain",
    "channel_statistics",
    "crop_vote",
    "dog_cat",
    "label_survives",
    "pad_together",
    "pepper_noise",
    "sizes",
    "split_notes",
    "steps",
    "summary",
    "ten_augmentations",
    "train_banknotes",
    "undo",
]


def summary() -> core.Summary:
    """The exercises of week 2, done and open."""
    return core.summary(2)
