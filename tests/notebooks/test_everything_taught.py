"""What the installed torch exports stands in the code of its week: WEEKS says which names belong to which.

A name counts where the code uses it as an attribute of its module (nn.L1Loss, torch.optim.SGD, nn.init.zeros_,
lr_scheduler.StepLR), a method of SummaryWriter as an attribute of anything (writer.add_scalar): in the syntax tree, so
that comments, texts and markdown do not count. A newer torch with a new class or method fails here.
"""

import ast
import inspect
from collections.abc import Callable, Iterator

import pytest
import torch
from found import NOTEBOOKS
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from torch import nn
from torch.optim import lr_scheduler
from torch.utils import tensorboard

from course_utils.authoring.structure import read

EXCUSED = {
    "nn.NLLLoss2d": "the name of NLLLoss for pictures before torch 0.4, kept for old code and not documented",
}
WRITER = "SummaryWriter"  # its methods are used through a variable of any name


def losses() -> list[str]:
    return [
        name
        for name, value in inspect.getmembers(nn, inspect.isclass)
        if issubclass(value, nn.modules.loss._Loss) or name.endswith("Loss")
    ]


def subclasses(module: object, base: type) -> list[str]:
    """The public classes of `module` that are a kind of `base`."""
    return [
        name
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, base) and value is not base and not name.startswith("_")
    ]


def init_functions() -> list[str]:
    return [
        name for name, _ in inspect.getmembers(nn.init, callable) if name.endswith("_") and not name.startswith("_")
    ]


def writer_methods() -> list[str]:
    return [name for name, _ in inspect.getmembers(tensorboard.SummaryWriter, callable) if name.startswith("add_")]


WEEKS: dict[int, dict[str, Callable[[], list[str]]]] = {
    4: {
        "nn": losses,
        "optim": lambda: subclasses(torch.optim, torch.optim.Optimizer),
        "init": init_functions,
    },
    5: {
        "lr_scheduler": lambda: subclasses(lr_scheduler, lr_scheduler.LRScheduler),
        WRITER: writer_methods,
    },
}


def exported(week: int) -> list[str]:
    """The names that `week` teaches, each with its room: nn.L1Loss, lr_scheduler.StepLR, SummaryWriter.add_scalar."""
    return [f"{room}.{name}" for room, names in WEEKS[week].items() for name in names()]


