"""Fillbook's engine: it keeps the books and knows nothing of screens.

The map of the house, from the door downwards; a room may import only what stands below it.

- ``__main__``: the command line (reconcile, verify, rebuild, import-flex, quarantine, export).
- ``app``: ``Engine`` builds the rooms, owns their tasks and offers a read-only view.
- ``settings``: every setting, from the environment.
- ``strategy_manager``: strategies' lives and their ``message_queue``.
- ``portfolio_manager``: events in, books and reconciliation out; the one public face of the books.
- ``broker``: speaks IB. ``storage``: speaks ArcticDB and keeps the write-ahead journal. They do not know each other.
- ``state``: the engine's memory, a fold over facts.
- ``ports``: the doors (Store, Journal, Broker, Clock) as Protocols.
- ``receipt``: the journal's answer for what was handed over.
- ``recon``: pure: books against broker, breaks into causes, assignments and their reversal.
- ``core``: pure: identities, instruments, facts, positions, books, snapshots.
- ``simulator``: a TWS-protocol gateway of our own, beside the engine.
- ``errors``: the exception tree.

This module imports nothing, so that ``engine.core`` loads without IB or ArcticDB.
"""
