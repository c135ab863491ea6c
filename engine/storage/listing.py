"""Which symbols a library has, whatever its own list says.

ArcticDB commits the first version of a new symbol, and then the symbol's entry in the library's list: two transactions.
Measured with a process killed at every write: one that dies between the two leaves a symbol that can be read and appended to
but is in no list and no snapshot, for ever, since later appends enter nothing. Its rows are there and look lost: to
``verify``, to every table over all strategies, to books that are brought back from the store alone. So the names are taken
from the versions' references, too, and whoever writes makes the list anew when it lacks one. That may be interrupted
anywhere: the list then lacks what it lacked, or ArcticDB makes it when it is asked for next.
"""

from __future__ import annotations

from typing import Any


def symbols_of(library: Any) -> list[str]:
    """Encoded names of the symbols that exist, in no order."""
    listed = list(library.list_symbols())
    return listed + unlisted(library, listed)


def unlisted(library: Any, listed: list[str]) -> list[str]:
    """Those that exist and are not in the list."""
    known = set(listed)
    # Deleted symbols have a reference, too. There are few or none, so each is asked for.
    referred = library._nvs.list_symbols(all_symbols=True)  # noqa: SLF001 - the public listing knows nothing but the list
    return [symbol for symbol in referred if symbol not in known and library.has_symbol(symbol)]


def mend_list(library: Any) -> None:
    """Make the list anew from the references; only for the one process that writes."""
    library.reload_symbol_list()
