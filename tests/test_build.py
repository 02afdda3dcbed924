"""The build of notebooks: the same bytes each time, nothing volatile inside, text and notebook in step."""

import asyncio
import inspect
import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from jupyter_server.services.contents.filemanager import FileContentsManager
from jupytext.sync_contentsmanager import build_sync_jupytext_contents_manager_class
from nbformat.v4 import new_code_cell, new_notebook, new_output

from course_utils.authoring import build

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
TINY = """\
# %% [markdown] covers=["w1-version"]
# # Tiny 课程

# %% tags=["setup"]
import os
import sys

# %%
for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED"):
    print(name, repr(os.environ[name]), flush=True)

# %%
print(sys.executable == os.environ["BUILDER"], os.path.basename(os.getcwd()))

# %%
1 + 1

# %%
1 + 1
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small text in a course of its own, whose folder has a blank and Chinese characters in its name."""
    folder = tmp_path / "my course 课程" / "notebooks" / "source"
    folder.mkdir(parents=True)
    path = folder / "week1_tiny.py"
    path.write_text(TINY, encoding="utf-8", newline="\n")
    monkeypatch.setattr(build, "SOURCES", folder)
    monkeypatch.setenv("BUILDER", build.sys.executable)
    return path


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    return [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]


def test_building_twice_gives_the_same_bytes(source, capsys):
    assert build.main([]) == 0
    target = build.built_path(source)
    first = target.read_bytes()
    assert build.main(["week1"]) == 0
    assert target.read_bytes() == first
    assert first.endswith(b"}\n") and "课程".encode() in first
    assert [path.name for path in target.parent.iterdir() if path.is_file()] == ["week1_tiny.ipynb"]
    assert capsys.readouterr().out.count("week1_tiny") == 2


def test_what_is_stored(source):
    book = nbformat.read(build.build(source), 4)
    assert book.metadata == build.NOTEBOOK_METADATA
    assert "version" not in json.dumps(book.metadata)
    assert all(set(cell.metadata) <= {"covers", "tags"} for cell in book.cells)
    assert [cell.execution_count for cell in book.cells if cell.cell_type == "code"] == [1, 2, 3, 4, 5]
    # one thread, no card, this Python whatever kernels are installed, in notebooks/; three prints are one output
    environment = "OMP_NUM_THREADS '1'\nCUDA_VISIBLE_DEVICES ''\nPYTHONHASHSEED '0'\n"
    assert printed(book) == [environment, "True notebooks\n"]


def test_the_author_s_own_ipython_is_left_out(source, tmp_path, monkeypatch):
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "mine.py").write_text("print = None")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    assert "True notebooks\n" in printed(nbformat.read(build.build(source), 4))


def test_ids_come_from_the_content(source):
    before = [cell.id for cell in build.source_notebook(source).cells]
    assert len(set(before)) == len(before), "equal cells need different ids"
    source.write_text(TINY.replace("# %% tags", "# %%\n2 + 2\n\n# %% tags"), encoding="utf-8")
    after = [cell.id for cell in build.source_notebook(source).cells]
    assert after[:1] + after[2:] == before, "a new cell must leave the ids of the others"


def test_an_error_names_the_cell_and_leaves_the_old_notebook(source, capsys):
    target = build.build(source)
    old = target.read_bytes()
    source.write_text(TINY.replace("1 + 1", "1 / 0", 1), encoding="utf-8")
    assert build.main([]) == 1
    assert "week1_tiny.py: cell 5, which begins '1 / 0', fails: ZeroDivisionError" in capsys.readouterr().err
    assert target.read_bytes() == old
    assert [path.name for path in target.parent.iterdir() if path.is_file()] == [target.name]


@pytest.mark.parametrize(
    ("cell", "words"),
    [("import time; time.sleep(60)", "takes longer than 5 s"), ("os._exit(1)", "its kernel died")],
    ids=["too slow", "dead kernel"],
)
def test_a_cell_that_does_not_come_back_is_named(source, monkeypatch, cell, words):
    monkeypatch.setattr(build, "CELL_TIMEOUT", 5)
    source.write_text(TINY.replace("1 + 1", cell, 1), encoding="utf-8")
    with pytest.raises(build.BuildError, match=f"cell 5, which begins .*{words}"):
        build.build(source)


