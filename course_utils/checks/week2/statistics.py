"""Checks of lesson 2.3: mean and standard deviation."""

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from course_utils._arguments import kind
from course_utils.checks.core import (
    Mistake,
    call,
    exercise,
    expect_close,
    expect_tensor,
    expect_type,
)


@exercise("2.7", "Statistics of a data set")
def channel_statistics(function: object) -> str:
    chance = torch.Generator().manual_seed(0)
    images = torch.rand(10, 3, 4, 5, generator=chance) * torch.tensor([1.0, 0.5, 0.1]).view(3, 1, 1)
    images += torch.linspace(0, 2, 10).view(10, 1, 1, 1)  # the batches differ, so a mean of their stds is wrong
    loader = DataLoader(TensorDataset(images, torch.zeros(10)), batch_size=4)
    answer = call(function, loader)
    expect_type(answer, (tuple, list), "what channel_statistics() returns")
    if len(answer) != 2:
        raise Mistake(f"channel_statistics should return (mean, std), but it returned {len(answer)} thing(s)")
    mean, std = (_numbers(part, name) for name, part in zip(("mean", "std"), answer, strict=True))
    pixels = images.double().permute(1, 0, 2, 3).reshape(3, -1).numpy()
    if mean.ndim == 0:
        raise Mistake("mean is one number; every channel has its own: which dimensions are summed?")
    if tuple(mean.shape) != (3,) or tuple(std.shape) != (3,):
        raise Mistake(f"mean has shape {tuple(mean.shape)} and std {tuple(std.shape)}, expected (3,) each")
    batches = [batch for batch, _ in loader]
    naive = torch.stack([batch.mean(dim=(0, 2, 3)) for batch in batches]).mean(dim=0)
    if torch.allclose(mean, naive.double(), atol=1e-5):
        raise Mistake("this is the mean of the batches' means; the last batch is shorter and must count less")
    if torch.allclose(mean, torch.from_numpy(pixels.std(axis=1)), atol=1e-2):
        raise Mistake("the two are swapped: first mean, then std")
    expect_close(mean, pixels.mean(axis=1), "mean", "sum of all pixels of a channel, divided by their number")
    naive = torch.stack([batch.std(dim=(0, 2, 3)) for batch in batches]).mean(dim=0)
    if torch.allclose(std, naive.double(), atol=1e-3):
        raise Mistake("mean is right, but std is the mean of the batches' stds: it misses how much the batches differ")
    if torch.allclose(std, torch.from_numpy(pixels.var(axis=1)), atol=1e-2):
        raise Mistake("mean is right; std is the variance, its root is missing")
    expect_close(std, pixels.std(axis=1), "std", "the root of: mean of the squares minus square of the mean", 2e-2)
    return "sums can be added batch by batch, standard deviations cannot; no data set is too large for this"


def _numbers(part: object, name: str) -> torch.Tensor:
    """One number a channel, from a tensor on any device, an array or a list."""
    try:
        values = torch.as_tensor(part).detach().cpu().to(torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Mistake(f"{name} should be a tensor with one number a channel, but it is {kind(part)}") from None
    if not bool(torch.isfinite(values).all()):
        raise Mistake(f"{name} holds nan or inf; is it a root of a negative number? mean of the squares comes first")
    return values


@exercise("2.8", "The undoing transform")
def undo(function: object) -> str:
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.4]
    picture = torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(0))
    normalised = v2.Normalize(mean, std)(picture)
    transform = call(function, list(mean), list(std))
    if isinstance(transform, torch.Tensor):
        raise Mistake("undo should return a transform, something to call with a picture; it returned a tensor")
    if not callable(transform):
        raise Mistake(f"undo should return something to call, but it returned {kind(transform)}")
    kept = normalised.clone()
    back = call(transform, normalised)
    expect_type(back, torch.Tensor, "the picture that comes back")
    if not back.is_floating_point():
        raise Mistake(f"the picture that comes back is {back.dtype}; in 0…1 it needs a float dtype")
    expect_tensor(back, "the picture that comes back", device="cpu", shape=(3, 6, 5))
    back = back.detach().to(torch.float32)
    if not torch.equal(kept, normalised):
        raise Mistake("your transform changed the picture that it was given; work on a new tensor")
    m, s = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
    if torch.allclose(back, v2.Normalize(mean, std)(normalised), atol=1e-4):
        raise Mistake("this normalises a second time; the way back multiplies by std and adds mean")
    if torch.allclose(back, (normalised + m) * s, atol=1e-4):
        raise Mistake("the order is turned round: first times std, then plus mean")
    expect_close(back, picture, "the picture that comes back", "x = y * std + mean, channel by channel")
    return "Normalize with -mean/std and 1/std: a change of units, and its inverse is one too"


@exercise("bug 2.3", "Every part its own mean")
def bug_2_3(function: object) -> str:
    chance = torch.Generator().manual_seed(5)
    train, valid = torch.rand(50, generator=chance), torch.rand(20, generator=chance) * 0.3
    answer = call(function, train.clone(), valid.clone())
    expect_type(answer, (tuple, list), "what normalise() returns")
    if len(answer) != 2:
        raise Mistake(f"normalise should return (train, valid), but it returned {len(answer)} thing(s)")
    for name, part, before in zip(("train", "valid"), answer, (train, valid), strict=True):
        expect_tensor(part, name, dtype=torch.float32, device="cpu", shape=tuple(before.shape))
    new_train, new_valid = (part.detach() for part in answer)
    if torch.equal(new_valid, valid):
        raise Mistake("the validation part is not normalised at all; the model expects the training part's units")
    if torch.allclose(new_valid, valid, atol=1e-4):
        raise Mistake(
            "the validation part came back as it was: is `train` overwritten before its mean and std are taken again? "
            "By then they are 0 and 1; keep both in names of their own first"
        )
    both = torch.cat([train, valid])
    if torch.allclose(new_valid, (valid - both.mean()) / both.std(), atol=1e-4):
        raise Mistake("mean and std were taken over both parts: that is a leak, the validation part counts as unseen")
    if torch.allclose(new_valid, (valid - valid.mean()) / valid.std(), atol=1e-4):
        raise Mistake("the validation part still gets its own mean and std: equal pictures become different numbers")
    expect_close(new_train, (train - train.mean()) / train.std(), "train", "it keeps its own mean and std", 2e-2)
    expect_close(new_valid, (valid - train.mean()) / train.std(), "valid", "use the training part's mean and std", 2e-2)
    return "the statistics are part of the model: learnt on the training part, kept, and used on everything after"