def used(notebook: NotebookNode) -> Iterator[str]:
    """Every attribute in the code cells with the last name before it: nn.init.zeros_ is init.zeros_ (and nn.init)."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or "skip-execution" in cell.metadata.get("tags", []):
            continue  # a cell that nobody runs teaches nothing, and may hold a magic
        for node in ast.walk(ast.parse(cell.source)):
            if not isinstance(node, ast.Attribute):
                continue
            yield f"{WRITER}.{node.attr}"
            if isinstance(node.value, (ast.Name, ast.Attribute)):
                yield f"{ast.unparse(node.value).split('.')[-1]}.{node.attr}"


def untaught(names: list[str], notebooks: list[NotebookNode]) -> list[str]:
    """One line for each name that no notebook uses and nobody excused."""
    seen = {name for notebook in notebooks for name in used(notebook)}
    return [
        f"{name} is exported by torch {torch.__version__}, but no code cell of its week uses it"
        for name in names
        if name not in seen and name not in EXCUSED
    ]


@pytest.mark.parametrize("week", WEEKS)
def test_everything_torch_exports_is_taught(week: int):
    paths = [path for path in NOTEBOOKS if path.name.startswith(f"week{week}_")]
    assert paths, f"there is no notebooks/week{week}_….ipynb"
    lines = untaught(exported(week), [read(path) for path in paths])
    assert not lines, "\n".join(lines)


def test_no_excuse_without_need():
    for name, reason in EXCUSED.items():
        assert any(name in exported(week) for week in WEEKS), (
            f"torch does not export {name} any more; take its excuse away"
        )
        assert len(reason.split()) > 3, f"say why {name} is excused"


# --- the tests of this test ---


def test_known_names_are_exported():
    names = exported(4) + exported(5)
    assert len(names) == len(set(names))
    assert {"nn.CTCLoss", "nn.AdaptiveLogSoftmaxWithLoss", "optim.LBFGS", "init.trunc_normal_"} <= set(exported(4))
    assert {"lr_scheduler.StepLR", "lr_scheduler.ReduceLROnPlateau", "lr_scheduler.SequentialLR"} <= set(exported(5))
    assert {"SummaryWriter.add_scalar", "SummaryWriter.add_custom_scalars_marginchart"} <= set(exported(5))
    assert not {"optim.Optimizer", "init.calculate_gain", "nn.Softmax", "nn.LogSoftmax"} & set(names)
    assert not {"lr_scheduler.LRScheduler", "lr_scheduler._LRScheduler", "SummaryWriter.flush"} & set(names)


def test_new_names_are_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nn, "PinballLoss", type("PinballLoss", (nn.Module,), {}), raising=False)
    monkeypatch.setattr(torch.optim, "Stroll", type("Stroll", (torch.optim.SGD,), {}), raising=False)
    monkeypatch.setattr(nn.init, "sevens_", lambda tensor: tensor, raising=False)
    monkeypatch.setattr(lr_scheduler, "TideLR", type("TideLR", (lr_scheduler.StepLR,), {}), raising=False)
    monkeypatch.setattr(tensorboard.SummaryWriter, "add_smell", lambda self: None, raising=False)
    made_up = {"nn.PinballLoss", "optim.Stroll", "init.sevens_", "lr_scheduler.TideLR", "SummaryWriter.add_smell"}
    names = exported(4) + exported(5)
    assert made_up <= set(names)
    cells = [new_code_cell(name.replace(WRITER, "writer")) for name in names]
    assert untaught(names, [new_notebook(cells=cells)]) == []
    without = [cell for cell in cells if cell.source.split(".")[1] not in {name.split(".")[1] for name in made_up}]
    lines = untaught(names, [new_notebook(cells=without)])
    assert {line.split()[0] for line in lines} == made_up


@pytest.mark.parametrize(
    "source",
    [
        "writer.add_text('a', 'b')",
        "with SummaryWriter(f) as w:\n    w.add_text('a', 'b')",
        "SummaryWriter(f).add_text('a', 'b')",
        "self.writers[0].add_text('a', 'b')",
    ],
)
def test_a_method_counts_whatever_the_writer_is_called(source: str):
    assert untaught(["SummaryWriter.add_text"], [new_notebook(cells=[new_code_cell(source)])]) == []


@pytest.mark.parametrize(
    "cell",
    [
        new_code_cell("add_text('a', 'b')"),
        new_code_cell("print('writer.add_text')"),
        new_code_cell("writer.add_texts('a', 'b')"),
        new_code_cell("writer.add_text('a', 'b')", metadata={"tags": ["skip-execution"]}),
        new_code_cell("%tensorboard --logdir runs", metadata={"tags": ["skip-execution"]}),
        new_markdown_cell("`writer.add_text`"),
    ],
    ids=lambda cell: cell.source,
)
def test_a_method_elsewhere_does_not_count(cell: NotebookNode):
    assert len(untaught(["SummaryWriter.add_text"], [new_notebook(cells=[cell])])) == 1


@pytest.mark.parametrize(
    "source",
    [
        "nn.L1Loss()",
        "loss = torch.nn.L1Loss(reduction='none')",
        "losses = {'a': [nn.L1Loss]}",
        "def f():\n    return nn.L1Loss",
    ],
)
def test_a_name_in_code_counts(source: str):
    assert untaught(["nn.L1Loss"], [new_notebook(cells=[new_code_cell(source)])]) == []


@pytest.mark.parametrize(
    "cell",
    [
        new_code_cell("x = 1  # nn.L1Loss"),
        new_code_cell("print('nn.L1Loss')"),
        new_code_cell('"""nn.L1Loss"""'),
        new_code_cell("L1Loss = 1"),
        new_code_cell("other.L1Loss()"),
        new_code_cell("nn.L1LossOfMine"),
        new_code_cell("nn.SmoothL1Loss()"),
        new_markdown_cell("`nn.L1Loss`"),
    ],
    ids=lambda cell: cell.source,
)
def test_a_name_elsewhere_does_not_count(cell: NotebookNode):
    (line,) = untaught(["nn.L1Loss"], [new_notebook(cells=[cell])])
    assert line.startswith("nn.L1Loss is exported by torch")


def test_a_name_counts_in_its_own_room_only():
    book = new_notebook(cells=[new_code_cell("torch.optim.SGD; nn.init.zeros_(w)")])
    assert untaught(["optim.SGD", "init.zeros_"], [book]) == []
    assert len(untaught(["nn.SGD", "optim.zeros_"], [book])) == 2


def test_an_excuse_excuses():
    assert untaught(list(EXCUSED), [new_notebook()]) == []
