"""What keeps the facts and the books: the write-ahead journal and ArcticDB."""

from engine.storage.arctic import ArcticStore, open_store
from engine.storage.names import decode_symbol, encode_symbol, portfolio_name, split_portfolio_name

__all__ = ["ArcticStore", "decode_symbol", "encode_symbol", "open_store", "portfolio_name", "split_portfolio_name"]
