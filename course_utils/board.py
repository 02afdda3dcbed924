"""TensorBoard without a browser, and with one: event files read back and drawn, and the real server started.

`read` and `runs` turn event files into plain lists and tensors; `draw_scalars`, `draw_histograms` and `draw_pictures`
draw what was read; `serve` starts TensorBoard as a program of its own. A `folder` may be a text or a Path. Nothing in
it is ever changed. TensorBoard itself is imported when it is needed, because that takes a while.
"""

import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image

from . import _arguments as given
from ._drawing import counted, set_title, significant, span
from .curves import function_plot, loss_curves
from .grids import show_grid
from .style import BLACK, WIDEST, CourseFigure, figure, look

__all__ = ["Run", "Server", "draw_histograms", "draw_pictures", "draw_scalars", "read", "runs", "serve"]
EVENTS = "*tfevents*"
MOST_RIDGES = 12
RIDGE_POINTS = 61
NARROWEST, TALLEST, PIXELS_PER_INCH = 3.2, 6.0, 72  # of a picture that is shown large
PATIENCE = 60.0  # seconds that the server may take to start; two are usual


class Series(NamedTuple):
    """One curve: the steps and the values, both in the order in which they were written."""

    steps: list[int]
    values: list[float]


class Histogram(NamedTuple):
    """`counts` (B,) values lie between neighbouring `edges` (B + 1,); the rest is about the values themselves."""

    step: int
    edges: torch.Tensor
    counts: torch.Tensor
    low: float
    high: float
    mean: float
    std: float


class Picture(NamedTuple):
    """A picture as TensorBoard will show it: `pixels` is uint8 (3, H, W)."""

    step: int
    pixels: torch.Tensor


class Sound(NamedTuple):
    """`samples` is float32 (N,), from -1 to 1; `rate` of them are one second."""

    step: int
    samples: torch.Tensor
    rate: int


class Entry(NamedTuple):
    """What is kept as a text (markdown) or as a tensor: pr curves, meshes, and tensors of one's own."""

    step: int
    value: object


class Embedding(NamedTuple):
    """`vectors` is float64 (N, D); `labels` has N texts, or none."""

    vectors: torch.Tensor
    labels: list[str]


