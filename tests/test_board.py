"""Event files of every kind, read back and drawn; the real server, started, asked and stopped; every fault."""

import inspect
import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from benchmarks.browser import is_listening
from course_utils import board

NETWORK = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
NOT_HERE = {
    "add_onnx_graph": "needs the package onnx",
    "add_video": "needs the package moviepy",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which every method of SummaryWriter wrote, except those of NOT_HERE."""
    path = tmp_path_factory.mktemp("logs")
    with SummaryWriter(path) as writer:
        for step in range(5):
            writer.add_scalar("plain", 2 * step, step)
            writer.add_scalar("double", math.pi, step, new_style=True, double_precision=True)
            writer.add_scalars("Loss", {"Train": 1 / (step + 1), "Valid": 2.0}, step)
            writer.add_histogram("normal", torch.linspace(-1, 1, 101) * 2 + step, step)
        writer.add_histogram("few", torch.tensor([0.5, 0.5, 2.5]), bins=5)
        writer.add_histogram_raw("raw", 0, 2, 3, 3.0, 5.0, [1.0, 2.0], [1, 2])
        writer.add_image("image", torch.full((3, 4, 6), 0.5), 7)
        writer.add_images("images", torch.zeros(5, 3, 4, 6))
        writer.add_image_with_boxes("boxes", torch.zeros(3, 32, 32), torch.tensor([[2, 2, 20, 20]]))
        figure = Figure(figsize=(2, 1), dpi=100)
        figure.subplots().plot([1, 2])
        writer.add_figure("figure", figure)
        writer.add_text("words", "hello **world**", 3)
        writer.add_tensor("own", torch.arange(6.0).reshape(2, 3), 4)
        writer.add_audio("tone", torch.tensor([0.0, 0.5, -1.0]), sample_rate=8000)
        writer.add_pr_curve("curve", torch.tensor([1, 0, 1]), torch.tensor([0.9, 0.2, 0.7]), num_thresholds=11)
        counts = [torch.tensor([2.0, 1.0])] * 6
        writer.add_pr_curve_raw("curve_raw", *counts, num_thresholds=2)
        writer.add_mesh("mesh", torch.eye(3)[None])
        writer.add_hparams({"lr": 0.5, "name": "sgd", "bias": True}, {"accuracy": 0.75}, run_name="try")
        writer.add_embedding(torch.eye(3, 2), metadata=["a", "b", "c"], label_img=torch.rand(3, 1, 4, 4), tag="points")
        writer.add_embedding(torch.eye(2), tag="bare")
        writer.add_custom_scalars({"mine": {"both": ["Multiline", ["plain", "double"]]}})
        with pytest.warns(FutureWarning):
            writer.add_graph(NETWORK, torch.rand(1, 3))
    for chart in ("multilinechart", "marginchart"):
        with SummaryWriter(path / chart) as writer:
            tags = ["plain", "double", "third"]
            getattr(writer, f"add_custom_scalars_{chart}")(tags, category="c", title="t")
    return path


def test_every_method_is_written_here():
    methods = {name for name, _ in inspect.getmembers(SummaryWriter, inspect.isfunction) if name.startswith("add_")}
    source = inspect.getsource(folder) + "add_custom_scalars_multilinechart add_custom_scalars_marginchart"
    assert methods - set(NOT_HERE) == set(re.findall(r"\badd_\w+", source)) - {"add_custom_scalars_"}


@pytest.fixture(scope="module")
def run(folder: Path) -> board.Run:
    return board.read(folder)


def test_scalars(folder: Path, run: board.Run):
    assert run.scalars["plain"] == ([0, 1, 2, 3, 4], [0, 2, 4, 6, 8])
    assert run.scalars["double"].values == [math.pi] * 5
    found = board.runs(folder)
    assert list(found) == [".", "Loss_Train", "Loss_Valid", "marginchart", "multilinechart", "try"]
    assert found["Loss_Train"].scalars["Loss"].values == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert found["Loss_Valid"].scalars["Loss"].values == [2] * 5


def test_nothing_is_left_out_of_long_runs(tmp_path: Path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(12_000):
            writer.add_scalar("long", step, step)
        for step in range(20):
            writer.add_image("many", torch.zeros(1, 2, 2), step)
            writer.add_histogram("many", torch.ones(3), step)
    run = board.read(tmp_path)
    assert run.scalars["long"].steps == list(range(12_000))
    assert len(run.pictures["many"]) == len(run.histograms["many"]) == 20


def test_several_event_files_are_one_run(tmp_path: Path):
    for half in (range(3), range(3, 6)):
        with SummaryWriter(tmp_path, filename_suffix=f".{half[0]}") as writer:
            for step in half:
                writer.add_scalar("a", step, step)
    assert sorted(board.read(str(tmp_path)).scalars["a"].steps) == list(range(6))


def test_what_a_restart_replaces_is_left_out_without_a_word(tmp_path: Path, caplog, capfd):
    for purge, steps in ((None, range(8)), (5, range(5, 10))):
        with SummaryWriter(tmp_path, purge_step=purge) as writer:
            for step in steps:
                writer.add_scalar("a", step + 100 * (purge is not None), step)
        time.sleep(1.1)  # files are read in the order of their names, which begin with the second of their start
    assert board.read(tmp_path).scalars["a"].values == [0, 1, 2, 3, 4, 105, 106, 107, 108, 109]
    assert not caplog.records and capfd.readouterr() == ("", "")


def test_histograms(run: board.Run):
    last = run.histograms["normal"][-1]
    assert (last.step, last.low, last.high) == (4, 2, 6)
    assert last.mean == pytest.approx(4) and last.std == pytest.approx(1.166, abs=1e-3)
    assert last.counts.sum() == 101 and len(last.edges) == len(last.counts) + 1
    assert last.counts[(last.edges[:-1] >= 5) & (last.edges[1:] <= 6)].sum() <= 26
    few = run.histograms["few"][0]
    assert few.counts.tolist() == [2, 0, 0, 0, 1]
    assert few.edges.tolist() == pytest.approx([0.5, 0.9, 1.3, 1.7, 2.1, 2.5])
    raw = run.histograms["raw"][0]
    assert (raw.edges.tolist(), raw.counts.tolist()) == ([0, 1, 2], [1, 2])


def test_pictures(run: board.Run):
    (picture,) = run.pictures["image"]
    assert picture.step == 7 and torch.equal(picture.pixels, torch.full((3, 4, 6), 127, dtype=torch.uint8))
    sizes = {tag: tuple(entries[0].pixels.shape) for tag, entries in run.pictures.items()}
    assert sizes == {"image": (3, 4, 6), "images": (3, 4, 30), "boxes": (3, 32, 32), "figure": (3, 100, 200)}
    assert run.pictures["boxes"][0].pixels.any()


def test_texts_sounds_tensors(run: board.Run):
    assert run.texts == {"words": [(3, "hello **world**")]}
    (sound,) = run.sounds["tone"]
    assert sound.rate == 8000 and sound.samples.tolist() == pytest.approx([0, 0.5, -1], abs=1e-4)
    (own,) = run.tensors["own"]
    assert own.step == 4 and own.value.tolist() == [[0, 1, 2], [3, 4, 5]]
    curve = run.tensors["curve"][0].value
    assert curve.shape == (6, 11) and curve[:4, 5].tolist() == [2, 0, 1, 0]
    assert run.tensors["curve_raw"][0].value.shape == (6, 2)
    assert torch.equal(run.tensors["mesh_VERTEX"][0].value, torch.eye(3)[None])


def test_the_last_layout_counts_as_on_the_page(tmp_path: Path):
    with SummaryWriter(tmp_path) as writer:
        for name in ("first", "last"):
            writer.add_custom_scalars({name: {"both": ["Multiline", ["plain"]]}})
    assert list(board.read(tmp_path).layout) == ["last"]


def test_the_rest(folder: Path, run: board.Run):
    assert run.embeddings["points"].labels == ["a", "b", "c"] and run.embeddings["bare"].labels == []
    assert torch.equal(run.embeddings["points"].vectors, torch.eye(3, 2).double())
    assert run.layout == {"mine": {"both": ("Multiline", ["plain", "double"])}}
    assert board.read(folder / "multilinechart").layout["c"]["t"] == ("Multiline", ["plain", "double", "third"])
    assert board.read(folder / "marginchart").layout["c"]["t"] == ("Margin", ["plain", "double", "third"])
    assert "aten::relu" in run.graph.values()
    tried = board.read(folder / "try")
    assert tried.hparams == {"bias": True, "lr": 0.5, "name": "sgd"}
    assert tried.scalars["accuracy"].values == [0.75]


def test_repr_names_what_is_there(run: board.Run):
    lines = repr(run).splitlines()
    assert lines[0] == "scalars: plain, double"
    assert lines[-1].startswith("layout: ") or lines[-1].startswith("graph: ")
    assert repr(board.Run()) == "no event was written"


def test_reading_changes_nothing(folder: Path):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    board.runs(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


# --- drawing ---


def test_one_chart_for_several_runs(folder: Path):
    drawing = board.draw_scalars(folder, "Loss", title="x")
    lines = drawing.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["Loss_Train", "Loss_Valid"]
    assert list(lines[1].get_ydata()) == [2] * 5
    assert (drawing.axes[0].get_xlabel(), drawing.axes[0].get_ylabel()) == ("step", "Loss")


def test_labels_name_what_differs(run: board.Run):
    labels = [line.get_label() for line in board.draw_scalars(run).axes[0].get_lines()]
    assert labels == ["plain", "double"]
    two = board.draw_scalars({"one": run, "two": run}, "plain", "double")
    assert "two: double" in [line.get_label() for line in two.axes[0].get_lines()]


def test_steps_that_jump_are_kept():
    run = board.Run(scalars={"a": board.Series([10, 20, 50], [1.0, 2.0, 3.0])})
    assert list(board.draw_scalars(run).axes[0].get_lines()[0].get_xdata()) == [10, 20, 50]


def test_a_curve_that_breaks_off_is_marked():
    run = board.Run(scalars={"a": board.Series([0, 1, 2], [1.0, 2.0, math.nan])})
    assert "nan at step 2" in board.draw_scalars(run).description


def test_histograms_are_drawn_over_steps(run: board.Run):
    drawing = board.draw_histograms(run, "normal", title="moves to the right")
    ridges = drawing.axes[0].get_lines()
    assert len(ridges) == 5
    for step, ridge in enumerate(ridges):
        height = ridge.get_ydata() - ridge.get_ydata().min()
        assert (ridge.get_xdata() * height).sum() / height.sum() == pytest.approx(step, abs=0.05)
    assert "from -2 to 2" in drawing.description and "from 2 to 6" in drawing.description
    assert [label.get_text() for label in drawing.axes[0].get_yticklabels()] == ["4", "3", "2", "1", "0"]


def test_many_histograms_are_thinned_out(run: board.Run):
    entries = [run.histograms["normal"][0]._replace(step=step) for step in range(100)]
    drawing = board.draw_histograms(board.Run(histograms={"h": entries}), "h")
    steps = [int(label.get_text()) for label in drawing.axes[0].get_yticklabels()]
    assert len(steps) == board.MOST_RIDGES and (steps[0], steps[-1]) == (99, 0)


def test_a_histogram_of_one_number_is_drawn(tmp_path: Path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(2):
            writer.add_histogram("zeros", torch.zeros(10), step)
    (first, _) = board.draw_histograms(tmp_path, "zeros").axes[0].get_lines()
    assert first.get_ydata().max() > 2


def test_pictures_are_drawn(folder: Path):
    alone = board.draw_pictures(folder, "image", title="grey")
    assert alone.description == "1 picture of 4 x 6 pixels, image at step 7."
    assert alone.axes[0].images[0].get_array().shape == (4, 6, 3) and alone.axes[0].get_title("left") == "grey"
    picture = board.read(folder).pictures["image"][0]
    several = board.draw_pictures(board.Run(pictures={"p": [picture] * 3}), "p", columns=3)
    assert "3 images of 4 x 6" in several.description and "step 7" in several.description


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda run: board.draw_scalars(run, "Plain"), "no scalar 'Plain' was written; there are: double, plain"),
        (lambda run: board.draw_scalars(board.Run()), "no scalar '' was written; there are: none"),
        (lambda run: board.draw_histograms(run, "x"), "no histogram 'x' was written; there are: few, normal, raw"),
        (lambda run: board.draw_pictures(run, "x"), "no picture 'x' was written; there are: boxes"),
    ],
)
def test_a_tag_that_is_not_there_is_named(run: board.Run, draw, words: str):
    with pytest.raises(ValueError, match=re.escape(words)):
        draw(run)


# --- faults of folders ---


@pytest.mark.parametrize("action", [board.read, board.runs, board.serve, lambda path: board.draw_scalars(path)])
def test_bad_folders_are_named_in_one_line(tmp_path: Path, action):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for kind, name, words in [
        (FileNotFoundError, "gone", "the folder 'gone' is missing; give the log_dir that SummaryWriter got"),
        (FileNotFoundError, "file", "the folder 'file' is a file, not a folder"),
        (ValueError, "empty", "the folder 'empty' holds no event file; write one with SummaryWriter, and close it"),
    ]:
        with pytest.raises(kind) as caught:
            action(tmp_path / name)
        assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="folder is None; the path of a folder is needed"):
        action(None)


def test_a_folder_of_runs_is_told_from_an_empty_one(tmp_path: Path):
    SummaryWriter(tmp_path / "a").close()
    SummaryWriter(tmp_path / "b" / "c").close()
    with pytest.raises(ValueError, match="its runs are a, b/c: use board.runs"):
        board.read(tmp_path)
    assert list(board.runs(tmp_path)) == ["a", "b/c"]


# --- the server ---


def test_the_server_shows_what_was_written(folder: Path):
    with board.serve(folder) as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", server.address)
        assert sorted(server.ask()) == list(board.runs(folder))
        answer = server.ask("data/plugin/scalars/scalars?run=.&tag=plain")
        assert [(step, value) for _, step, value in answer] == [(0, 0), (1, 2), (2, 4), (3, 6), (4, 8)]
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(server.address) as page:
            assert b"<title>TensorBoard</title>" in page.read()
        with pytest.raises(RuntimeError, match="has no answer to 'data/nothing'"):
            server.ask("data/nothing")
        with pytest.raises(RuntimeError, match="is a page, not JSON"):
            server.ask("")
        assert repr(server) == f"TensorBoard of the folder {folder.name!r}, running"
        assert server.address in server._repr_html_()
        with pytest.raises(RuntimeError, match="is in use by another program") as caught:
            board.serve(folder, int(server.address.split(":")[2].strip("/")))
        assert "\n" not in str(caught.value)
    assert not is_listening(server.address)
    assert "stopped" in repr(server) and server._repr_html_() == repr(server)
    with pytest.raises(RuntimeError, match="was stopped"):
        server.ask()
    server.stop()


def test_the_server_ends_after_an_exception(folder: Path):
    with pytest.raises(ZeroDivisionError), board.serve(folder) as server:
        _ = 1 / 0
    assert not is_listening(server.address)
    assert server._program.returncode == 0


@pytest.mark.parametrize("end", ["", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_the_server_ends_with_its_program(folder: Path, end: str):
    if "SIGKILL" in end and not hasattr(signal, "SIGKILL"):
        end = "import os; os.abort()"
    source = f"from course_utils import board\nserver = board.serve({str(folder)!r})\nprint(server.address)\n"
    source += f"import sys; sys.stdout.flush()\n{end}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    address = done.stdout.strip()
    assert address.startswith("http://127.0.0.1:"), done.stderr
    limit = time.monotonic() + 60
    while is_listening(address) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not is_listening(address)


def test_no_child_is_left_when_the_start_fails(folder: Path, monkeypatch: pytest.MonkeyPatch):
    started = []
    original = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(original(*a, **k)) or started[-1])
    monkeypatch.setattr(board, "PATIENCE", 0.0)
    with pytest.raises(RuntimeError, match="did not answer within 0 seconds"):
        board.serve(folder)
    assert started[0].poll() is not None
    monkeypatch.setattr(board, "PATIENCE", 60.0)
    monkeypatch.setattr(board, "_CHILD", "print('no tensorboard here')")
    with pytest.raises(RuntimeError, match="TensorBoard ended at once: no tensorboard here"):
        board.serve(folder)


@pytest.mark.parametrize("port", [-1, 70000, 1.5, "6006", True])
def test_ports_that_are_none(folder: Path, port: object):
    with pytest.raises(ValueError, match="port is"):
        board.serve(folder, port)


def test_a_proxy_in_the_environment_is_not_asked(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "http_proxy", "http://127.0.0.1:9/")
    with board.serve(folder) as server:
        assert "." in server.ask("/data/runs")


def test_importing_it_does_not_import_tensorboard():
    source = "import sys; from course_utils import board; print('tensorboard' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
