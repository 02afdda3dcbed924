"""Settings that every test shares: the processor, one thread, no window, no personal IPython profile."""

import os
import signal
import tempfile
from collections.abc import Callable

# before torch is imported, and inherited by every kernel that a test starts
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = "1"
# in the background programs ignore Ctrl-C, and so do those they start; here it is tested
signal.signal(signal.SIGINT, signal.default_int_handler)
profile = tempfile.TemporaryDirectory(prefix="ipython-", ignore_cleanup_errors=True)
os.environ["IPYTHONDIR"] = profile.name

import matplotlib  # noqa: E402
import pytest  # noqa: E402

# not through MPLBACKEND, which the kernels would inherit
matplotlib.use("Agg")

# `pytest --nbval` would take these for notebooks of the course
collect_ignore_glob = ["notebooks/good/*", "notebooks/bad/*"]


@pytest.fixture
def says_in_one_line() -> Callable[..., None]:
    """Call something that must raise `kind`, with a message of one short line that holds all `words`."""

    def check(call: Callable[[], object], kind: type[Exception], *words: str) -> None:
        with pytest.raises(kind) as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message and len(message) < 200
        for part in words:
            assert part in message

    return check
