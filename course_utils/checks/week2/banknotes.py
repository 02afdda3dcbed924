"""Checks of lesson 2.2: splitting, reading, training, measuring."""

import copy
import inspect
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms import v2

from course_utils import data
from course_utils._arguments import kind
from course_utils.checks.core import (
    Mistake,
    NotAttempted,
    attempted,
    call,
    exercise,
    expect_type,
    reading,
)
from course_utils.errors import in_words


@exercise("2.4", "Ten shots of one note")
def split_notes(function: object) -> str:
    names = [f"note{note:02}_shot{shot}.jpg" for note in range(1, 11) for shot in range(1, 2 + note % 5)]
    answer = call(function, list(names), 0.7, 0)
    expect_type(answer, (tuple, list), "what split_notes() returns")
    if len(answer) != 2 or not all(isinstance(part, (list, tuple)) for part in answer):
        raise Mistake("split_notes should return two lists, train and test")
    train, test = (list(part) for part in answer)
    if sorted(train + test) != sorted(names):
        raise Mistake(
            f"there were {len(names)} names, your lists hold {len(set(train + test))} different ones in "
            f"{len(train) + len(test)} places; use every name once"
        )
    notes = [{name.split("_")[0] for name in part} for part in (train, test)]
    if notes[0] & notes[1]:
        raise Mistake(f"{min(notes[0] & notes[1])} has shots in both lists: the test knows it already; split the notes")
    if not 6 <= len(notes[0]) <= 8:
        raise Mistake(f"train got {len(notes[0])} of 10 notes, expected about 7: share is the share of the notes")
    again = [list(part) for part in call(function, list(names), 0.7, 0)]
    if [sorted(part) for part in again] != [sorted(train), sorted(test)]:
        raise Mistake("the same seed gave another split the second time; make a generator from the seed")
    others = [frozenset(call(function, list(names), 0.7, seed)[0]) for seed in range(1, 6)]
    if all(other == frozenset(train) for other in others):
        raise Mistake("five other seeds gave the same split; shuffle the notes with the seed before you cut")
    for share in (0.01, 0.99):
        if not all(call(function, list(names), share, 0)):
            raise Mistake(f"with share {share} one list is empty; both get at least one note")
    return "patients, speakers, streets: whatever comes in groups is split by groups"


@exercise("bug 2.2", "An excellent model, half wrong")
def bug_2_2(function: object) -> str:
    classes = torch.arange(100) % 2
    points = TensorDataset(6.0 * classes.unsqueeze(1) - 3.0, classes)
    sign = nn.Linear(1, 2)
    for weights, truth in [([[-1.0], [1.0]], 1.0), ([[0.0], [1.0]], 1.0), ([[1.0], [-1.0]], 0.0)]:
        sign.load_state_dict({"weight": torch.tensor(weights), "bias": torch.zeros(2)})
        torch.default_generator.manual_seed(0)
        answer = call(function, sign, points)
        if isinstance(answer, torch.Tensor) and answer.numel() == 1:
            answer = answer.item()
        expect_type(answer, (int, float, np.floating), "the accuracy")
        if not 0 <= answer <= 1:
            raise Mistake(f"the accuracy is {answer:.4g}; it should be a share from 0 to 1")
        if not abs(answer - truth) <= 1e-3:
            doing = "always right" if truth else "always wrong"
            if round(100 * answer) in (89, 96) and truth:  # 100 of 112, 96 of 100: the last batch holds 4 of 16
                raise Mistake(f"a model always right gets {answer:.2f}: the last batch is shorter, count samples")
            raise Mistake(f"a model {doing} gets {answer:.2f}, not {truth:.2f}: guesses and labels differ in order")
    uneven = TensorDataset(points.tensors[0][:37], torch.zeros(37, dtype=torch.int64))
    sign.load_state_dict({"weight": torch.tensor([[-1.0], [1.0]]), "bias": torch.zeros(2)})
    answer = float(call(function, sign, uneven))
    if not abs(answer - 19 / 37) <= 1e-3:
        raise Mistake(f"19 of 37 is {19 / 37:.4f}, you get {answer:.4f}: the last batch is shorter, count samples")
    return "input and label travel together; whoever takes them apart must keep the order"


@exercise("2.5", "Cats and dogs")
def dog_cat(dataset_class: object, make_pictures: object) -> str:
    if not inspect.isclass(dataset_class):
        raise Mistake(f"this check takes the class itself, but it got {kind(dataset_class)}; pass it without ()")
    with tempfile.TemporaryDirectory(prefix="dogs", ignore_cleanup_errors=True) as folder:  # Windows: a file open
        try:
            make_pictures(folder)
        except Exception as error:
            raise Mistake(f"make_pictures stopped with {in_words(error, 120)}; restore it") from None
        # a dog in black and white, a number of two digits, a word that holds another
        Image.new("L", (90, 70), 200).save(Path(folder, "dog.10.jpg"))
        files = sorted(Path(folder).glob("*.jpg"))
        shrink = v2.Compose([v2.Resize((32, 32)), v2.ToImage()])
        pets = call(dataset_class, folder, shrink)
        with reading("your Dataset"):
            _judge_pets(pets, files, shrink)
    return "a Dataset is all it takes to read a new kind of folder: a list of files, and a rule for the label"


