"""What the public face of the books offers for contracts that expired between our own strategies."""

import pytest
from desk_parts import AAPL, DU, D

from engine.core.instrument import Instrument
from engine.errors import AssignmentRefused, BadRequest, NotPermitted
from engine.office.access import Access
from engine.office.expiries import COLUMNS, ExpiryActs
from engine.settings import Settings

OPTION = Instrument(
    con_id=78,
    symbol="AAPL",
    sec_type="OPT",
    currency="USD",
    multiplier=D(100),
    expiry="20260310",
    strike=D(150),
    right="C",
    under_con_id=AAPL.con_id,
)


class Face(ExpiryActs):
    def __init__(self, house):
        self.desk, self.audit, self.followed = house.desk, [], 0
        self.access = Access(Settings(viewers="bob"), house.clock, self.audit.extend)

    async def _here(self, act):
        return await act

    def _follow(self):
        self.followed += 1


@pytest.fixture
async def face(house):
    house.fill(OPTION, 5, 2, moves_broker=True)
    house.fill(OPTION, -5, 3, strategy="BETA", order_ref="BETA-1", perm_id=701, order_id=8, moves_broker=True)
    await house.run(after=11)
    await house.run(after=86_400)
    return Face(house)


async def test_expired_holdings_without_a_known_value_need_a_price(face, house):
    row = face.expired_holdings().iloc[0]
    assert (row["account"], row["con_id"], row["expiry"]) == (DU, 78, "20260310")
    assert row["holdings"] == "ALPHA +5, BETA -5"
    assert row["price"] != row["price"], "unknown is NaN"
    with pytest.raises(AssignmentRefused, match="type a price"):
        await face.close_expired(DU, 78, operator="mary", reason="settled")
    with pytest.raises(BadRequest):
        await face.close_expired(DU, 78, "a lot", operator="mary", reason="settled")
    await face.close_expired(DU, 78, "12.5", operator="mary", reason="settled")
    alpha, beta = (house.ledger.position(name, DU, 78) for name in ("ALPHA", "BETA"))
    assert (alpha.quantity, beta.quantity) == (0, 0)
    assert (alpha.realized_pnl, beta.realized_pnl) == (5250, -4750)
    assert face.followed == 1
    assert face.expired_holdings().empty
    assert list(face.expired_holdings()) == list(COLUMNS)


async def test_expired_holdings_are_closed_by_operators_only_and_at_the_intrinsic_value(face, house):
    house.broker.mark(AAPL, 163)
    assert face.expired_holdings().iloc[0]["price"] == 13
    with pytest.raises(NotPermitted):
        await face.close_expired(DU, 78, operator="bob", reason="settled")
    await face.close_expired(DU, 78, operator="mary", reason="settled")
    assert house.ledger.position("ALPHA", DU, 78).realized_pnl == 5500
    assert [(one.user, one.allowed) for one in face.audit] == [("bob", False), ("mary", True)]
    with pytest.raises(AssignmentRefused, match="beyond its expiry"):
        await face.close_expired(DU, 78, operator="mary", reason="again")
