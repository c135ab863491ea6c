"""Facts, records and helpers that the storage tests share."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from engine.core.events import Fill
from engine.core.instrument import Instrument
from engine.core.records import FillRecord

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
AAPL = Instrument(con_id=265598, symbol="AAPL", currency="USD", exchange="SMART", local_symbol="AAPL")


def fill(number: int, *, strategy: str = "ALPHA", price: str = "187.23", quantity: int = 100) -> Fill:
    return Fill(
        received_at=T0 + timedelta(seconds=number),
        account="DU1234567",
        exec_id=f"0000e0d5.{number:08x}.01.01",
        instrument=AAPL,
        quantity=Decimal(quantity),
        price=Decimal(price),
        executed_at=T0 + timedelta(seconds=number - 1),
        strategy=strategy,
        order_ref="ref",
    )


def record(seq: int, *, strategy: str = "ALPHA", **changes) -> FillRecord:
    made = fill(seq, strategy=strategy)
    values = {
        "seq": seq,
        "recorded_at": made.received_at,
        "strategy": strategy,
        "fill": made,
        "state": "active",
        "quantity": made.quantity,
        "unit_price": made.price,
        "multiplier": AAPL.multiplier,
        "magnifier": None,
        "order_time": made.executed_at,
        "first_seq": seq,
        "realized_pnl": Decimal(0),
    }
    return FillRecord(**(values | changes))


def until(happened, *, within_s: float = 60.0, what: str = "it"):
    """Poll until something is true (and give it back), or fail."""
    deadline = time.monotonic() + within_s
    while not (found := happened()):
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.02)
    return found
