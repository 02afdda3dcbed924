"""The one check of start_here: it shows the reader the three things a check can say."""

import torch

from course_utils.checks.core import Mistake, exercise, expect_tensor


@exercise("0.1", "Three states of a check")
def first_answer(answer: object) -> str:
    expect_tensor(answer, "answer", dtype=torch.int64, shape=())
    if answer.item() != 42:
        raise Mistake(f"answer holds {answer.item()}, expected the product of 6 and 7")
    return "solved; in the weeks this line says what is worth noticing"
