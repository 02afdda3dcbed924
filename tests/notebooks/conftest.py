"""What the tests of notebooks share."""

from collections.abc import Callable

import pytest


@pytest.fixture
def say(capsys: pytest.CaptureFixture) -> Callable[[str], None]:
    """Print a line now: these tests take long, and whoever waits should see at which notebook they are."""

    def print_now(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}", flush=True)

    return print_now