@dataclass
class Run:
    """What one folder's event files hold, each kind under its tags; kinds that were not written are empty.

    graph: node name -> operation. hparams: name -> value. layout: category -> chart -> (kind, tags).
    """

    scalars: dict[str, Series] = field(default_factory=dict)
    histograms: dict[str, list[Histogram]] = field(default_factory=dict)
    pictures: dict[str, list[Picture]] = field(default_factory=dict)
    sounds: dict[str, list[Sound]] = field(default_factory=dict)
    texts: dict[str, list[Entry]] = field(default_factory=dict)
    tensors: dict[str, list[Entry]] = field(default_factory=dict)
    embeddings: dict[str, Embedding] = field(default_factory=dict)
    graph: dict[str, str] = field(default_factory=dict)
    hparams: dict[str, object] = field(default_factory=dict)
    layout: dict[str, dict[str, tuple[str, list[str]]]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line for each kind that was written, with its tags."""
        lines = [f"{kind}: {', '.join(found)}" for kind, found in vars(self).items() if found and kind != "graph"]
        if self.graph:
            lines.append(f"graph: {counted(len(self.graph), 'node')}")
        return "\n".join(lines) or "no event was written"


def read(folder: str | Path) -> Run:
    """Everything that the event files of `folder` hold; folders inside it are runs of their own, see `runs`.

    Raises FileNotFoundError when the folder is missing, ValueError when it holds no event file.
    """
    folder = _existing(folder)
    if not any(folder.glob(EVENTS)):
        inside = [name for name in _runs_inside(folder) if name != "."]
        hint = f"its runs are {', '.join(inside)}: use board.runs" if inside else _WRITE
        raise ValueError(f"the folder {folder.name!r} holds no event file; {hint}")
    return _read(folder)


def runs(folder: str | Path) -> dict[str, Run]:
    """Every run in `folder`, as TensorBoard lists them: name -> Run; "." is the folder itself.

    Raises FileNotFoundError when the folder is missing, ValueError when neither it nor a folder inside holds an
    event file.
    """
    folder = _existing(folder)
    return {name: _read(folder / name) for name in _with_events(folder)}


_WRITE = "write one with SummaryWriter, and close it"


def _existing(folder: object) -> Path:
    if not isinstance(folder, (str, Path)):
        raise TypeError(f"folder is {given.kind(folder)}; the path of a folder is needed")
    path = Path(folder).expanduser()
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "is missing"
        raise FileNotFoundError(f"the folder {path.name!r} {what}; give the log_dir that SummaryWriter got")
    return path


def _runs_inside(folder: Path) -> list[str]:
    return sorted({path.parent.relative_to(folder).as_posix() for path in folder.rglob(EVENTS)})


def _with_events(folder: Path) -> list[str]:
    names = _runs_inside(folder)
    if not names:
        raise ValueError(f"the folder {folder.resolve().name!r} holds no event file; {_WRITE}")
    return names


def _read(folder: Path) -> Run:
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util.tensor_util import make_ndarray

    # 0 keeps all: by default only one histogram and a sample of the rest would be kept
    everything = dict.fromkeys(event_accumulator.DEFAULT_SIZE_GUIDANCE, 0)
    with _quiet():
        events = event_accumulator.EventAccumulator(str(folder), size_guidance=everything).Reload()
    tags, run = events.Tags(), Run(embeddings=_embeddings(folder))
    for tag in tags["scalars"]:
        run.scalars[tag] = Series([e.step for e in events.Scalars(tag)], [e.value for e in events.Scalars(tag)])
    for tag in tags["histograms"]:
        run.histograms[tag] = [_histogram(e.step, e.histogram_value) for e in events.Histograms(tag)]
    for tag in tags["images"]:
        run.pictures[tag] = [Picture(e.step, _pixels(e.encoded_image_string)) for e in events.Images(tag)]
    for tag in tags["audio"]:
        run.sounds[tag] = [_sound(e.step, e.encoded_audio_string) for e in events.Audio(tag)]
    for tag in tags["tensors"]:
        kind = events.SummaryMetadata(tag).plugin_data.plugin_name
        entries = [(e.step, make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
        if kind == "scalars":
            run.scalars[tag] = Series([step for step, _ in entries], [float(value) for _, value in entries])
        elif kind == "text":
            shown = tag.removesuffix("/text_summary")
            run.texts[shown] = [Entry(step, value.flat[0].decode()) for step, value in entries]
        elif kind == "custom_scalars":
            run.layout = _layout(entries[-1][1].flat[0])  # what TensorBoard shows, too
        else:
            run.tensors[tag] = [Entry(step, torch.from_numpy(value.copy())) for step, value in entries]
    if tags["graph"]:
        run.graph = {node.name: node.op for node in events.Graph().node}
    if "_hparams_/session_start_info" in events.summary_metadata:
        run.hparams = _hparams(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings back with which TensorBoard reports what purge_step was given for."""
    logger = logging.getLogger("tensorboard")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _histogram(step: int, stored: object) -> Histogram:
    limits, counts = torch.tensor(stored.bucket_limit), torch.tensor(stored.bucket)
    if counts[0] == 0:  # only there to say where the first real bin begins
        edges, counts = limits, counts[1:]
    else:
        edges = torch.cat([torch.tensor([float(stored.min)]), limits])
    mean = stored.sum / stored.num
    variance = max(0.0, stored.sum_squares / stored.num - mean**2)
    return Histogram(step, edges.double(), counts.double(), stored.min, stored.max, mean, variance**0.5)


def _pixels(encoded: bytes) -> torch.Tensor:
    with Image.open(io.BytesIO(encoded)) as opened:
        return torch.from_numpy(np.array(opened.convert("RGB"))).permute(2, 0, 1)


def _sound(step: int, encoded: bytes) -> Sound:
    import wave

    with wave.open(io.BytesIO(encoded)) as opened:
        samples = np.frombuffer(opened.readframes(opened.getnframes()), dtype="<i2")
        return Sound(step, torch.from_numpy(samples / np.float32(32767)), opened.getframerate())


def _layout(content: bytes) -> dict[str, dict[str, tuple[str, list[str]]]]:
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    def chart(stored: object) -> tuple[str, list[str]]:
        if stored.HasField("multiline"):
            return "Multiline", list(stored.multiline.tag)
        return "Margin", [tag for part in stored.margin.series for tag in (part.value, part.lower, part.upper)]

    layout = Layout.FromString(content)
    return {part.title: {stored.title: chart(stored) for stored in part.chart} for part in layout.category}


def _hparams(content: bytes) -> dict[str, object]:
    from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

    stored = parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(stored[name], stored[name].WhichOneof("kind")) for name in sorted(stored)}


def _embeddings(folder: Path) -> dict[str, Embedding]:
    """What `add_embedding` wrote beside the event file: a table of tables."""
    listed = folder / "projector_config.pbtxt"
    if not listed.exists():
        return {}
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    found = {}
    for entry in text_format.Parse(listed.read_text(encoding="utf-8"), ProjectorConfig()).embeddings:
        vectors = torch.from_numpy(np.loadtxt(folder / entry.tensor_path, delimiter="\t", ndmin=2))
        path = entry.metadata_path
        labels = (folder / path).read_text(encoding="utf-8").splitlines() if path else []
        found[entry.tensor_name.rsplit(":", 1)[0]] = Embedding(vectors, labels)
    return found


