import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from desk_parts import House


@pytest.fixture
def house():
    return House()
