"""Tells people outside: each trouble once, and once more when it is over. Off unless addresses are set.

The engine says at every tick which conditions hold; this says what is new and what has ended. A condition that keeps
holding is not told again, however its wording changes. Sending is a worker thread's business, with a time-out and a few
attempts, and a message that could not be sent is itself shown. What is sent at one time goes as one message, so that a
bad minute does not become a hundred mails. No message contains an address with its password, or a token.

Whether or not anything is sent, the state is kept for the screens.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from engine.core.events import Quarantined
from engine.core.records import FillRecord, Finding
from engine.errors import FillbookError, SettingsError
from engine.recon.breaks import OPEN_STATES, Break

AlertKind = Literal["confirmed_break", "liquidation", "store_trouble", "connection_lost", "quarantine", "fees_missing"]
Delivery = Literal["off", "waiting", "sent", "failed"]

_LOG: Final = logging.getLogger(__name__)
_HISTORY: Final = 200
_STUCK_LIMIT: Final = 4
_TITLES: Final[dict[str, str]] = {
    "confirmed_break": "Confirmed break",
    "liquidation": "Liquidation by IB",
    "store_trouble": "Store trouble",
    "connection_lost": "Connection lost",
    "quarantine": "Messages in quarantine",
    "fees_missing": "Fees missing",
}
_PASSWORD: Final = re.compile(r"(\w+://)[^/\s@]+@")


class AlertCondition(msgspec.Struct, frozen=True, kw_only=True):
    """A trouble that holds now."""

    kind: AlertKind
    text: str
    severity: Literal["warning", "critical"] = "warning"


class Alert(msgspec.Struct, kw_only=True):
    """A trouble that was noticed.

    Attributes:
        since: When it was first seen, UTC.
        gone_at: When it was last found gone while its all-clear still waits; ``None`` otherwise.
        cleared_at: When the all-clear was given, ``None`` while it holds.
        delivery: Of the latest message about it. ``error``: why that failed, else empty.
    """

    key: str
    kind: AlertKind
    severity: str
    text: str
    since: datetime
    gone_at: datetime | None = None
    cleared_at: datetime | None = None
    delivery: Delivery = "off"
    error: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is told about one alert."""

    key: str
    title: str
    body: str
    cleared: bool
    severity: str


class SendingFailed(FillbookError):
    """A message did not reach all it was for; the text carries no address."""


Sender = Callable[[str, str, str], None]
"""``(title, body, severity)``; blocking; raises ``SendingFailed``. Severity is ``info`` for all-clears alone."""


def apprise_sender(urls: Sequence[str]) -> Sender:
    """A sender to mail, chat and webhooks through Apprise.

    Args:
        urls: Apprise URLs; they carry passwords and are never repeated in any text.

    Raises:
        SettingsError: A URL is not understood; named by its place.
    """
    import apprise

    # Apprise writes addresses, passwords included, into its own log; what fails is shown by us instead.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    service = apprise.Apprise()
    for place, url in enumerate(urls, 1):
        if not service.add(url):
            raise SettingsError(f"FILLBOOK_ALERT_URLS: address number {place} is not one that Apprise understands")
    kinds = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}

    def send(title: str, body: str, severity: str) -> None:
        done = service.notify(
            title=title, body=body, notify_type=kinds.get(severity, apprise.NotifyType.SUCCESS), body_format="text"
        )
        if not done:
            raise SendingFailed("an address refused the message or could not be reached")

    return send


