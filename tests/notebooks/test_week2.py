"""What week 2 promises beyond its outputs: accuracy for every seed, twins among real workers, larger data."""

import copy
import importlib
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from found import NOTEBOOKS
from torch.utils.data import DataLoader
from torchvision.datasets import FakeData

from course_utils import data, downloads
from course_utils.authoring.structure import preparation, read, sections, tags

(WEEK2,) = [path for path in NOTEBOOKS if path.stem.startswith("week2_")]
OWN_GENERATOR = """
import numpy as np
from torch.utils.data import Dataset

class Noisy(Dataset):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return index + self.rng.normal(0, 0.1)
"""


def run_lesson(number: str, until: Callable[[dict], bool] = lambda names: False, **parameters: object) -> dict:
    """The names after the cells of one lesson ran, or those up to the cell that made `until` true."""
    notebook = read(WEEK2)
    (lesson,) = [section for section in sections(notebook) if section.title.startswith(f"{number} ")]
    names = vars(types.ModuleType("a_notebook"))
    names["display"] = lambda *shown, **options: None
    for index in [*preparation(notebook), *lesson.cells]:
        cell = notebook.cells[index]
        if cell.cell_type != "code":
            continue
        exec(compile(cell.source, f"cell {index + 1}", "exec"), names)
        if "parameters" in tags(cell):
            names |= parameters
        if until(names):
            break
    return names


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_lenet_is_right_about_95_percent_of_the_test_part(seed: int):
    names = run_lesson("2.2", lambda names: "test_accuracy" in names, seed=seed, device="cpu")
    assert len(names["test_files"]) == 64
    assert names["test_accuracy"] >= 0.95


def test_copies_show_what_real_workers_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own_generator.py").write_text(OWN_GENERATOR)
    monkeypatch.syspath_prepend(str(tmp_path))
    noisy = importlib.import_module("own_generator").Noisy()
    copies = [copy.deepcopy(noisy) for _ in range(2)]
    simulated = [copies[i % 2][i] for i in range(8)]
    loader = DataLoader(noisy, batch_size=None, num_workers=2)
    for _epoch in range(2):
        assert torch.tensor(list(loader)).tolist() == pytest.approx(simulated)


def test_larger_data_come_by_parameter(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def small_imitation(name: str, train: bool = True, transform: Callable | None = None) -> FakeData:
        asked.append((name, train))
        return FakeData(60 if train else 20, (3, 32, 32), 10, transform)

    monkeypatch.setattr(downloads, "dataset", small_imitation)
    names = run_lesson("2.7", dataset="cifar10", device="cpu")
    assert asked == [("cifar10", True), ("cifar10", False)]
    assert (names["chosen"], names["classes"], len(names["losses"])) == ("cifar10", 10, 3)


def test_without_network_one_line_says_so_and_the_banknotes_go_on(monkeypatch: pytest.MonkeyPatch, capsys):
    def no_network(*arguments: object) -> None:
        raise data.DataError("fashionmnist cannot be fetched; use banknotes")

    monkeypatch.setattr(downloads, "dataset", no_network)
    names = run_lesson("2.7", dataset="fashionmnist", device="cpu")
    assert names["chosen"] == "banknotes" and len(names["train_part"]) == 200
    assert "fashionmnist cannot be fetched; use banknotes\n" in capsys.readouterr().out
