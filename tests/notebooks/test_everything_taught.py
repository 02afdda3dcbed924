"""Every loss, optimizer and init function that the installed torch exports stands in the code of week 4.

A name counts where the code uses it as an attribute of its module (nn.L1Loss, torch.optim.SGD, nn.init.zeros_): in
the syntax tree, so that comments, texts and markdown do not count. A newer torch with a new class fails here.
"""

import ast
import inspect
from collections.abc import Iterator

import pytest
import torch
from found import NOTEBOOKS
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from torch import nn

from course_utils.authoring.structure import read

EXCUSED = {
    "nn.NLLLoss2d": "the name of NLLLoss for pictures before torch 0.4, kept for old code and not documented",
}


def exported() -> list[str]:
    """The public names, each with the module it is used from: nn.L1Loss, optim.SGD, init.zeros_."""
    losses = [
        name
        for name, value in inspect.getmembers(nn, inspect.isclass)
        if issubclass(value, nn.modules.loss._Loss) or name.endswith("Loss")
    ]
    optimizers = [
        name
        for name, value in inspect.getmembers(torch.optim, inspect.isclass)
        if issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    ]
    functions = [
        name for name, _ in inspect.getmembers(nn.init, callable) if name.endswith("_") and not name.startswith("_")
    ]
    rooms = {"nn": losses, "optim": optimizers, "init": functions}
    return [f"{room}.{name}" for room, names in rooms.items() for name in names]


def used(notebook: NotebookNode) -> Iterator[str]:
    """Every attribute in the code cells with the last name before it: nn.init.zeros_ is init.zeros_ (and nn.init)."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
                yield f"{ast.unparse(node.value).split('.')[-1]}.{node.attr}"


def untaught(names: list[str], notebooks: list[NotebookNode]) -> list[str]:
    """One line for each name that no notebook uses and nobody excused."""
    seen = {name for notebook in notebooks for name in used(notebook)}
    return [
        f"{name} is exported by torch {torch.__version__}, but no code cell of week 4 uses it"
        for name in names
        if name not in seen and name not in EXCUSED
    ]


def test_everything_torch_exports_is_taught():
    paths = [path for path in NOTEBOOKS if path.name.startswith("week4_")]
    assert paths, "there is no notebooks/week4_….ipynb"
    lines = untaught(exported(), [read(path) for path in paths])
    assert not lines, "\n".join(lines)


def test_no_excuse_without_need():
    for name, reason in EXCUSED.items():
        assert name in exported(), f"torch does not export {name} any more; take its excuse away"
        assert len(reason.split()) > 3, f"say why {name} is excused"


# --- the tests of this test ---


def test_known_names_are_exported():
    names = exported()
    assert len(names) == len(set(names))
    assert {"nn.CTCLoss", "nn.AdaptiveLogSoftmaxWithLoss", "optim.LBFGS", "init.trunc_normal_"} <= set(names)
    assert not {"optim.Optimizer", "init.calculate_gain", "nn.Softmax", "nn.LogSoftmax"} & set(names)


def test_a_new_class_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nn, "PinballLoss", type("PinballLoss", (nn.Module,), {}), raising=False)
    monkeypatch.setattr(torch.optim, "Stroll", type("Stroll", (torch.optim.SGD,), {}), raising=False)
    monkeypatch.setattr(nn.init, "sevens_", lambda tensor: tensor, raising=False)
    made_up = {"nn.PinballLoss", "optim.Stroll", "init.sevens_"}
    assert made_up <= set(exported())
    cells = [new_code_cell(f"torch.{'nn.' if name.startswith('init') else ''}{name}") for name in exported()]
    assert untaught(exported(), [new_notebook(cells=cells)]) == []
    without = [cell for cell in cells if not any(cell.source.endswith(name) for name in made_up)]
    lines = untaught(exported(), [new_notebook(cells=without)])
    assert {line.split()[0] for line in lines} == made_up


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


def test_an_optimizer_is_no_init_function():
    book = new_notebook(cells=[new_code_cell("torch.optim.SGD; nn.init.zeros_(w)")])
    assert untaught(["optim.SGD", "init.zeros_"], [book]) == []
    assert len(untaught(["nn.SGD", "optim.zeros_"], [book])) == 2


def test_an_excuse_excuses():
    assert untaught(list(EXCUSED), [new_notebook()]) == []
