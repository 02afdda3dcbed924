"""What the tests of faults share: looking at one line."""

from collections.abc import Callable

import pytest
from table import Fault


@pytest.fixture
def says() -> Callable[[Fault, str], None]:
    """Hold a message against its row: one line, short, with all words."""

    def check(fault: Fault, message: str) -> None:
        assert "\n" not in message.strip() and len(message) < 300, message
        assert "Traceback" not in message
        for word in fault.words:
            assert word in message, message

    return check
