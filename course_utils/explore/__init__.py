"""Explorers: pictures with controls, one question each. `explore.strides()` as the last line of a cell shows
one.

Every explorer also has its arithmetic as a plain function, and can be driven without a front end:
`explore.strides().controls["row"].value = 2`.
"""

from course_utils.explore.activating import activate, activations
from course_utils.explore.affine import affine, apply_affine
from course_utils.explore.base import Control, Explorer
from course_utils.explore.batches import batches, load_batches
from course_utils.explore.broadcasting import broadcast, match_shapes
from course_utils.explore.chain import flow, graph, graph_figure
from course_utils.explore.convolving import convolution, slide_window
from course_utils.explore.gallery import apply_transform, transform_gallery
from course_utils.explore.logistic import fit_boundary, logistic_regression
from course_utils.explore.normalizing import normalize, normalize_pixels
from course_utils.explore.photo_kernel import filter_photo, photo_kernel
from course_utils.explore.pooling import pool_windows, pooling
from course_utils.explore.regression import fit_line, linear_regression
from course_utils.explore.storage import read_storage, strides
from course_utils.explore.transposing import stamp_kernels, transposed_convolution

__all__ = [
    "Control",
    "Explorer",
    "activate",
    "activations",
    "affine",
    "apply_affine",
    "apply_transform",
    "batches",
    "broadcast",
    "convolution",
    "filter_photo",
    "fit_boundary",
    "fit_line",
    "flow",
    "graph",
    "graph_figure",
    "linear_regression",
    "load_batches",
    "logistic_regression",
    "match_shapes",
    "normalize",
    "normalize_pixels",
    "photo_kernel",
    "pool_windows",
    "pooling",
    "read_storage",
    "slide_window",
    "stamp_kernels",
    "strides",
    "transform_gallery",
    "transposed_convolution",
]
