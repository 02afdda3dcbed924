"""The session: a device that is there, a torch that is new enough, and random numbers that repeat."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from course_utils import session


@pytest.fixture
def machine(monkeypatch):
    """Makes torch believe in a machine with `cards` CUDA cards, and with MPS or without."""

    def build(cards=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return build


@pytest.mark.parametrize(
    ("cards", "mps", "chosen"), [(1, True, "cuda"), (1, False, "cuda"), (0, True, "mps"), (0, False, "cpu")]
)
def test_auto_takes_cuda_then_mps_then_the_cpu(machine, cards, mps, chosen):
    machine(cards, mps)
    assert session.pick_device("auto") == torch.device(chosen)
    assert session.pick_device() == torch.device(chosen)


@pytest.mark.parametrize("word", ["cpu", "mps", "cuda", "cuda:1", torch.device("cuda", 1)])
def test_a_device_that_is_there_is_taken_at_its_word(machine, word):
    machine(cards=2, mps=True)
    assert session.pick_device(word) == torch.device(word)


@pytest.mark.parametrize(
    ("cards", "mps", "word", "choices"),
    [
        (0, False, "cuda", "auto, cpu"),
        (0, False, "mps", "auto, cpu"),
        (0, True, "cuda", "auto, mps, cpu"),
        (2, False, "cuda:2", "auto, cuda, cpu"),
        (1, False, torch.device("cuda", 7), "auto, cuda, cpu"),
        (1, True, "xpu", "auto, cuda, mps, cpu"),
        (1, True, "meta", "auto, cuda, mps, cpu"),
    ],
)
def test_a_device_that_is_not_there_is_named_with_the_choices(machine, cards, mps, word, choices):
    machine(cards, mps)
    with pytest.raises(ValueError) as caught:
        session.pick_device(word)
    assert str(caught.value) == f"device {str(word)!r} is not on this machine; choose one of: {choices}"


@pytest.mark.parametrize("word", ["gpu", "", "CPU", "cuda:x", "cuda:-1", None, 3.5, ["cpu"]])
def test_a_word_that_is_no_device_gets_one_line(machine, word):
    machine()
    with pytest.raises(ValueError) as caught:
        session.pick_device(word)
    assert str(caught.value) == f"device {word!r} is not a device that torch knows; choose one of: auto, cpu"


@pytest.mark.parametrize("version", ["2.14.1", "2.9.0+cpu", "1.13", "0.4.1.post2"])
def test_an_old_torch_is_refused(version, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(RuntimeError) as caught:
        session.setup()
    assert f"torch {version} is too old: the course needs 2.15 or newer" in str(caught.value)
    assert "course.py lab" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["2.15.0", "2.15.0+cu130", "2.16.0.dev20260101", "3.0", "10.1.2"])
def test_a_newer_torch_will_do(version):
    session.check_torch(version)


def draws():
    return random.random(), np.random.rand(), torch.rand(3).tolist()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "0", None, True, torch.tensor(1)])
def test_a_bad_seed_gets_one_line_and_changes_nothing(seed):
    session.seed_everything(5)
    expected = draws()
    session.seed_everything(5)
    for function in (session.seed_everything, session.setup, session.loader_seeding):
        with pytest.raises(ValueError, match="is not usable; give a whole number from 0 to 4294967295") as caught:
            function(seed)
        assert "\n" not in str(caught.value)
    assert draws() == expected


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_a_seed_repeats_all_three_generators(seed):
    session.seed_everything(seed)
    first = draws()
    session.seed_everything(seed)
    assert draws() == first
    session.seed_everything(seed // 2 + 7)
    assert all(new != old for new, old in zip(draws(), first, strict=True))


def test_setup_prints_one_line_without_the_build(capsys, machine, monkeypatch):
    machine()
    monkeypatch.setattr(torch, "__version__", "2.15.3+cu130")
    assert session.setup(seed=4, device="auto") == torch.device("cpu")
    assert capsys.readouterr().out == "ready: torch 2.15.3, device cpu, seed 4\n"


def test_setup_can_run_twice_with_its_own_result(machine, capsys):
    machine()
    device = session.setup(0, "auto")
    first = draws()
    assert session.setup(0, device) == device
    assert draws() == first
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1]


class Noise(Dataset):
    """Eight items, each with what the three generators of its worker draw."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return i, random.random(), float(np.random.rand()), torch.rand(()).item()


def loaded(seed, workers):
    loader = DataLoader(Noise(), batch_size=2, shuffle=True, num_workers=workers, **session.loader_seeding(seed))
    return [torch.stack([column.double() for column in batch]) for batch in loader]


def test_workers_repeat_and_differ_from_one_another():
    session.seed_everything(1)
    first = loaded(seed=0, workers=2)
    session.seed_everything(2)  # other global generators: the loader's own decides
    again = loaded(seed=0, workers=2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))

    other = loaded(seed=3, workers=2)
    assert not any(torch.equal(a[1:], b[1:]) for a, b in zip(first, other, strict=True))

    # batches come from the two workers in turn: 0, 1, 0, 1
    for generator in (1, 2, 3):
        one, two = first[0][generator], first[1][generator]
        assert not set(one.tolist()) & set(two.tolist())


def test_the_order_repeats_without_workers():
    session.seed_everything(1)
    first = torch.cat([batch[0] for batch in loaded(seed=0, workers=0)])
    torch.rand(5)
    assert torch.equal(first, torch.cat([batch[0] for batch in loaded(seed=0, workers=0)]))
    assert first.tolist() != sorted(first.tolist())
