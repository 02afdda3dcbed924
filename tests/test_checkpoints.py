"""Checkpoints: what is written comes back, a failure leaves the old file, and every error is one line."""

import pytest
import torch

from course_utils import checkpoints
from course_utils.checkpoints import CheckpointError

CHECKPOINT = {"epoch": 3, "weights": torch.arange(4.0), "states": {"python": (3, (1, 2), None)}}


def test_what_is_saved_comes_back(tmp_path):
    path = tmp_path / "run.pt"
    checkpoints.save(CHECKPOINT, path)
    found = checkpoints.load(str(path))
    assert torch.equal(found.pop("weights"), CHECKPOINT["weights"])
    assert found == {key: value for key, value in CHECKPOINT.items() if key != "weights"}
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_a_second_save_replaces_the_first(tmp_path):
    for epoch in (1, 2):
        checkpoints.save({"epoch": epoch}, tmp_path / "run.pt")
    assert checkpoints.load(tmp_path / "run.pt") == {"epoch": 2}


def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    checkpoints.save({"epoch": 1}, path)

    def half(checkpoint, file):
        file.write(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(torch, "save", half)
        checkpoints.save({"epoch": 2}, path)
    assert checkpoints.load(path) == {"epoch": 1}
    assert (tmp_path / "run.pt.part").exists()
    checkpoints.save({"epoch": 3}, path)  # what was left behind is in nobody's way
    assert checkpoints.load(path) == {"epoch": 3}
    assert not (tmp_path / "run.pt.part").exists()


def test_the_file_is_complete_before_it_gets_its_name(tmp_path, monkeypatch):
    seen = []
    replace = checkpoints.os.replace

    def watched(beside, path):
        seen.append(torch.load(beside))
        replace(beside, path)

    monkeypatch.setattr(checkpoints.os, "replace", watched)
    checkpoints.save({"epoch": 5}, tmp_path / "run.pt")
    assert seen == [{"epoch": 5}]


def test_missing_files_and_folders_are_told_in_one_line(tmp_path, says_in_one_line):
    says_in_one_line(lambda: checkpoints.load(tmp_path / "no.pt"), CheckpointError, "no.pt is not there")
    no_folder = tmp_path / "no" / "run.pt"
    says_in_one_line(lambda: checkpoints.save({}, no_folder), CheckpointError, "run.pt cannot be written")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_damaged_file_is_told_in_one_line(tmp_path, says_in_one_line, share):
    path = tmp_path / "run.pt"
    checkpoints.save({"weights": torch.ones(1000)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    says_in_one_line(lambda: checkpoints.load(path), CheckpointError, "run.pt is damaged")


def test_objects_that_could_run_code_are_refused(tmp_path, says_in_one_line):
    torch.save({"path": tmp_path}, tmp_path / "run.pt")
    says_in_one_line(lambda: checkpoints.load(tmp_path / "run.pt"), CheckpointError, "plain data")