# --- drawing ---

Source = str | Path | Run | dict[str, Run]


def draw_scalars(source: Source, *tags: str, title: str = "") -> CourseFigure:
    """Draw the scalars `tags` (all, when none is named) of every run of `source` in one chart, as TensorBoard does.

    `source` is a folder, whose runs are read, a `Run`, or name -> Run. Raises ValueError when no run has such a tag,
    or when there are more than seven curves.
    """
    if isinstance(source, Run):
        source = {".": source}
    found = source if isinstance(source, dict) else runs(source)
    wanted = tags or tuple(dict.fromkeys(tag for run in found.values() for tag in run.scalars))
    _written(wanted, {tag for run in found.values() for tag in run.scalars}, "scalar")
    pairs = [(name, tag) for tag in wanted for name, run in found.items() if tag in run.scalars]
    several = len({name for name, _ in pairs}) > 1
    series = {}
    for name, tag in pairs:
        label = tag if not several else name if len(wanted) == 1 else f"{name}: {tag}"
        series[label] = found[name].scalars[tag]
    y_label = wanted[0] if len(wanted) == 1 else "value"
    if all(steps == list(range(len(steps))) for steps, _ in series.values()):
        values = {label: values for label, (_, values) in series.items()}
        return loss_curves(values, x_label="step", y_label=y_label, title=title)
    return function_plot({**series}, x_label="step", y_label=y_label, title=title)


@look()
def draw_histograms(source: str | Path | Run, tag: str, *, title: str = "") -> CourseFigure:
    """Draw the histograms of `tag` one behind the other, the first step at the back, as TensorBoard does.

    Every ridge has the same area. Of more than 12 steps 12 are drawn, evenly chosen, the first and the last among
    them. `source` is a folder or a `Run`. Raises ValueError when it has no such tag.
    """
    run = source if isinstance(source, Run) else read(source)
    _written((tag,), set(run.histograms), "histogram")
    entries = run.histograms[tag]
    if len(entries) > MOST_RIDGES:
        entries = [entries[round(i)] for i in np.linspace(0, len(entries) - 1, MOST_RIDGES)]
    low, high = min(e.low for e in entries), max(e.high for e in entries)
    margin = 0.02 * (high - low) or 0.5
    edges = np.linspace(low - margin, high + margin, RIDGE_POINTS + 1)
    heights = np.stack([_density(entry, edges) for entry in entries])
    drawing, axes = figure("filled in below", size=(6.4, 1.2 + 0.24 * len(entries)))
    for i, height in enumerate(heights):
        base = len(entries) - 1 - i
        x, y = (edges[:-1] + edges[1:]) / 2, base + 2.2 * height / heights.max()
        shade = colormaps["Blues"](0.35 + 0.5 * i / max(1, len(entries) - 1))
        axes.fill_between(x, base, y, color=shade, zorder=i + 2)
        axes.plot(x, y, color=BLACK, linewidth=0.8, linestyle="-", zorder=i + 2)
    axes.set_yticks(range(len(entries)), [str(e.step) for e in reversed(entries)])
    axes.set_xlabel(tag)
    axes.set_ylabel("step")
    set_title(axes, title)
    first, last = (
        f"{span(np.array([e.low, e.high]))} with standard deviation {significant(e.std)} at step {e.step}"
        for e in (entries[0], entries[-1])
    )
    after = f", then {last}" if len(entries) > 1 else ""
    drawing.description = f"{counted(len(entries), 'histogram')} of {tag}: values {first}{after}."
    return drawing


def _density(entry: Histogram, edges: np.ndarray) -> np.ndarray:
    """The share of the values in each of the bins between `edges`; inside a stored bin they are spread evenly."""
    stored = entry.edges.clamp(entry.low, entry.high).numpy()
    below = np.concatenate([[0.0], entry.counts.cumsum(0).numpy()]) / entry.counts.sum().item()
    if entry.low == entry.high:  # all values are one number
        return np.diff((edges > entry.low).astype(float))
    return np.diff(np.interp(edges, stored, below))


def draw_pictures(source: str | Path | Run, tag: str, columns: int = 4, *, title: str = "") -> CourseFigure:
    """Show the pictures of `tag` in rows of `columns`, under each its step; a single one is shown large.

    `source` is a folder or a `Run`. Raises ValueError when it has no such tag.
    """
    run = source if isinstance(source, Run) else read(source)
    _written((tag,), set(run.pictures), "picture")
    pictures = run.pictures[tag]
    if len(pictures) == 1:
        return _large(pictures[0], tag, title)
    return show_grid([pixels for _, pixels in pictures], [f"step {e.step}" for e in pictures], columns, title=title)


