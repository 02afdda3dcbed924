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
from course_utils.explore.crossing import cross_entropy, logits_to_loss
from course_utils.explore.diagnosing import sick_curves, train_sick
from course_utils.explore.dropping import drop_units, dropout
from course_utils.explore.feature_mapping import feature_maps, show_maps
from course_utils.explore.gallery import apply_transform, transform_gallery
from course_utils.explore.hiding import hidden_digits, search_digit
from course_utils.explore.initialising import initialisation, layer_stds
from course_utils.explore.logistic import fit_boundary, logistic_regression
from course_utils.explore.looking import explain, grad_cam
from course_utils.explore.loss_curving import loss_and_gradient, loss_curves
from course_utils.explore.normalizing import normalize, normalize_pixels
from course_utils.explore.photo_kernel import filter_photo, photo_kernel
from course_utils.explore.pooling import pool_windows, pooling
from course_utils.explore.racing import optimizer_race, run_optimizer
from course_utils.explore.regression import fit_line, linear_regression
from course_utils.explore.scheduling import scheduled_rates, scheduler
from course_utils.explore.sharing import normalization_axes, normalize_block
from course_utils.explore.smoothing import average_path, averaging
from course_utils.explore.storage import read_storage, strides
from course_utils.explore.transposing import stamp_kernels, transposed_convolution
from course_utils.explore.valley import descend_valley, valley
from course_utils.explore.waiting import plateau, reduce_on_plateau

__all__ = [
    "Control",
    "Explorer",
    "activate",
    "activations",
    "affine",
    "apply_affine",
    "apply_transform",
    "average_path",
    "averaging",
    "batches",
    "broadcast",
    "convolution",
    "cross_entropy",
    "descend_valley",
    "drop_units",
    "dropout",
    "explain",
    "feature_maps",
    "filter_photo",
    "fit_boundary",
    "fit_line",
    "flow",
    "grad_cam",
    "graph",
    "graph_figure",
    "hidden_digits",
    "initialisation",
    "layer_stds",
    "linear_regression",
    "load_batches",
    "logistic_regression",
    "logits_to_loss",
    "loss_and_gradient",
    "loss_curves",
    "match_shapes",
    "normalization_axes",
    "normalize",
    "normalize_block",
    "normalize_pixels",
    "optimizer_race",
    "photo_kernel",
    "plateau",
    "pool_windows",
    "pooling",
    "read_storage",
    "reduce_on_plateau",
    "run_optimizer",
    "scheduled_rates",
    "scheduler",
    "search_digit",
    "show_maps",
    "sick_curves",
    "slide_window",
    "stamp_kernels",
    "strides",
    "train_sick",
    "transform_gallery",
    "transposed_convolution",
    "valley",
]
