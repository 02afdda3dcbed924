"""A real kernel, killed and interrupted in the middle: what was saved is there, and the course goes on."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel
from table import row

from course_utils.authoring.structure import preparation, read

# what one run found out is shared
pytestmark = pytest.mark.xdist_group("fault-kernel")

NOTEBOOK = read(Path(__file__).resolve().parents[2] / "notebooks" / "start_here.ipynb")
FIRST_CELLS = "\n".join(NOTEBOOK.cells[index].source for index in preparation(NOTEBOOK))
LESSON = "torch.arange(6).reshape(2, 3)"
SAVE = "from course_utils import checkpoints\ncheckpoints.save({'epoch': 1}, 'run.pt')"
LOAD = "from course_utils import checkpoints\nassert checkpoints.load('run.pt') == {'epoch': 1}"
RECORD = """
import time
from course_utils.hooks import Recorder
class Slow(torch.nn.Linear):
    def forward(self, x):
        open("running", "w").close()
        time.sleep(60)
net = torch.nn.Sequential(torch.nn.Linear(2, 2), Slow(2, 2))
with Recorder(net, "0"):
    net(torch.ones(1, 2))
"""
NO_HOOKS = "assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())"


class Kernel:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager, self.client = start_new_kernel(cwd=str(folder))

    def run(self, source: str) -> str:
        """The error that `source` ends with, in one line, or ""."""
        options = {"allow_stdin": False, "output_hook": lambda message: None, "timeout": 120}
        reply = self.client.execute_interactive(source, **options)["content"]
        return "" if reply["status"] == "ok" else f"{reply['ename']}: {reply['evalue']}"

    def running(self, source: str) -> str:
        """Start a cell that writes the file `running`, wait for it; gives the number of the request."""
        # by default a kernel that has just answered with an error drops the request that comes next
        number = self.client.execute(source, stop_on_error=False)
        end = time.monotonic() + 60
        while not (self.folder / "running").exists():
            assert time.monotonic() < end, "the cell did not begin"
            time.sleep(0.05)
        (self.folder / "running").unlink()
        return number


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    started = Kernel(tmp_path_factory.mktemp("kernel"))
    try:
        assert started.run(FIRST_CELLS) == ""
        yield started
    finally:
        started.client.stop_channels()
        started.manager.shutdown_kernel(now=True)


def test_a_cell_that_is_interrupted(kernel: Kernel, says):
    number = kernel.running(RECORD)
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=60)
    while reply["parent_header"].get("msg_id") != number:  # the kernel may still be answering its first question
        reply = kernel.client.get_shell_msg(timeout=60)
    assert reply["content"]["status"] == "error", reply
    says(row("cell interrupted, real kernel"), reply["content"]["ename"])
    assert kernel.run(NO_HOOKS) == "" and kernel.run(LESSON) == ""


def test_a_kernel_killed_in_the_middle(kernel: Kernel, says):
    assert kernel.run(SAVE) == ""
    kernel.running("open('running', 'w').close()\nwhile True: pass")
    process = kernel.manager.provisioner.process.pid
    os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    kernel.client.stop_channels()
    kernel.manager.restart_kernel(now=True)
    kernel.client = kernel.manager.client()
    kernel.client.start_channels()
    kernel.client.wait_for_ready(timeout=60)
    says(row("kernel killed, lesson run again"), kernel.run(LESSON))
    assert kernel.run(FIRST_CELLS) == "" and kernel.run(LESSON) == "" and kernel.run(LOAD) == ""
