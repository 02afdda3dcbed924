"""Checks of lesson 2.6: augmentation that helps, augmentation that lies."""

import numpy as np
import torch

from course_utils import data
from course_utils._arguments import kind
from course_utils.checks.core import (
    Mistake,
    call,
    exercise,
    expect_type,
    reading,
)

SURVIVES = {
    "cats and dogs: RandomHorizontalFlip": (True, "a mirrored cat is a cat"),
    "road signs, arrow left against arrow right: RandomHorizontalFlip": (False, "the mirror turns left into right"),
    "digits: RandomRotation(10)": (True, "people write slanted too"),
    "digits: RandomRotation(180)": (False, "a six that stands on its head is a nine"),
    "ripe or unripe tomatoes: ColorJitter(hue=0.5)": (False, "red or green is the label, and this draws any colour"),
    "cells under a microscope: RandomVerticalFlip": (True, "a slide has no up and down"),
    "small tumour in a large X-ray: RandomCrop of a tenth of it": (False, "most crops do not hold the tumour"),
    "handwritten letters b, d, p, q: RandomVerticalFlip": (False, "upside down in the mirror, b is p"),
}


@exercise("2.13", "Would the label survive?")
def label_survives(answers: object) -> str:
    expect_type(answers, dict, "label_survives")
    if set(answers) != set(SURVIVES):
        raise Mistake("the texts of the table were changed; restore them and change only what stands after the colon")
    for question, (truth, reason) in SURVIVES.items():
        answer = answers[question]
        if answer is None or answer is ...:
            raise Mistake(f"{question!r} is still open; write True or False")
        if not isinstance(answer, (bool, np.bool_)):
            raise Mistake(f"{question!r}: write True or False, without quotes; it is {kind(answer)}")
        if bool(answer) != truth:
            raise Mistake(f"{question!r}: think again, {reason}")
    return "whether an augmentation helps is a question about the data, never about the transform alone"


@exercise("bug 2.4", "A validation that wavers")
def bug_2_4(function: object) -> str:
    torch.default_generator.manual_seed(0)
    answer = call(function, 0)
    expect_type(answer, (tuple, list), "what make_parts() returns")
    if len(answer) != 2:
        raise Mistake(f"make_parts should return (train, valid), but it returned {len(answer)} thing(s)")
    train, valid = answer
    with reading("your parts"):
        numbers = [[int(part[i][1]) for i in range(len(part))] for part in (train, valid)]
    if [len(part) for part in numbers] != [16, 4]:
        raise Mistake(f"the parts have {len(numbers[0])} and {len(numbers[1])} samples, expected 16 and 4")
    for part in (train, valid):
        expect_type(part[0][0], torch.Tensor, "the picture of a sample")
    if set(numbers[0]) & set(numbers[1]):
        raise Mistake("a sample stands in both parts; split both Datasets with generators of the same seed")
    expected = torch.utils.data.random_split(range(20), [0.8, 0.2], generator=torch.Generator().manual_seed(0))
    if set(numbers[1]) != set(expected[1]):
        raise Mistake("the validation part has other samples than before; keep random_split and its seed")
    if any(not torch.equal(valid[i][0], valid[i][0]) for i in range(4) for _ in range(3)):
        raise Mistake("the validation samples still change at each reading; their Dataset has a random transform")
    originals = data.digits().images[:20].unsqueeze(1)
    if any(not torch.equal(torch.as_tensor(valid[i][0]), originals[valid[i][1]]) for i in range(4)):
        raise Mistake("the validation pictures are steady now, but changed; they should be the originals")
    if all(torch.equal(train[i][0], train[i][0]) for i in range(16)):
        raise Mistake("now the training part is not augmented either; it should be")
    return "a split shares its Dataset, and the Dataset has one transform: two transforms, two Datasets"
