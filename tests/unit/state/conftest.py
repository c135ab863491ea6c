"""Every story twice: as it is, and with all that is settled put away after each fact. Nobody can tell the difference."""

import pytest

from tests.unit.state.kit import Desk


@pytest.fixture(autouse=True, params=["in memory", "put away"])
def where(request, monkeypatch):
    monkeypatch.setattr(Desk, "puts_away", request.param == "put away")
