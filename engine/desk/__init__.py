"""Services that act on what ``recon`` decides: they take ledger, broker and doors for facts and rows, and wire none."""
