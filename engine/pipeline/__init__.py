"""How a fact travels: intake, journal, books, store. Threads of their own, so that no strategy and no loop waits.

``intake`` hands facts to the journal; ``keeper`` applies what the journal has made durable to the ledger; ``outbox``
holds the records until ``writer`` has put them into ArcticDB; ``recovery`` is the same path at start.
"""