class Alerts:
    """Which troubles hold, what was told of them, and whether it arrived."""

    def __init__(
        self,
        sender: Sender | None = None,
        *,
        secrets: Iterable[str] = (),
        linger_s: float = 0.0,
        timeout_s: float = 20.0,
        attempts: int = 3,
        retry_s: float = 5.0,
    ) -> None:
        """Start the worker when there is a sender.

        Args:
            sender: ``None`` keeps everything in the house.
            secrets: Texts that no message may contain (tokens, addresses).
            linger_s: How long a trouble must be gone before the all-clear, so that one that flickers is one.
            timeout_s: For one attempt.
            attempts: How often a message is tried; ``retry_s`` apart.
        """
        self._sender = sender
        self._secrets = sorted((s for s in secrets if s), key=len, reverse=True)
        self._linger = timedelta(seconds=linger_s)
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._retry_s = retry_s
        self._lock = threading.Condition()
        self._active: dict[str, Alert] = {}
        self._ended: deque[Alert] = deque(maxlen=_HISTORY)
        self._outbox: deque[tuple[Alert, Message]] = deque()
        self._busy = False
        self._closed = threading.Event()
        self._stuck: list[threading.Thread] = []
        self._worker: threading.Thread | None = None
        if sender is not None:
            self._worker = threading.Thread(target=self._work, name="alerts", daemon=True)
            self._worker.start()

    @property
    def enabled(self) -> bool:
        """True when messages leave this machine."""
        return self._sender is not None

    def update(self, now: datetime, conditions: Mapping[str, AlertCondition]) -> list[Message]:
        """Take in what holds now.

        Args:
            conditions: Stable key -> condition; a key that is absent has ended.

        Returns:
            The messages this made: new troubles and all-clears, handed to the worker where one runs. Sends nothing
            itself and never waits.
        """
        told: list[Message] = []
        with self._lock:
            for key, condition in conditions.items():
                alert = self._active.get(key)
                text = self._clean(condition.text)
                if alert is not None:
                    alert.text, alert.severity, alert.gone_at = text, condition.severity, None
                    continue
                alert = Alert(key=key, kind=condition.kind, severity=condition.severity, text=text, since=now)
                self._active[key] = alert
                told.append(self._tell(alert, cleared=False))
            for key in [key for key in self._active if key not in conditions]:
                alert = self._active[key]
                alert.gone_at = alert.gone_at or now
                if now - alert.gone_at < self._linger:
                    continue
                del self._active[key]
                alert.cleared_at = now
                self._ended.append(alert)
                told.append(self._tell(alert, cleared=True))
            self._lock.notify_all()
        return told

    def _tell(self, alert: Alert, *, cleared: bool) -> Message:
        name = _TITLES[alert.kind]
        body = alert.text
        if cleared and alert.cleared_at is not None:
            minutes = (alert.cleared_at - alert.since).total_seconds() / 60
            body = f"over after {minutes:.0f} minutes: {alert.text}"
        message = Message(
            key=alert.key,
            title=f"All clear: {name.lower()}" if cleared else name,
            body=body,
            cleared=cleared,
            severity="info" if cleared else alert.severity,
        )
        if self._sender is not None:
            alert.delivery, alert.error = "waiting", ""
            self._outbox.append((alert, message))
        return message

    def active(self) -> list[Alert]:
        """Copies of what holds now, newest first."""
        with self._lock:
            return sorted((_copy(a) for a in self._active.values()), key=lambda a: a.since, reverse=True)

    def ended(self) -> list[Alert]:
        """Copies of what is over, newest first, the last 200."""
        with self._lock:
            return [_copy(a) for a in reversed(self._ended)]

    def rows(self, *, active_only: bool = False) -> list[dict[str, Any]]:
        """For the screens: ``key, kind, severity, text, at, cleared_at, delivery, error``; what holds comes first."""
        alerts = self.active() + ([] if active_only else self.ended())
        return [
            {
                "key": a.key,
                "kind": a.kind,
                "severity": a.severity,
                "text": a.text,
                "at": a.since,
                "cleared_at": a.cleared_at,
                "delivery": a.delivery,
                "error": a.error,
            }
            for a in alerts
        ]

    def undelivered(self) -> list[str]:
        """Which latest messages could not be sent, in words, for the health screen."""
        alerts = [a for a in self.active() + self.ended() if a.delivery == "failed"]
        return [f"alert not sent ({_TITLES[a.kind].lower()}): {a.error}" for a in alerts]

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is left to send.

        Returns:
            False when that took longer than ``timeout_s``.
        """
        with self._lock:
            return self._lock.wait_for(lambda: not self._outbox and not self._busy, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop the worker after what it is sending; what still waits is marked as not sent. May be called twice."""
        self._closed.set()
        with self._lock:
            self._lock.notify_all()
        if self._worker is not None:
            self._worker.join(timeout_s)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: bool(self._outbox) or self._closed.is_set())
                batch = list(self._outbox)
                self._outbox.clear()
                self._busy = bool(batch)
            if not batch:
                return
            error = "the engine was stopped before it was sent" if self._closed.is_set() else self._deliver(batch)
            with self._lock:
                for alert, _ in batch:
                    alert.delivery, alert.error = "failed" if error else "sent", error
                self._busy = False
                self._lock.notify_all()

    def _deliver(self, batch: Sequence[tuple[Alert, Message]]) -> str:
        """Send a batch as one message; returns why it failed, or an empty text."""
        messages = [message for _, message in batch]
        title = f"Fillbook: {messages[0].title}" + (f" and {len(messages) - 1} more" if len(messages) > 1 else "")
        body = "\n".join(f"{message.title}: {message.body}" for message in messages)
        severity = min((m.severity for m in messages), key=("critical", "warning", "info").index)
        error = ""
        for attempt in range(self._attempts):
            if attempt and self._closed.wait(self._retry_s):
                break
            error = self._attempt(title, body, severity)
            if not error:
                return ""
        _LOG.error("alert not sent: %s", error)
        return error

    def _attempt(self, title: str, body: str, severity: str) -> str:
        assert self._sender is not None, "only a worker with a sender sends"
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= _STUCK_LIMIT:
            return "earlier messages are still stuck on their way"
        sender, result = self._sender, ["no answer in time"]

        def send() -> None:
            try:
                sender(title, body, severity)
                result[0] = ""
            except Exception as error:  # noqa: BLE001 - whatever a plug-in raises is a failure to send, and is shown
                result[0] = self._clean(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=send, name="alert-send", daemon=True)
        thread.start()
        thread.join(self._timeout_s)
        if thread.is_alive():
            self._stuck.append(thread)
            return f"no answer within {self._timeout_s:g} s"
        return result[0]

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _PASSWORD.sub(r"\1***@", text)[:2000]


