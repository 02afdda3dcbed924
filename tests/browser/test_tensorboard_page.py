"""TensorBoard's own page, as lesson 5.4 opens it: the server answers, and the page shows what was written."""

import pytest
from torch.utils.tensorboard import SummaryWriter

from course_utils import board

pytestmark = pytest.mark.xdist_group("browser-tensorboard")


def test_tensorboard_shows_what_was_written(page, errors, keep, tmp_path):
    with SummaryWriter(tmp_path / "run1") as writer:
        for step in range(20):
            writer.add_scalar("Loss/train", 1 / (step + 1), step)
    with board.serve(tmp_path) as server:
        page.goto(server.address)
        # a card for the tag, with a drawn line in it
        page.get_by_text("Loss/train").first.wait_for()
        page.get_by_text("run1").first.wait_for()
        page.wait_for_timeout(1000)
        keep(page, "tensorboard")
    assert errors == []