def _judge_pets(pets: Dataset, files: list[Path], shrink: object) -> None:
    if pets.__len__() is None:  # len() would raise a TypeError about it
        raise NotAttempted("not attempted yet (or a return is missing)")
    if len(pets) == len(files) + 1:
        raise Mistake("the text file is counted as a picture; take only the files that end in .jpg")
    if len(pets) != len(files):
        raise Mistake(f"the length is {len(pets)}, but there are {len(files)} pictures in the folder")
    labels, wanted = [], [int(path.name.startswith("dog")) for path in files]
    for index, path in enumerate(files):
        sample = pets[index]
        attempted(sample)
        if not isinstance(sample, (tuple, list)) or len(sample) != 2:
            raise Mistake(f"sample {index} should be the pair (picture, label), but it is {kind(sample)}")
        picture, label = sample
        if isinstance(picture, Image.Image):
            raise Mistake("the pictures come out as PIL pictures; apply the transform that the class was given")
        expect_type(picture, torch.Tensor, f"the picture of sample {index}")
        if picture.dim() != 3:
            raise Mistake(
                f"the picture of sample {index} has shape {tuple(picture.shape)}, the transform makes (3, 32, 32)"
            )
        if picture.shape[0] == 1:
            raise Mistake("a black and white file gives one channel; .convert('RGB') makes all alike")
        if isinstance(label, str):
            raise Mistake(f"the label of sample {index} is the text {label!r}; map cat to 0 and dog to 1")
        if isinstance(label, float) or (isinstance(label, torch.Tensor) and label.is_floating_point()):
            raise Mistake(f"the label of sample {index} is the float {label}; classes are whole numbers, 0 and 1")
        if label is None:
            raise Mistake(f"the label of sample {index} ({path.name}) is None; does your table know this name?")
        labels.append(int(label))
        wishes = [shrink(Image.open(other).convert("RGB")) for other in files]
        if not torch.equal(picture, wishes[index]):
            if any(torch.equal(picture, wish) for wish in wishes):
                raise Mistake(f"sample {index} is not the picture {path.name}; keep the sorted order of the names")
            raise Mistake(
                f"sample {index} is not what the transform makes of {path.name}; give it the RGB picture, return that"
            )
    if labels == [1] * len(labels):
        raise Mistake("every label is dog; did you look for 'dog' in the whole path? Only the name of the file counts")
    if labels == [1 - label for label in wanted]:
        raise Mistake("cats and dogs are swapped; cat is 0, dog is 1")
    if labels != wanted:
        raise Mistake(f"the labels are {labels}, but the names say {wanted}")


@exercise("2.6", "Train it yourself")
def train_banknotes(function: object) -> str:
    if not callable(function):
        raise Mistake(f"this check takes your function itself, but it got {kind(function)}; pass it without ()")
    tiny = DataLoader(TensorDataset(torch.zeros(2, 1), torch.tensor([0, 1])), batch_size=2)
    first = call(function, nn.Linear(1, 2), tiny, tiny, 1)  # not written yet? then no file is read for it
    if len(_shares(first)) != 1:
        raise Mistake(f"asked for 1 epoch, train returned {len(_shares(first))} accuracies; one for each of `epochs`")
    prepare = v2.Compose(
        [v2.Resize((32, 32)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)]
    )
    parts = {part: _read(data.banknotes(part), prepare) for part in ("train", "valid")}
    torch.default_generator.manual_seed(1)
    model = nn.Sequential(
        *(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 2)),
    )
    before = copy.deepcopy(model.state_dict())
    chance = torch.Generator().manual_seed(1)
    loader = DataLoader(parts["train"], batch_size=16, shuffle=True, generator=chance)
    answer = call(function, model, loader, DataLoader(parts["valid"], batch_size=25), 8)
    accuracies = _shares(answer)
    if len(accuracies) != 8:
        raise Mistake(f"train returned {len(accuracies)} accuracies for 8 epochs; one for each epoch")
    if not all(0 <= value for value in accuracies):
        raise Mistake(f"the accuracies are {accuracies}; each should be a number from 0 to 1")
    if max(accuracies) > 1:
        raise Mistake(f"an accuracy is {max(accuracies):.4g}; give shares from 0 to 1, counted anew every epoch")
    if all(torch.equal(before[name], value.cpu()) for name, value in model.state_dict().items()):
        raise Mistake("the model is the same as before: does the optimizer hold model.parameters(), and step?")
    images, labels = (torch.stack(part) for part in zip(*parts["valid"], strict=True))
    model.cpu().eval()
    with torch.no_grad():
        truth = (model(images).argmax(dim=1) == labels).float().mean().item()
    if not abs(truth - accuracies[-1]) <= 6e-3:
        raise Mistake(
            f"the last validation accuracy is {truth:.3f}, you return {accuracies[-1]:.3f}: count right answers and "
            "samples of the validation loader, after the epoch, from 0"
        )
    if truth < 0.9:
        raise Mistake(f"the accuracy ends at {truth:.3f}, expected 0.9: look at zero_grad, the step, the rate")
    return f"{truth:.1%} of the validation notes: from files to a working network, by your own hand"


def _shares(answer: object) -> list[float]:
    """The accuracies that train() returned, as floats."""
    accuracies = answer.tolist() if isinstance(answer, (torch.Tensor, np.ndarray)) else answer
    expect_type(accuracies, (list, tuple), "what train() returns")
    try:
        return [float(value) for value in accuracies]
    except (TypeError, ValueError):
        shown = ", ".join(kind(value) for value in accuracies[:2])
        raise Mistake(
            f"train should return one list of numbers, the accuracies, but its entries are: {shown}"
        ) from None


def _read(folder: Path, prepare: object) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """All samples of a folder of banknotes, as tensors: a list is a Dataset too."""
    return [
        (prepare(Image.open(path).convert("RGB")), torch.tensor(int(path.parent.name == "100")))
        for path in sorted(folder.rglob("*.jpg"))
    ]