def _copy(alert: Alert) -> Alert:
    return msgspec.structs.replace(alert)


def gather(
    *,
    breaks: Iterable[Break] = (),
    findings: Iterable[Finding] = (),
    store_problem: str = "",
    connection_problem: str = "",
    quarantine: Iterable[Quarantined] = (),
    fees_missing: Iterable[FillRecord] = (),
) -> dict[str, AlertCondition]:
    """The conditions that hold, from what the engine knows.

    Args:
        breaks: All; only confirmed ones count, each by itself.
        findings: All; a liquidation holds as long as its instrument has an open break (R20).
        store_problem: Why the store or the journal is in trouble, empty when it is not.
        connection_problem: Why IB is not there, empty when it is.
        quarantine: Open ones; one condition for all. ``fees_missing`` likewise (R8).
    """
    found: dict[str, AlertCondition] = {}
    all_breaks = list(breaks)
    open_keys = {b.key for b in all_breaks if b.state in OPEN_STATES}
    for item in findings:
        if item.kind == "liquidation" and (item.account, item.con_id) in open_keys:
            found[f"liquidation:{item.key}"] = AlertCondition(kind="liquidation", text=item.text, severity="critical")
    for b in all_breaks:
        if b.state == "confirmed":
            text = f"{b.account} {b.symbol or b.con_id}: broker minus books {b.quantity:+f}"
            found[f"confirmed_break:{b.break_id}"] = AlertCondition(kind="confirmed_break", text=text)
    if store_problem:
        found["store_trouble"] = AlertCondition(kind="store_trouble", text=store_problem, severity="critical")
    if connection_problem:
        found["connection_lost"] = AlertCondition(kind="connection_lost", text=connection_problem, severity="critical")
    held = list(quarantine)
    if held:
        text = f"{len(held)} could not be read; the first: {held[0].reason[:200]}"
        found["quarantine"] = AlertCondition(kind="quarantine", text=text)
    missing = list(fees_missing)
    if missing:
        text = f"{len(missing)} executions have no fee yet; the first: {missing[0].fill.exec_id}"
        found["fees_missing"] = AlertCondition(kind="fees_missing", text=text)
    return found
