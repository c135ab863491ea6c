"""What is traded. The key is ``con_id``; every other field is for arithmetic or display."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from engine.core.exact import share

BAG_CON_ID: Final = 28812380
"""IB gives every combination this one ``con_id``; it never names a position."""

ONE: Final = Decimal(1)


PERCENT_OF_PAR: Final = frozenset({"BOND", "BILL"})


class Instrument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One contract of the broker.

    Attributes:
        con_id: IB's contract id, the key. 0 when the broker never told (then nothing is booked by symbol: the fill is
            quarantined).
        multiplier: Value of one unit of price per contract, in ``currency`` (ES 50, an option 100, a stock 1).
        price_magnifier: Quoted price units per unit of ``currency`` (100 for London stocks in pence). ``None`` until the
            broker's contract details told it; it counts as 1 until then, and the books are refolded when it arrives.
        expiry: Last trade date or contract month as IB gives it (``YYYYMMDD`` or ``YYYYMM``), empty for none.
        strike: In ``currency``; ``None`` for what has no strike.
        right: ``C``, ``P`` or empty.
        under_con_id: The underlying's ``con_id`` where known, else 0.
    """

    con_id: int
    symbol: str
    sec_type: str = "STK"
    currency: str = ""
    local_symbol: str = ""
    exchange: str = ""
    multiplier: Decimal = ONE
    price_magnifier: int | None = None
    expiry: str = ""
    strike: Decimal | None = None
    right: str = ""
    under_con_id: int = 0
    trading_class: str = ""

    @property
    def is_combo(self) -> bool:
        """True for the parent of a combination, whose legs alone move positions."""
        return self.sec_type == "BAG" or self.con_id == BAG_CON_ID

    @property
    def is_virtual_fx(self) -> bool:
        """True for a currency pair: it trades cash, and IB's row for it is a virtual one (F80)."""
        return self.sec_type == "CASH"

    @property
    def is_percent_of_par(self) -> bool:
        """True for bonds and bills, whose quoted price times quantity is no value (F88)."""
        return self.sec_type in PERCENT_OF_PAR

    def unit_price(self, quoted: Decimal) -> Decimal:
        """Turn a quoted price into ``currency`` per unit.

        Args:
            quoted: As the broker quotes it (pence for a London stock).

        Returns:
            ``quoted / price_magnifier``, exact for the magnifiers IB uses (powers of ten).
        """
        if self.price_magnifier is None or self.price_magnifier == 1:
            return quoted
        return share(quoted, Decimal(self.price_magnifier))
