"""The error clinic: every error of its table is raised really, or, where that needs a GPU, built with torch's text."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from course_utils import clinic


def weight() -> torch.Tensor:
    return torch.ones(3, requires_grad=True)


def changed_in_place():
    y = weight().exp()
    y += 1
    y.sum().backward()


def backward_twice():
    loss = (weight() ** 2).sum()
    loss.backward()
    loss.backward()


def hook_before_inplace():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
    net[0].register_full_backward_hook(lambda *_: None)
    net(torch.ones(1, 2))


def under_inference_mode():
    with torch.inference_mode():
        x = torch.ones(3)
    (weight() * x).sum()


class Forgetful(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(1, 1)


class Empty(nn.Module):
    pass


class NoReturn(nn.Module):
    def forward(self, x):
        x + 1


def load(state: object) -> None:
    nn.Linear(2, 2).load_state_dict(state)


def whole_model(folder):
    torch.save(nn.Linear(2, 2), folder / "model.pt")
    torch.load(folder / "model.pt")


def numpy_number(folder):
    torch.save({"accuracy": np.float64(0.5)}, folder / "numbers.pt")
    torch.load(folder / "numbers.pt")


ones, longs = torch.ones, torch.ones(4, dtype=torch.long)
# what raises the error, words of the cause, words of the look
REAL = {
    "matmul": (lambda: nn.Linear(4, 5)(ones(2, 3)), "wants 4 numbers in each row, but the rows have 3", "flatten"),
    "broadcast": (lambda: ones(3) + ones(4), "one has 3 where the other has 4", "both shapes"),
    "channels": (lambda: nn.Conv2d(3, 8, 3)(ones(1, 1, 5, 5)), "built for 3 channels and got 1", "(N, C, H, W)"),
    "conv dimensions": (lambda: nn.Conv2d(3, 8, 3)(ones(5, 5)), "conv2d got a tensor of shape [5, 5]", "unsqueeze"),
    "kernel": (lambda: nn.Conv2d(1, 8, 5)(ones(1, 1, 3, 3)), "kernel is larger", "shape after each layer"),
    "pooling": (lambda: nn.MaxPool2d(4)(ones(1, 1, 3, 3)), "kernel is larger", "poolings"),
    "norm channels": (lambda: nn.BatchNorm2d(3)(ones(2, 4, 3, 3)), "built for 3 channels and got 4", "num_features"),
    "stack": (lambda: next(iter(DataLoader([ones(2), ones(3)], batch_size=2))), "[2] and [3]", "collate_fn"),
    "cat": (lambda: torch.cat([ones(2, 2), ones(2, 3)]), "joins along dimension 0", "stack"),
    "reshape": (lambda: ones(3, 4).reshape(5, -1), "12 numbers do not fill the shape [5, -1]", "product"),
    "view": (lambda: ones(2, 3).T.view(6), "view never copies", "reshape"),
    "dimension": (lambda: ones(3).sum(dim=1), "there is no dimension 1", "x.shape"),
    "double linear": (lambda: nn.Linear(3, 2)(ones(1, 3).double()), "input is Double and the weight", ".float()"),
    "long linear": (lambda: nn.Linear(3, 2)(ones(1, 3).long()), "the input is Long", "labels as long"),
    "byte conv": (lambda: nn.Conv2d(1, 1, 1)(ones(1, 1, 2, 2).byte()), "the picture is unsigned char", "ToDtype"),
    "product": (lambda: ones(2, 2) @ ones(2, 2).long(), "float and long int", ".float()"),
    "float targets": (lambda: F.cross_entropy(ones(4, 3), ones(4)), "class numbers of type long", "targets.long()"),
    "long to bce": (lambda: nn.BCELoss()(ones(4), longs), "Float, not Long", "targets.float()"),
    "in-place cast": (lambda: longs.clone().add_(0.5), "type Float is to be written into a tensor of type Long", "+="),
    "integer gradient": (lambda: torch.tensor([1], requires_grad=True), "whole numbers have no slope", "1.0"),
    "device": (lambda: ones(2) + ones(2, device="meta"), "different devices", "device=x.device"),
    "in place": (changed_in_place, "changed in place after it was used", "+="),
    "twice": (backward_twice, "went twice through one graph", "anew in each step"),
    "no grad": (lambda: ones(1).sum().backward(), "recorded by no operation", "no_grad()"),
    "not a scalar": (lambda: (weight() * 2).backward(), "this tensor has several", "loss.mean()"),
    "leaf": (lambda: weight().add_(1), "parameter was changed in place", "torch.no_grad()"),
    "hook": (hook_before_inplace, "full backward hook", "inplace=False"),
    "inference": (under_inference_mode, "inference_mode()", "no_grad()"),
    "deepcopy": (lambda: copy.deepcopy(weight() * 2), "with its graph behind it", ".detach()"),
    "class": (lambda: F.cross_entropy(ones(1, 2), torch.tensor([2])), "class 2", "0 to K - 1"),
    "negative class": (lambda: F.cross_entropy(ones(1, 2), torch.tensor([-1])), "class -1", "0 to K - 1"),
    "embedding": (lambda: nn.Embedding(3, 2)(torch.tensor([3])), "an Embedding got a number", "num_embeddings"),
    "bce shapes": (lambda: nn.BCELoss()(ones(4, 1), ones(4)), "shape [4, 1] and the targets [4]", "squeeze"),
    "logits shapes": (lambda: nn.BCEWithLogitsLoss()(ones(4, 1), ones(4)), "shape [4, 1] and", "squeeze"),
    "batch sizes": (lambda: F.cross_entropy(ones(8, 3), longs), "8 predictions meet 4 targets", "view(-1, n)"),
    "targets (N, 1)": (lambda: F.cross_entropy(ones(4, 3), longs[:, None]), "shape (N,)", "squeeze(1)"),
    "not probabilities": (lambda: nn.BCELoss()(2 * ones(4), ones(4)), "wants probabilities", "BCEWithLogitsLoss"),
    "batch of one": (lambda: nn.BatchNorm1d(3)(ones(1, 3)), "single value per channel", "drop_last=True"),
    "collate": (lambda: next(iter(DataLoader([Empty()]))), "objects of class", "dataset[0]"),
    "empty dataset": (lambda: DataLoader([], shuffle=True), "Dataset is empty", "len(dataset)"),
    "lambda": (lambda: pickle.dumps(lambda x: x), "lambda cannot be sent", "with a name"),
    "wrapper": (lambda: load(nn.DataParallel(nn.Linear(2, 2)).state_dict()), "begin with module.", "consume_prefix"),
    "other width": (lambda: load(nn.Linear(2, 3).state_dict()), "has shape [3, 2] in the file and [2, 2]", "leave"),
    "missing key": (lambda: load({"weight": ones(2, 2)}), "Linear needs bias", "list(state)"),
    "unexpected key": (lambda: load(nn.Linear(2, 2).state_dict() | {"b": ones(1)}), "dictionary has b", "checkpoint"),
    "no dictionary": (lambda: load(nn.Linear(2, 2)), "got a torch.nn.modules.linear.Linear", "state_dict()"),
    "whole model": (whole_model, "more than tensors", "weights_only=False"),
    "numpy number": (numpy_number, "more than tensors", "floats instead of NumPy"),
    "numpy of a graph": (lambda: weight().numpy(), "NumPy knows no gradients", "loss.item()"),
    "numpy elsewhere": (lambda: ones(2, device="meta").numpy(), "this tensor is on meta", ".cpu()"),
    "item": (lambda: ones(4).item(), "this tensor has 4", "tolist()"),
    "truth": (lambda: bool(ones(2) > 0), "one True or False", "torch.equal"),
    "loss of tensors": (lambda: nn.CrossEntropyLoss(ones(2, 3), longs[:2]), "one True or False", "Loss()(x, y)"),
    "nothing to train": (lambda: torch.optim.SGD([], lr=0.1), "nothing to train", "ModuleList"),
    "no leaf": (lambda: torch.optim.SGD([weight() * 2], lr=0.1), "result of an operation", "nn.Parameter"),
    "no super": (Forgetful, "not set up yet", "super().__init__()"),
    "no forward": (lambda: Empty()(1), "Empty has no forward", "spelling"),
    "no return": (lambda: NoReturn()(ones(1)).sum(), "is None", "return"),
    "None into a loss": (lambda: F.cross_entropy(NoReturn()(ones(1)), longs), "is None", "return"),
    "array": (lambda: nn.Linear(2, 2)(np.ones((1, 2))), "linear got a numpy.ndarray", "from_numpy"),
    "tuple": (lambda: nn.Linear(4, 2)(nn.LSTM(2, 4)(ones(3, 1, 2))), "linear got a tuple", "LSTM"),
    "attribute": (lambda: nn.Linear(1, 1).weights, "a Linear has nothing called weights", "spelling"),
}  # fmt: skip
# these need a GPU (or a machine without one): torch's own texts
CONSTRUCTED = {
    "no driver": (RuntimeError("Found no NVIDIA driver on your system. Please"), "has none", "is_available()"),
    "built without": (AssertionError("Torch not compiled with CUDA enabled"), "has none", ".to(device)"),
    "memory": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "is full", "halve the batch"),
    "assert": (RuntimeError("CUDA error: device-side assert triggered"), "out of range", "on the CPU"),
    "GPU file": (
        RuntimeError("Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False."),
        "tensors of a GPU", "map_location",
    ),
    "two devices": (
        RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
        "different devices", "model.to(device)",
    ),
    "conv on two devices": (
        RuntimeError("Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) should be the same"),
        "different devices", "model.to(device)",
    ),
    "numpy of a GPU": (
        TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor first."),
        "this tensor is on cuda:0", ".cpu()",
    ),
}  # fmt: skip


def raised(program, tmp_path) -> Exception:
    with pytest.raises(Exception) as caught:
        program(tmp_path) if program in (whole_model, numpy_number) else program()
    return caught.value


def row_of(error: BaseException) -> clinic.Ailment | None:
    message = " ".join(str(error).split())
    rows = (row for row in clinic.AILMENTS if isinstance(error, row.kinds) and re.search(row.pattern, message))
    return next(rows, None)


@pytest.mark.parametrize(("program", "cause", "look"), REAL.values(), ids=list(REAL))
def test_a_real_error_is_explained(program, cause, look, tmp_path):
    explained = clinic.explain(raised(program, tmp_path))
    assert explained.known and cause in explained.cause and look in explained.look


@pytest.mark.parametrize(("error", "cause", "look"), CONSTRUCTED.values(), ids=list(CONSTRUCTED))
def test_an_error_that_needs_a_gpu_is_explained(error, cause, look):
    explained = clinic.explain(error)
    assert explained.known and cause in explained.cause and look in explained.look


@pytest.mark.filterwarnings("ignore")
def test_every_row_of_the_table_is_needed(tmp_path):
    errors = [raised(program, tmp_path) for program, *_ in REAL.values()] + [
        error for error, *_ in CONSTRUCTED.values()
    ]
    used = [row_of(error) for error in errors]
    assert [row.pattern for row in clinic.AILMENTS if row not in used] == []
    assert len(clinic.AILMENTS) >= 20


def test_two_lines_that_fit_on_the_screen(tmp_path):
    for program, *_ in REAL.values():
        lines = str(clinic.explain(raised(program, tmp_path))).splitlines()
        assert len(lines) == 2 and lines[0].startswith("cause: ") and lines[1].startswith("look:  ")
        assert all(len(line) <= 130 and "None" not in line.replace("is None", "") for line in lines), lines


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("division by zero"),
        KeyError("optimizer"),
        RuntimeError(),
        ValueError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),  # the class does not fit
        RuntimeError("{braces} and\nlines"),
    ],
)
def test_a_stranger_gets_an_honest_line(error):
    explained = clinic.explain(error)
    assert not explained.known and len(str(explained).splitlines()) == 2
    assert "not among" in explained.cause and type(error).__name__ in explained.cause


def test_braces_of_a_message_do_no_harm():
    explained = clinic.explain(AttributeError("'Net' object has no attribute '__{x}'"))
    assert "cause: " in str(explained)


def test_only_exceptions_are_explained():
    with pytest.raises(TypeError, match="needs an exception"):
        clinic.explain("CUDA out of memory")


def test_html_is_escaped():
    page = clinic.explain(TypeError("default_collate: batch must contain tensors; found <class 'a.<b>'>"))._repr_html_()
    assert "<b>cause</b>" in page and "a.&lt;b&gt;" in page
