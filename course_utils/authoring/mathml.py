"""Formulas for pages that load nothing from a network: TeX between dollars -> MathML, which a browser draws itself."""

import html
import re
from xml.etree import ElementTree

from latex2mathml.converter import convert

# What is no formula comes first: code as markdown or HTML writes it, formulas that are converted already, HTML
# comments and tags, \$. A formula begins and ends without a blank, and no digit follows its last dollar.
_PIECES = re.compile(
    r"""(?P<kept>
            ^[ ]{0,3}(?P<fence>```+|~~~+).*?(?:^[ ]{0,3}(?P=fence)[^\n]*$|\Z)
          | (?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)
          | <(?P<tag>pre|code|math|script|style|svg)\b.*?</(?P=tag)>
          | <!--.*?-->
          | </?[a-zA-Z][^<>]*>
          | \\\$
        )
      | \$\$(?P<block>[^$]+)\$\$
      | \$(?P<inline>(?!\s)(?:[^$\\]|\\.)+?(?<!\s))\$(?!\d)
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


# log k without a gap reads like a product: TeX sets a thin space beside the name of a function, not before its bracket
_FUNCTION = r"<mi>(?:arg|cos|cosh|det|exp|lg|ln|log|sin|sinh|tan|tanh)</mi>"
_GAP = '<mspace width="0.17em"/>'

# elements that a browser draws wrongly with another number of children
_ARGUMENTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}


class FormulaError(ValueError):
    """A formula that cannot be converted; the message is one line and shows it."""


def _problem(tex: str, mathml: str) -> str:
    """What is wrong with a conversion that went through; empty when nothing is."""
    bare = re.sub(r"\\[\\{}]", "", tex)
    if bare.count("{") != bare.count("}"):
        return "has a brace without its partner; count { and }"
    # an unknown command comes back as its own name
    if unknown := re.search(r"\\[a-zA-Z]+", mathml):
        return f"has the command {unknown[0]}, which latex2mathml does not know; write it with others"
    for element in ElementTree.fromstring(mathml).iter():
        name = element.tag.rpartition("}")[2]
        if len(element) != _ARGUMENTS.get(name, len(element)):
            return f"lacks an argument (<{name}> got {len(element)} of {_ARGUMENTS[name]}); write {{…}} for each"
    return ""


def formula(tex: str, block: bool = False) -> str:
    """One formula, without its dollars, as a `<math>` element on one line; `block` for one that stands by itself.

    Raises FormulaError when the TeX is broken or has a command that the converter does not know.
    """
    shown = " ".join(tex.split())
    try:
        mathml = convert(shown, display="block" if block else "inline")
    except Exception as error:  # each mistake has a class of its own, without a common one
        raise FormulaError(
            f"the formula ${shown}$ is no TeX that latex2mathml reads ({type(error).__name__}); correct it"
        ) from None
    spaced = re.sub(rf'(?<!<msup>)(?<!<msub>)({_FUNCTION})(?!<mo stretchy="false">|</m)', rf"\1{_GAP}", mathml)
    spaced = re.sub(rf"(</mi>|</mn>|</msub>|</msup>)({_FUNCTION})", rf"\1{_GAP}\2", spaced)
    if problem := _problem(shown, spaced):
        raise FormulaError(f"the formula ${shown}$ {problem}")
    return " ".join(spaced.split("\n"))


def to_mathml(text: str) -> str:
    """Markdown or HTML with each $formula$ and $$formula$$ outside code as MathML; all else stays as it is.

    A formula in HTML may be escaped (`&lt;`). Rendered markdown (HTML) is the safer input: a markdown renderer run
    afterwards may take a `*` or `|` of a formula for its own. Raises FormulaError.
    """

    def replaced(match: re.Match[str]) -> str:
        if match["kept"] is not None:
            return match[0]
        block = match["block"] is not None
        return formula(html.unescape(match["block"] if block else match["inline"]), block)

    return _PIECES.sub(replaced, text)
