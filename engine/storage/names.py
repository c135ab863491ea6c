"""Names of strategies and instruments as ArcticDB symbol names, reversibly.

ArcticDB holds printable ASCII except ``*``, ``<`` and ``>``, at least one and at most 254 characters; on S3 two slashes
in a row become one. A plain name stays as it is (``ALPHA`` is stored as ``ALPHA``, ``BRK/B`` as ``BRK/B``); what cannot
be held is written as the percent signs of its UTF-8 bytes (``é`` as ``%C3%A9``). A percent sign itself is escaped only
where it would be read as an escape, so ``50%`` stays ``50%``. A name that does not fit becomes ``%~`` and its SHA-256:
the whole name is then kept in the symbol's metadata, from which the store decodes it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

LONGEST: Final = 254
"""Longest symbol name that ArcticDB stores (255 fails when its keys are written)."""

_EMPTY: Final = "%~"
_PLAIN: Final = re.compile(r"[ -$&-)+-;=?-~]+")
_UNHELD: Final = re.compile(r"%(?=[0-9A-F]{2}|~)|(?<=/)/|[^ -)+-;=?-~]")
_ESCAPES: Final = re.compile(r"(?:%[0-9A-F]{2})+")


def encode_symbol(name: str) -> str:
    """Turn a name into a symbol name that ArcticDB can hold.

    Args:
        name: Any text, empty and unpaired surrogates included.

    Returns:
        The name itself when it is plain; different names give different symbols.
    """
    if len(name) <= LONGEST and _PLAIN.fullmatch(name) and "//" not in name:
        return name
    if not name:
        return _EMPTY
    encoded = _UNHELD.sub(_escape, name)
    if len(encoded) <= LONGEST:
        return encoded
    return _EMPTY + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def is_shortened(symbol: str) -> bool:
    """True for a symbol whose full name stands in its metadata only."""
    return symbol.startswith(_EMPTY) and symbol != _EMPTY


def decode_symbol(symbol: str) -> str:
    """Give back the name that :func:`encode_symbol` encoded.

    Args:
        symbol: As stored. A shortened one (see :func:`is_shortened`) is given back as it is.
    """
    if symbol == _EMPTY:
        return ""
    if is_shortened(symbol):
        return symbol
    return _ESCAPES.sub(_unescape, symbol)


def portfolio_name(account: str, symbol: str) -> str:
    """Name of an instrument's symbol in ``portfolio``: ``<ACCOUNT>/<SYMBOL>``.

    The first slash divides, so a symbol may hold slashes; one in an account is escaped.
    """
    return f"{account.replace('%', '%25').replace('/', '%2F')}/{symbol}"


def split_portfolio_name(name: str) -> tuple[str, str]:
    """Take :func:`portfolio_name` apart into account and symbol; ``aggregated`` gives an empty account."""
    account, slash, symbol = name.partition("/")
    if not slash:
        return "", name
    return account.replace("%2F", "/").replace("%25", "%"), symbol


def _escape(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode("utf-8", "surrogatepass"))


def _unescape(found: re.Match[str]) -> str:
    return bytes.fromhex(found.group().replace("%", "")).decode("utf-8", "surrogatepass")
