"""Build the notebooks: notebooks/source/NAME.py (jupytext percent) -> notebooks/NAME.ipynb, run on the CPU.

    python -m course_utils.authoring.build            all of them
    python -m course_utils.authoring.build week1      those whose name begins so

What is stored depends on the text alone: no timings, no widget state, no versions, ids made from the content.
Building twice gives the same bytes.
"""

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

SOURCES = Path(__file__).resolve().parents[2] / "notebooks" / "source"
CELL_TIMEOUT = 120  # seconds
KEPT_METADATA = ("covers", "tags")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
# one thread and no card: the numbers that nbval compares depend on both
BUILD_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


class BuildError(RuntimeError):
    """A notebook could not be built; the message names the cell."""


def built_path(source: Path) -> Path:
    """Where the notebook of a text in notebooks/source belongs."""
    return source.parent.parent / f"{source.stem}.ipynb"


def _kept(metadata: NotebookNode) -> NotebookNode:
    return NotebookNode({key: metadata[key] for key in KEPT_METADATA if key in metadata})


def source_notebook(source: Path) -> NotebookNode:
    """The text as a notebook with stable ids, not executed."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        cell.metadata = _kept(cell.metadata)
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return notebook


def as_text(notebook: NotebookNode) -> str:
    """The text that JupyterLab saves for this notebook.

    A text in notebooks/source always has this form: else saving a notebook would change lines nobody touched, and
    jupytext would refuse to open a pair whose two halves differ.
    """
    filters = {"cell_metadata_filter": ",".join([*KEPT_METADATA, "-all"]), "notebook_metadata_filter": "-all"}
    paired = NotebookNode({**notebook, "metadata": NotebookNode({**notebook.metadata, "jupytext": filters})})
    return jupytext.writes(paired, fmt="py:percent")


def tidy(source: Path) -> bool:
    """Bring a text into the form that JupyterLab saves; returns whether it had another."""
    text = as_text(source_notebook(source))
    if text == source.read_text(encoding="utf-8"):
        return False
    source.write_text(text, encoding="utf-8", newline="\n")
    return True


def same_source(text: NotebookNode, built: NotebookNode) -> list[str]:
    """What differs between the text's notebook and the built one, outputs aside; empty when they agree."""
    differences = []
    if len(text.cells) != len(built.cells):
        differences.append(f"the text has {len(text.cells)} cells, the notebook {len(built.cells)}")
    for number, (wanted, found) in enumerate(zip(text.cells, built.cells, strict=False), start=1):
        for key in ("cell_type", "source", "metadata", "id"):
            if wanted[key] != found.get(key):
                first = wanted.source.splitlines()[0] if wanted.source else "(empty)"
                differences.append(f"cell {number} ({first[:60]}): another {key}")
    return differences


class ThisPython(AsyncKernelManager):
    """A kernel of the Python that builds, whatever kernel of the same name the user may have installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3 (ipykernel)", language="python")


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every cell in place, in a kernel of this Python whose working directory is `folder`.

    Raises BuildError for the first cell that raises or takes longer than CELL_TIMEOUT.
    """
    started: list[int] = []
    client = NotebookClient(
        notebook,
        kernel_manager_class=ThisPython,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=lambda cell, cell_index: started.append(cell_index),
    )
    try:
        # an empty IPython folder: the author's own start-up files are no part of the course
        with tempfile.TemporaryDirectory(prefix="ipython-") as profile:
            client.execute(env={**os.environ, **BUILD_ENVIRONMENT, "IPYTHONDIR": profile})
    except (CellExecutionError, TimeoutError, DeadKernelError) as error:
        place = "the kernel did not start"
        if started:
            cell = notebook.cells[started[-1]]
            place = f"cell {started[-1] + 1}, which begins {cell.source.splitlines()[0]!r}, fails"
        if isinstance(error, CellExecutionError):
            said = f"{error.ename}: {error.evalue}".splitlines()[0]
        else:
            said = f"it takes longer than {CELL_TIMEOUT} s" if isinstance(error, TimeoutError) else "its kernel died"
        raise BuildError(f"{place}: {said}") from error
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)


def strip(notebook: NotebookNode) -> None:
    """Take out, in place, what changes between runs: widget views, outputs' metadata, splits of a stream."""
    for cell in notebook.cells:
        cell.metadata = _kept(cell.metadata)
        if cell.cell_type != "code":
            continue
        kept: list[NotebookNode] = []
        for output in cell.outputs:
            if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
                kept[-1].text += output.text
                continue
            if "data" in output:
                output.data.pop(WIDGET_VIEW, None)
                if not output.data:
                    continue
                output.metadata = nbformat.from_dict({})
            kept.append(output)
        cell.outputs = kept


def build(source: Path) -> Path:
    """Tidy one text and build its notebook; a failure leaves the old notebook as it is. Raises BuildError."""
    tidy(source)
    notebook = source_notebook(source)
    target = built_path(source)
    try:
        execute(notebook, target.parent)
    except BuildError as error:
        raise BuildError(f"{source.name}: {error}") from error.__cause__
    strip(notebook)
    nbformat.validate(notebook)
    unfinished = target.with_suffix(".unfinished")
    try:
        # nbformat sorts the keys
        unfinished.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def find_sources(names: list[str]) -> list[Path]:
    """The texts whose names begin with one of `names`, all without names.

    Raises ValueError for a name that no text begins with.
    """
    texts = sorted(SOURCES.glob("*.py"))
    wanted = [Path(name).name.removesuffix(".ipynb").removesuffix(".py") for name in names]
    for name in wanted:
        if not any(path.stem.startswith(name) for path in texts):
            known = ", ".join(path.stem for path in texts)
            raise ValueError(f"no notebook begins with {name}; there are: {known}")
    return [path for path in texts if not wanted or path.stem.startswith(tuple(wanted))]


def main(names: list[str]) -> int:
    """Build the notebooks that `find_sources` finds; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a console without "…" prints ? for it
    try:
        sources = find_sources(names)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for source in sources:
        start = time.monotonic()
        print(f"building {source.stem} …", end=" ", flush=True)
        try:
            target = build(source)
        except BuildError as error:
            print(f"\n{error}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"\n{source.name}: the system refused: {error}; the old notebook is whole", file=sys.stderr)
            return 1
        print(f"{time.monotonic() - start:.0f} s, {target.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
