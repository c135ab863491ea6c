"""What can be wrong with the world, as one tree.

What is wrong with the *data* is a value (a break, a finding); what is wrong with *us* is an assertion. Only trouble of
the world is raised::

    FillbookError
    ├── SettingsError             a setting is missing or outside what is allowed
    ├── BadRequest                an operator or a caller asked for something that cannot be done as asked
    │   ├── AssignmentRefused     the split does not fit the residual, or was already reversed
    │   └── NotPermitted          the user's role does not allow the act
    ├── Unreadable                a message or file that cannot be read; it goes to quarantine
    ├── BrokerError
    │   ├── BrokerUnavailable     IB gave no complete answer; nothing was changed
    │   └── ClientIdInUse         IB refused our client id (326); no other is tried silently
    └── StorageError
        ├── StoreUnavailable      ArcticDB refuses, is full, slow or gone; facts wait in the journal
        ├── StoreLocked           another engine owns this store
        ├── HistoryDamaged        a block of the books' past cannot be read; a start without it rebuilds from ArcticDB
        ├── JournalDamaged        the journal cannot be read from some place on
        ├── JournalBehind         the journal is an older copy than the store beside it
        ├── NotWritable           a fact has no wire form: offering it again does not help
        └── JournalFull           the journal cannot be written: intake is refused, loudly
"""

from __future__ import annotations


class FillbookError(Exception):
    """Root of everything Fillbook raises on purpose; its text is fit to be shown to an operator."""


class SettingsError(FillbookError):
    """A setting is missing or outside what is allowed; the text names variable, value and what is allowed."""


class BadRequest(FillbookError):
    """What was asked cannot be done as asked; nothing was changed."""


class AssignmentRefused(BadRequest):
    """The assignment does not fit the residual it names, or cannot be reversed (again)."""


class NotPermitted(BadRequest):
    """The user's role does not allow the act; the attempt is audited."""


class Unreadable(FillbookError):
    """A message or file cannot be read; the text says why, the caller keeps the raw content."""


class BrokerError(FillbookError):
    """Trouble between us and IB."""


class BrokerUnavailable(BrokerError):
    """IB gave no complete answer (away, timed out, failed, wrong account); nothing was changed."""


class ClientIdInUse(BrokerError):
    """IB refused our client id (error 326). No other id is tried silently."""


class StorageError(FillbookError):
    """Trouble with what keeps the facts."""


class StoreUnavailable(StorageError):
    """ArcticDB refuses, is full, damaged or gone; facts wait in the journal and are caught up later."""


class StoreDamaged(StorageError):
    """A stored row lacks what none is without; the text shows the row. Nothing is made up in its place."""


class StoreLocked(StorageError):
    """Another engine owns this store or data directory; the text names its process."""


class HistoryDamaged(StorageError):
    """A block of the books' past cannot be read; the text names file and block. ArcticDB still has what is in it."""


class JournalDamaged(StorageError):
    """The journal cannot be read from some place on; the text names the file set aside and the place."""


class JournalBehind(StorageError):
    """The journal was put back from an older copy than the store; the text says what to do. Nothing was changed."""


class JournalFull(StorageError):
    """The journal cannot be written; what was not acknowledged must be offered again."""


class NotWritable(StorageError):
    """A fact cannot be written down: it was not accepted, and offering it again does not help."""
