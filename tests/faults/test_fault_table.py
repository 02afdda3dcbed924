"""The table and the tests belong together: no row without its test, no test without a row."""

import ast
from pathlib import Path

import pytest
from table import AUTHOR, FAULTS, STUDENT, TEACHER, Fault

TESTS = Path(__file__).resolve().parents[1]
HERE = sorted(path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__))


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_row_has_its_test(fault: Fault):
    file, _, name = fault.test.partition("::")
    assert name in functions(TESTS / file), f"{fault.test} is not there"
    assert fault.broken and fault.who in (STUDENT, TEACHER, AUTHOR)
    text = (TESTS / file).read_text(encoding="utf-8")
    if (TESTS / file) in HERE:
        # it takes its rows by their names, or all that name it
        assert f'row("{fault.name}")' in text or f'rows("{name}")' in text
    else:
        assert all(word in text for word in fault.words), f"{file} does not look for {fault.words}"


@pytest.mark.parametrize("path", HERE, ids=lambda path: path.stem)
def test_every_test_has_a_row(path: Path):
    named = {fault.test for fault in FAULTS}
    tests = {name for name in functions(path) if name.startswith("test_")}
    assert tests and {name for name in tests if f"faults/{path.name}::{name}" not in named} == set()


def test_there_are_enough_and_no_name_comes_twice():
    assert sum(bool(fault.words) for fault in FAULTS) >= 40
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
