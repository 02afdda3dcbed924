"""Explorers: pictures with controls, one question each. `explore.strides()` as the last line of a cell shows
one.

Every explorer also has its arithmetic as a plain function, and can be driven without a front end:
`explore.strides().controls["row"].value = 2`.
"""

from course_utils.explore.base import Control, Explorer
from course_utils.explore.broadcasting import broadcast, match_shapes
from course_utils.explore.chain import flow, graph, graph_figure
from course_utils.explore.logistic import fit_boundary, logistic_regression
from course_utils.explore.regression import fit_line, linear_regression
from course_utils.explore.storage import read_storage, strides

__all__ = [
    "Control",
    "Explorer",
    "broadcast",
    "fit_boundary",
    "fit_line",
    "flow",
    "graph",
    "graph_figure",
    "linear_regression",
    "logistic_regression",
    "match_shapes",
    "read_storage",
    "strides",
]