@look()
def _large(picture: Picture, tag: str, title: str) -> CourseFigure:
    """One picture, often a whole grid of small ones, as large as the page allows."""
    height, width = picture.pixels.shape[1:]
    inches = min(WIDEST, max(NARROWEST, width / PIXELS_PER_INCH), TALLEST * width / height)
    description = f"1 picture of {height} x {width} pixels, {tag} at step {picture.step}."
    drawing, axes = figure(description, size=(inches, inches * height / width + 0.4))
    axes.imshow(picture.pixels.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_axis_off()
    axes.set_anchor("NW")
    set_title(axes, title)
    return drawing


def _written(wanted: tuple[str, ...], there: set[str], kind: str) -> None:
    missing = [tag for tag in wanted if tag not in there]
    if missing or not wanted:
        listed = ", ".join(sorted(there)) or "none"
        raise ValueError(f"no {kind} {missing[0] if missing else ''!r} was written; there are: {listed}")


# --- the real server ---

# The server ends when its input does: when `stop` closes it, and when this program ends, in whatever way.
_CHILD = """
import _thread, logging, signal, sys, threading

def wait_for_the_end():
    sys.stdin.buffer.read()
    _thread.interrupt_main(signal.SIGTERM)

threading.Thread(target=wait_for_the_end, daemon=True).start()
logging.getLogger("tensorboard").setLevel(logging.INFO)
logging.getLogger("tensorboard").addHandler(logging.StreamHandler(sys.stdout))
from tensorboard.main import run_main
run_main()
"""


class Server:
    """A TensorBoard program that runs until `stop()`, the end of its `with` block, or the end of this program."""

    def __init__(self, folder: Path, port: int) -> None:
        options = ["--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--load_fast", "false"]
        self.folder = folder.name
        self._said: list[str] = []
        self._program = subprocess.Popen(
            [sys.executable, "-u", "-c", _CHILD, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # what interrupts a cell does not end the server
        )
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self.address = self._wait(port)
        except BaseException:
            self._program.kill()
            self.stop()
            raise

    def _listen(self) -> None:
        """Keep what the program says, and keep its pipe from filling up."""
        with self._program.stdout as lines:
            for line in lines:
                self._said.append(line)

    def _wait(self, port: int) -> str:
        """The address, once the server answers and has read all that was written until now."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            ended, said = self._program.poll() is not None, "".join(self._said)
            address = re.search(r"http://127\.0\.0\.1:\d+/", said)
            if address and "done reloading" in said:
                return address[0]
            if ended and "in use" in said:
                raise RuntimeError(f"port {port} is in use by another program; leave port out, and a free one is taken")
            if ended:
                last = (said.split("\n")[-2:] or [""])[0].strip() or "it said nothing"
                raise RuntimeError(f"TensorBoard ended at once: {last}")
            time.sleep(0.05)
        raise RuntimeError(
            f"TensorBoard did not answer within {PATIENCE:g} seconds; try again when the machine is calm"
        )

    def ask(self, path: str = "data/runs") -> object:
        """What the server answers to `path`, such as "data/runs", read from JSON. Raises RuntimeError if it can't."""
        if self._program.poll() is not None:
            raise RuntimeError("this TensorBoard was stopped; start another with board.serve")
        # without the proxy that the environment may name: the server is on this machine
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.address + path.lstrip("/"), timeout=PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"TensorBoard has no answer to {path!r} ({error.code})") from None
        except json.JSONDecodeError:
            raise RuntimeError(f"TensorBoard's answer to {path!r} is a page, not JSON; open it in a browser") from None

    def stop(self) -> None:
        """End the program and wait until it has ended; a second call does nothing."""
        if not self._program.stdin.closed:
            self._program.stdin.close()
        try:
            self._program.wait(10)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self._program.poll() is None else "stopped"
        return f"TensorBoard of the folder {self.folder!r}, {state}"

    def _repr_html_(self) -> str:
        if self._program.poll() is not None:
            return repr(self)
        return f'TensorBoard: <a href="{self.address}" target="_blank">{self.address}</a>'


def serve(folder: str | Path, port: int = 0) -> Server:
    """Start TensorBoard for `folder` and give it back once it answers; its page is at `.address`.

    It listens on 127.0.0.1 only, at `port`, or at a free one (0). Use it in `with board.serve(folder) as server:`, or
    keep it and call `.stop()`; it ends with this program in any case. Raises FileNotFoundError when the folder is
    missing, ValueError when it holds no event file or `port` is none, RuntimeError when the port is in use.
    """
    folder = _existing(folder).resolve()
    _with_events(folder)
    if given.whole(port, "port", least=0) > 65535:
        raise ValueError(f"port is {port}; a whole number up to 65535 is needed, or 0 for a free one")
    return Server(folder, port)