def test_an_unknown_name_says_which_there_are(source, capsys):
    assert build.main(["week1_tiny", "week9"]) == 2
    assert "no notebook begins with week9; there are: week1_tiny" in capsys.readouterr().err
    for name in ("week1_tiny.ipynb", "notebooks/source/week1_tiny.py"):
        assert build.find_sources([name]) == [source]


def test_strip_takes_out_what_changes():
    view = {build.WIDGET_VIEW: {"model_id": "1f"}}
    outputs = [
        new_output("stream", name="stdout", text="a\n"),
        new_output("stream", name="stdout", text="b\n"),
        new_output("stream", name="stderr", text="c\n"),
        new_output("display_data", data={**view, "text/plain": "a slider"}, metadata={"isolated": True}),
        new_output("display_data", data=view),
    ]
    timing = {"execution": {"iopub.execute_input": "2026-01-01"}, "tags": ["proof"]}
    book = new_notebook(cells=[new_code_cell("1", outputs=outputs, metadata=timing)])
    build.strip(book)
    (cell,) = book.cells
    assert cell.metadata == {"tags": ["proof"]}
    assert [output.get("text") or output.data for output in cell.outputs] == [
        "a\nb\n",
        "c\n",
        {"text/plain": "a slider"},
    ]
    assert cell.outputs[2].metadata == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda book: book.cells[1].update(source="import os"), "cell 2 .*another source"),
        (lambda book: book.cells[1].metadata.update(tags=["proof"]), "cell 2 .*another metadata"),
        (lambda book: book.cells[3].update(id="edited"), "cell 4 .*another id"),
        (lambda book: book.cells.pop(), "the text has 6 cells, the notebook 5"),
    ],
    ids=["source", "tags", "id", "count"],
)
def test_same_source_sees_a_difference(source, change, words):
    built = build.source_notebook(source)
    change(built)
    (difference,) = build.same_source(build.source_notebook(source), built)
    assert re.search(words, difference)


def test_every_text_has_its_notebook_and_every_notebook_its_text():
    assert SOURCES
    assert {build.built_path(path) for path in SOURCES} == set((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_text_and_notebook_agree(path):
    differences = build.same_source(build.source_notebook(path), nbformat.read(build.built_path(path), 4))
    assert not differences, f"run: python course.py notebooks {path.stem}\n" + "\n".join(differences)


@pytest.fixture
def jupyter(tmp_path: Path):
    """The contents manager that JupyterLab reads and saves through, on a copy of the course."""
    root = tmp_path / "copy 课程"
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "pyproject.toml", root)
    manager = build_sync_jupytext_contents_manager_class(FileContentsManager)(root_dir=str(root))

    def call(name: str, *arguments):
        answer = getattr(manager, name)(*arguments)
        return asyncio.run(answer) if inspect.isawaitable(answer) else answer

    return root, call


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
@pytest.mark.parametrize("older", ["text", "notebook"])
def test_jupyterlab_opens_a_pair_of_any_age_and_saving_changes_no_text(jupyter, path, older):
    root, call = jupyter
    text, notebook = root / "notebooks" / "source" / path.name, root / "notebooks" / f"{path.stem}.ipynb"
    os.utime(text if older == "text" else notebook, (10**9, 10**9))
    content = call("get", f"notebooks/{notebook.name}")["content"]
    assert any(cell.get("outputs") for cell in content["cells"])
    call("save", {"type": "notebook", "format": "json", "content": content}, f"notebooks/{notebook.name}")
    assert text.read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


def test_saving_in_jupyterlab_writes_the_text(jupyter):
    root, call = jupyter
    path = SOURCES[-1]
    content = call("get", f"notebooks/{path.stem}.ipynb")["content"]
    content["cells"].append(
        new_code_cell("added = 1", metadata={"tags": ["proof"], "note": "kept in the notebook only"})
    )
    call("save", {"type": "notebook", "format": "json", "content": content}, f"notebooks/{path.stem}.ipynb")
    before, after = (
        (folder / "notebooks" / "source" / path.name).read_text(encoding="utf-8") for folder in (ROOT, root)
    )
    assert after.removeprefix(before.rstrip("\n")).strip() == '# %% tags=["proof"]\nadded = 1'


def test_other_notebooks_are_not_paired(jupyter):
    root, call = jupyter
    before = set(root.rglob("*.py"))
    book = new_notebook(cells=[new_code_cell("1")])
    call("save", {"type": "notebook", "format": "json", "content": book}, "mine.ipynb")
    assert (root / "mine.ipynb").exists()
    assert set(root.rglob("*.py")) == before
