"""The trades of every benchmark, in plain numbers: nothing of the engine is needed to make them.

5 strategies with 20 shares each; quantities are whole, prices have two decimals. Two runs trade the same.
"""

from __future__ import annotations

STRATEGIES = 5
INSTRUMENTS = 20


def trade_of(number: int) -> tuple[int, int, int, str]:
    """(strategy, instrument, signed quantity, price text) of the fill with that number."""
    strategy, instrument = number % STRATEGIES, (number // STRATEGIES) % INSTRUMENTS
    quantity = (1 + (number * 7919) % 50) * (1 if (number * 104729) % 97 < 49 else -1)
    return strategy, instrument, quantity, f"{100 + (number * 31) % 1000 / 100:.2f}"
