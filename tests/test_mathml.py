"""TeX -> MathML: what is converted, what is left alone, and every formula of the course."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from course_utils.authoring.build import SOURCES, source_notebook
from course_utils.authoring.mathml import FormulaError, formula, to_mathml

TEXTS = sorted(SOURCES.glob("*.py"))
WITHOUT_FORMULAS = "start_here"


def tags_of(mathml: str) -> list[str]:
    """The elements of some MathML, without their name space; fails when it is not well formed."""
    return [element.tag.split("}")[1] for element in ElementTree.fromstring(mathml).iter()]


def test_formula_is_one_well_formed_line():
    made = formula(r"\frac{a}{b}" + "\n + 1")
    assert "\n" not in made
    assert tags_of(made) == ["math", "mrow", "mfrac", "mrow", "mi", "mrow", "mi", "mo", "mn"]


@pytest.mark.parametrize("block, display", [(False, "inline"), (True, "block")])
def test_block_and_inline(block, display):
    assert ElementTree.fromstring(formula("x", block)).get("display") == display


def test_dollars_of_both_kinds():
    made = to_mathml("Take $x$ and\n\n$$y = 2$$\n\nhere.")
    assert re.findall(r'display="(\w+)"', made) == ["inline", "block"]
    assert made.startswith("Take <math") and made.endswith("</math>\n\nhere.")
    assert "$" not in made


@pytest.mark.parametrize(
    "text",
    [
        "`$x$` and ``a ` $y$``",
        "```python\nprice = '$x$'\n```",
        "~~~\n$$x$$\n~~~\n",
        "<pre>$x$</pre> <code>$y$</code>",
        '<img alt="$x$"> <!-- $y$ -->',
        "it costs $5 or 6$7, with $ blanks $ around",
        r"\$x\$",
        "<math><mi>x</mi></math>",
    ],
)
def test_left_alone(text):
    assert to_mathml(text) == text


def test_a_second_time_changes_nothing():
    once = to_mathml("Then $a < b$ and `$c$`.")
    assert to_mathml(once) == once


def test_escaped_and_plain_formulas_give_the_same():
    assert to_mathml("$a &lt; b$") == to_mathml("$a < b$")


def test_code_does_not_hide_what_follows():
    assert to_mathml("`a` $x$ `b`").count("<math") == 1
    assert to_mathml("```\n$a$\n```\n$x$").count("<math") == 1


@pytest.mark.parametrize("tex, spaces", [(r"y \log k", 2), (r"\log(1 + k)", 0), (r"\tanh^2 x", 0), (r"-\ln p", 1)])
def test_functions_stand_apart(tex, spaces):
    assert tags_of(formula(tex)).count("mspace") == spaces


@pytest.mark.parametrize(
    "tex, said",
    [
        (r"\frac{a", "brace"),
        (r"\frac{a}", "argument"),
        (r"\left( a", "no TeX"),
        (r"a^b^c", "no TeX"),
        (r"\nosuchthing x", r"\nosuchthing"),
    ],
)
def test_bad_formula_is_one_line(tex, said):
    with pytest.raises(FormulaError) as caught:
        to_mathml(f"before ${tex}$ after")
    assert "\n" not in str(caught.value)
    assert said in str(caught.value) and tex in str(caught.value)


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_every_formula_of_the_course(text):
    found = []
    for cell in source_notebook(text).cells:
        if cell.cell_type == "markdown":
            made = to_mathml(cell.source)
            found += re.findall(r"<math\b.*?</math>", made)
            outside = re.sub(r"^```.*?^```|`[^`]*`", "", made, flags=re.DOTALL | re.MULTILINE)
            assert "$" not in outside, cell.source
    for made in found:
        assert tags_of(made)[0] == "math"
    assert bool(found) != (text.stem == WITHOUT_FORMULAS)
