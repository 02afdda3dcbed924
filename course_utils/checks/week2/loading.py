"""Checks of lesson 2.1: Dataset, DataLoader, workers."""

import copy
import inspect
import math
import random

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from course_utils._arguments import kind
from course_utils.checks.core import (
    Mistake,
    NotAttempted,
    call,
    exercise,
    expect_close,
    expect_tensor,
    expect_type,
    reading,
)


@exercise("2.1", "How many steps?")
def steps(function: object) -> str:
    questions = [(87, 8, 1, False), (87, 8, 1, True), (88, 8, 1, False), (81, 8, 3, False), (5, 8, 2, True)]
    for samples, batch_size, epochs, drop_last in questions:
        truth = epochs * len(DataLoader(range(samples), batch_size, drop_last=drop_last))
        answer = call(function, samples, batch_size, epochs, drop_last)
        asked = f"steps({samples}, {batch_size}, {epochs}, {drop_last})"
        expect_type(answer, (int, float, np.integer), asked)
        if isinstance(answer, bool) or not math.isfinite(answer):
            raise Mistake(f"{asked} is {answer}, expected a whole number")
        if int(answer) != answer:
            raise Mistake(f"{asked} is {answer:.4g}, but there is no part of a step; round within each epoch")
        if answer == truth:
            continue
        if epochs > 1 and answer in (samples * epochs // batch_size, -(-samples * epochs // batch_size)):
            raise Mistake(f"{asked} is {answer}, expected {truth}: round in each epoch, the rest is not carried over")
        if samples % batch_size == 0:
            raise Mistake(f"{asked} is {answer}, expected {truth}: {samples} / {batch_size} comes out even")
        rounding = "down, the short batch is dropped" if drop_last else "up, the short batch is a step too"
        raise Mistake(f"{asked} is {answer}, expected {truth}: in each epoch N / batch size is rounded {rounding}")
    return "a loader tells it too: epochs * len(loader)"


@exercise("2.2", "A batch of unequal lengths")
def pad_together(function: object) -> str:
    samples = [(torch.tensor([5.0, 6.0]), 0), (torch.tensor([7.0, 0.0]), 1), (torch.tensor([1.0, 2.0, 3.0]), 1)]
    samples.append((torch.tensor([8.0]), 0))
    answer = call(function, [(tensor.clone(), label) for tensor, label in samples])
    expect_type(answer, (tuple, list), "what pad_together() returns")
    if len(answer) != 3:
        raise Mistake(f"pad_together should return (batch, lengths, labels), but it returned {len(answer)} thing(s)")
    batch, lengths, labels = answer
    expect_type(batch, torch.Tensor, "batch")
    if tuple(batch.shape) in ((4, 2), (4, 1)):
        raise Mistake(f"batch has shape {tuple(batch.shape)}: the sample of 3 numbers was cut; pad to the longest")
    if tuple(batch.shape) == (3, 4):
        raise Mistake("batch has shape (3, 4): the samples stand in the columns; each is a row (batch_first=True)")
    if tuple(batch.shape) != (4, 3):
        raise Mistake(f"batch has shape {tuple(batch.shape)}, expected (4, 3): samples, length of the longest")
    expect_tensor(batch, "batch", dtype=torch.float32)
    for name, numbers, truth in [("lengths", lengths, [2, 2, 3, 1]), ("labels", labels, [0, 1, 1, 0])]:
        expect_tensor(numbers, name, dtype=torch.int64, shape=(4,))
        if name == "lengths" and numbers.tolist() == [2, 1, 3, 1]:
            raise Mistake("the sample (7, 0) has length 2, its own zero counts; take the lengths before you pad")
        if numbers.tolist() != truth:
            raise Mistake(f"{name} is {numbers.tolist()}, expected {truth}; keep the order of the samples")
    wanted = [[5.0, 6.0, 0.0], [7.0, 0.0, 0.0], [1.0, 2.0, 3.0], [8.0, 0.0, 0.0]]
    if batch.tolist() == [[0.0, 5.0, 6.0], [0.0, 7.0, 0.0], [1.0, 2.0, 3.0], [0.0, 0.0, 8.0]]:
        raise Mistake("the zeros stand on the left; here they belong on the right, behind the numbers")
    expect_close(batch, torch.tensor(wanted), "batch", "each row is a sample, then zeros")
    if [tuple(call(function, samples[k : k + 2])[0].shape) for k in (0, 2)] != [(2, 2), (2, 3)]:
        raise Mistake("with batches of two the widths should be 2 and 3: pad to the longest of these samples")
    return "keep the lengths: without them nobody can tell a padded zero from a real one"


_CHAIN = ("__next__", "_next_data", "fetch", "__getitem__")


class _Seen(Dataset):
    """Calls the learner's function from inside `__getitem__`, as the exercise does."""

    def __init__(self, function: object) -> None:
        self.function, self.answer = function, None

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> torch.Tensor:
        self.owners = {
            entry.function: [kind.__name__ for kind in type(entry.frame.f_locals["self"]).__mro__]
            for entry in inspect.stack()[::-1]
            if entry.function in _CHAIN and "self" in entry.frame.f_locals
        }
        try:
            self.answer = call(self.function, inspect.stack())
        except (Mistake, NotAttempted) as outcome:
            self.answer = outcome
        return torch.tensor(index)


@exercise("2.3", "Trace the calls")
def call_chain(function: object) -> str:
    seen = _Seen(function)
    reader = iter(DataLoader(seen))
    next(reader)
    if isinstance(seen.answer, (Mistake, NotAttempted)):
        raise seen.answer
    chain = seen.answer
    expect_type(chain, (list, tuple), "what call_chain() returns")
    if not all(isinstance(entry, str) for entry in chain):
        raise Mistake('call_chain should return texts such as "MyDataset.__getitem__"')
    functions = [entry.split(".")[-1] for entry in chain]
    if not any("." in entry for entry in chain):
        raise Mistake("the functions are there, but not their classes: type(...) of the frame's self has a __name__")
    if functions[:1] == ["__getitem__"]:
        raise Mistake("the list runs from the inside out; turn it round, so that torch's __next__ comes first")
    wanted = list(_CHAIN)
    if "__next__" in functions[1:] or functions[:1] != ["__next__"]:
        raise Mistake(f"the list begins with {chain[0] if chain else 'nothing'}; begin with torch's __next__")
    if [entry for entry in functions if entry in wanted] != wanted:
        raise Mistake(f"the list has {', '.join(functions)}; between __next__ and __getitem__ stand two more")
    own, base = type(reader).__name__, type(reader).__mro__[1].__name__
    if chain[0].split(".")[0] not in (own, base) or chain[-1] != "_Seen.__getitem__":
        raise Mistake(f"the classes should run from {own} to the Dataset, but they are {chain[0]} and {chain[-1]}")
    for entry in chain:
        owner, _, function = entry.rpartition(".")
        if function in wanted and owner not in seen.owners[function]:
            raise Mistake(f"{entry}: {function} belongs to {seen.owners[function][0]}; ask each frame for its own self")
    return "sampler, fetcher, Dataset: every batch of every program of this course comes this way"


@exercise("bug 2.1", "Twins")
def bug_2_1(dataset_class: object) -> str:
    def read_by_workers(samples: Dataset) -> list[float]:
        base = int(torch.randint(2**31, ()))
        noise = [0.0] * len(samples)
        for worker in (0, 1):
            with torch.random.fork_rng(devices=[]):  # torch seeds all three generators in every worker
                torch.default_generator.manual_seed(base + worker)
                random.seed(base + worker)
                np.random.seed(base + worker)
                mine = copy.deepcopy(samples)
                for i in range(worker, len(samples), 2):
                    noise[i] = float(mine[i]) - i
        return noise

    if not inspect.isclass(dataset_class):
        raise Mistake(f"this check takes the class Noisy itself, but it got {kind(dataset_class)}; pass it without ()")
    torch.default_generator.manual_seed(0)
    noisy = call(dataset_class)
    with reading("your Noisy"):
        if len(noisy) != 8:
            raise Mistake(f"Noisy has {len(noisy)} samples, expected 8 as before")
        first, second = read_by_workers(noisy), read_by_workers(noisy)
    if all(abs(noise) < 1e-9 for noise in first):
        raise Mistake("there is no noise any more; the samples are to be noisy, each in its own way")
    if not 0.02 < np.std(first + second) < 0.3:
        raise Mistake(f"the noise has a spread of {np.std(first + second):.2g}, expected about 0.1 as before")
    if len({round(noise, 9) for noise in first}) < 8:
        raise Mistake("samples of the two workers still share their noise: each copy draws from the same state")
    if any(abs(a - b) < 1e-9 for a, b in zip(first, second, strict=True)):
        raise Mistake("within an epoch all differ now, but the next epoch repeats them: augmentation wants new noise")
    return "a generator of the Dataset is copied with its state; torch's own is seeded anew in every worker"
