"""Every setting, from the environment (prefix ``FILLBOOK_``) or as an argument of ``Settings``.

A bad value is refused at start with the variable's name, the value and what is allowed, so that nobody trades on a
default they did not mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote, unquote_plus
from zoneinfo import ZoneInfo

from engine.errors import SettingsError

PREFIX = "FILLBOOK_"
_DOC = "doc"


def _setting(default: object, doc: str) -> object:
    return field(default=default, metadata={_DOC: doc})


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """The settings in force; immutable.

    Every field is also an environment variable: ``ib_host`` is ``FILLBOOK_IB_HOST``.

    Raises:
        SettingsError: A value is outside what is allowed; the text names variable, value and what is allowed.
    """

    ib_host: str = _setting("", "host of TWS or IB Gateway; empty means no IB is configured")  # type: ignore[assignment]
    ib_port: int = _setting(4002, "port of TWS or IB Gateway (7496, 7497, 4001, 4002)")  # type: ignore[assignment]
    ib_client_id: int = _setting(40, "client id of the engine's own connection, 0 to 999999; 0 also sees manual orders")  # type: ignore[assignment]
    ib_client: str = _setting("ib_insync", "client library: ib_insync or ib_async")  # type: ignore[assignment]
    ib_timeout_s: float = _setting(10.0, "seconds to wait for an answer of IB")  # type: ignore[assignment]
    ib_accounts: str = _setting("", "accounts expected, comma separated; empty takes what IB manages")  # type: ignore[assignment]
    ib_timezone: str = _setting("", "time zone of the TWS login for times without one, e.g. America/New_York")  # type: ignore[assignment]
    ib_resets: str = _setting("", "whose daily resets defer breaks: america, europe, asia, none; empty: by ib_timezone")  # type: ignore[assignment]
    arctic_uri: str = _setting("", "lmdb://PATH or s3://...; empty means lmdb under data_dir")  # type: ignore[assignment]
    data_dir: str = _setting("./data", "folder of the journal, the lock and the default LMDB")  # type: ignore[assignment]
    base_currency: str = _setting("", "three letters; empty takes what each account's values say")  # type: ignore[assignment]
    reconcile_every_s: float = _setting(30.0, "seconds between reconciliations, 0 switches the timer off")  # type: ignore[assignment]
    settle_s: float = _setting(10.0, "seconds after local activity in which a difference is only settling")  # type: ignore[assignment]
    confirm_runs: int = _setting(2, "equal good snapshots in a row before a break is confirmed")  # type: ignore[assignment]
    tolerance_quantity: Decimal = _setting(Decimal(0), "difference in quantity that counts as equal")  # type: ignore[assignment]
    fees_missing_after_s: float = _setting(300.0, "seconds after which a pending fee is listed as missing")  # type: ignore[assignment]
    stale_after_s: float = _setting(60.0, "seconds of silence after which IB is asked whether it is alive")  # type: ignore[assignment]
    flush_every_s: float = _setting(0.05, "seconds between batches into ArcticDB")  # type: ignore[assignment]
    lmdb_map_gb: float = _setting(100.0, "size of the LMDB map in GiB (sparse; room, not use)")  # type: ignore[assignment]
    keep_snapshots_days: int = _setting(400, "days that end-of-day ArcticDB snapshots are kept")  # type: ignore[assignment]
    housekeeping_every_s: float = _setting(900.0, "seconds between compaction and pruning rounds")  # type: ignore[assignment]
    events_url: str = _setting("", "empty: in-process queue; nats://HOST:PORT: JetStream")  # type: ignore[assignment]
    strategies: str = _setting("", "names, comma separated; NAME=PATTERN maps order references by shell pattern")  # type: ignore[assignment]
    operators: str = _setting("", "users who may act, comma separated; empty: everybody, or nobody when named_only")  # type: ignore[assignment]
    named_only: bool = _setting(  # type: ignore[assignment]
        False, "true: only users named in operators may act; the server sets it by itself when it has a login"
    )
    viewers: str = _setting("", "users who may only look, comma separated")  # type: ignore[assignment]
    alert_urls: str = _setting("", "Apprise URLs, space separated; empty: no alerts leave this machine")  # type: ignore[assignment]
    flex_token: str = _setting("", "Flex web service token; empty: no download")  # type: ignore[assignment]
    flex_query_id: str = _setting("", "Flex query id for the download")  # type: ignore[assignment]
    flex_daily_at: str = _setting(  # type: ignore[assignment]
        "", "HH:MM in New York at which the day's statement is fetched and imported; empty: never by itself"
    )
    demo: bool = _setting(True, "start the simulated gateway and demo strategies when no IB is configured")  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Check what types cannot say, and first the types: nobody else looks at them."""
        self._types()
        for name, low, high in (
            ("ib_port", 1, 65535),
            ("ib_client_id", 0, 999_999),
            ("confirm_runs", 1, 100),
            ("keep_snapshots_days", 0, 36500),
        ):
            self._whole(name, low, high)
        for name, least, exclusive in (
            ("ib_timeout_s", 0, True),
            ("reconcile_every_s", 0, False),
            ("settle_s", 0, False),
            ("flush_every_s", 0, True),
            ("fees_missing_after_s", 0, False),
            ("stale_after_s", 0, True),
            ("lmdb_map_gb", 0, True),
            ("housekeeping_every_s", 0, False),
        ):
            self._seconds(name, least, exclusive=exclusive)
        self._tolerance()
        if self.ib_client not in {"ib_insync", "ib_async"}:
            raise _refused("ib_client", self.ib_client, "ib_insync or ib_async")
        if self.ib_resets not in {"", "america", "europe", "asia", "none"}:
            raise _refused("ib_resets", self.ib_resets, "america, europe, asia, none, or empty")
        if self.ib_timezone and not _is_zone(self.ib_timezone):
            raise _refused("ib_timezone", self.ib_timezone, "a zone of the IANA list, e.g. America/New_York, or empty")
        if self.arctic_uri and not re.match(r"(lmdb|s3|s3s)://[^?]", self.arctic_uri):
            raise _refused("arctic_uri", redact(self.arctic_uri), "lmdb://PATH, s3://... or s3s://...")
        if self.base_currency and not (re.fullmatch(r"[A-Z]{3}", self.base_currency)):
            raise _refused("base_currency", self.base_currency, "three capital letters, or empty")
        if self.events_url and not self.events_url.startswith(("nats://", "tls://")):
            raise _refused("events_url", redact(self.events_url), "empty, or nats://HOST:PORT")
        if self.flex_daily_at and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", self.flex_daily_at):
            raise _refused("flex_daily_at", self.flex_daily_at, "HH:MM, or empty")
        if self.flex_daily_at and not (self.flex_token and self.flex_query_id):
            raise _refused("flex_daily_at", self.flex_daily_at, "empty unless flex_token and flex_query_id are set")
        if not self.data_dir:
            raise _refused("data_dir", "", "a folder")
        self.strategy_patterns()

    def _types(self) -> None:
        if isinstance(self.data_dir, os.PathLike):
            object.__setattr__(self, "data_dir", os.fspath(self.data_dir))
        for each in fields(self):
            value = getattr(self, each.name)
            if str(each.type) == "str" and (not isinstance(value, str) or "\0" in value):
                raise _refused(each.name, _HIDDEN if each.name in _SECRET | _URLS else value, "a text")
            if str(each.type) == "bool" and not isinstance(value, bool):  # "false" would count as true
                raise _refused(each.name, value, "True or False")

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _refused(name, value, f"a whole number from {low} to {high}")

    def _seconds(self, name: str, least: float, *, exclusive: bool) -> None:
        value = getattr(self, name)
        fine = isinstance(value, (int, float)) and not isinstance(value, bool) and value < float("inf")
        if not fine or value < least or (exclusive and value == least):
            raise _refused(name, value, f"a number {'above' if exclusive else 'from'} {least}")

    def _tolerance(self) -> None:
        value = self.tolerance_quantity
        if not isinstance(value, Decimal):
            try:
                value = Decimal(repr(value) if isinstance(value, float) else str(value))
            except InvalidOperation as error:
                raise _refused("tolerance_quantity", self.tolerance_quantity, "a number from 0") from error
            object.__setattr__(self, "tolerance_quantity", value)
        if not value.is_finite() or value < 0:
            raise _refused("tolerance_quantity", value, "a number from 0")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read every ``FILLBOOK_*`` variable.

        Raises:
            SettingsError: A variable is unknown, cannot be read, or is outside what is allowed.
        """
        source = os.environ if environ is None else environ
        known = {f.name: f for f in fields(cls)}
        given: dict[str, object] = {}
        for key, text in source.items():
            if not key.startswith(PREFIX):
                continue
            name = key[len(PREFIX) :].lower()
            if name in _NOT_OURS:
                continue
            if name not in known:
                close = get_close_matches(name, known, n=1, cutoff=0.7)
                meant = f" (did you mean {PREFIX}{close[0].upper()}?)" if close else ""
                names = ", ".join(sorted(PREFIX + each.upper() for each in known))
                raise SettingsError(f"{key} is not a setting of Fillbook{meant}; known are {names}")
            if text == "":
                continue
            given[name] = _parse(name, text, str(known[name].type))
        return cls(**given)  # type: ignore[arg-type]

    @property
    def arctic_location(self) -> str:
        """The ArcticDB URI in force: ``arctic_uri``, or LMDB under ``data_dir``."""
        return self.arctic_uri or f"lmdb://{Path(self.data_dir).resolve() / 'arctic'}"

    @property
    def has_ib(self) -> bool:
        """True when an IB host is configured."""
        return bool(self.ib_host)

    @property
    def expected_accounts(self) -> tuple[str, ...]:
        """Accounts of ``ib_accounts``, in order."""
        return _names(self.ib_accounts)

    @property
    def operator_names(self) -> tuple[str, ...]:
        """Users who may act."""
        return _names(self.operators)

    @property
    def viewer_names(self) -> tuple[str, ...]:
        """Users who may only look."""
        return _names(self.viewers)

    def strategy_patterns(self) -> dict[str, str]:
        """Strategy name -> shell pattern of its order references (empty for the default rule).

        Raises:
            SettingsError: A name is empty or reserved.
        """
        found: dict[str, str] = {}
        for entry in _names(self.strategies):
            name, _, pattern = entry.partition("=")
            if name.strip() in found:
                raise _refused("strategies", self.strategies, f"each name once ({name.strip()} is there twice)")
            if not name.strip() or name.strip().upper() == "UNASSIGNED":
                raise _refused(
                    "strategies", self.strategies, "NAME or NAME=PATTERN, comma separated, UNASSIGNED is reserved"
                )
            found[name.strip()] = pattern.strip()
        return found

    def may_act(self, user: str) -> bool:
        """Whether a user may change anything.

        A viewer never may, whatever else is said, and neither may somebody without a name. As soon as operators are
        named, or the server has a login (``named_only``), nobody else may act.

        Args:
            user: As logged in, exactly; compared with capitals and all.
        """
        if not user.strip() or user in self.viewer_names:
            return False
        return user in self.operator_names or not (self.operator_names or self.named_only)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that must not be seen: tokens, alert addresses, and what the URLs carry as user, password or key."""
        found = {self.flex_token, *self.alert_urls.split()}
        for url in (self.arctic_uri, self.events_url, *self.alert_urls.split()):
            found |= _secrets_in(url)
        for url in self.alert_urls.split():
            # Chat services take their tokens anywhere in the address.
            found |= {part for part in re.split(r"[/:@?&=]+", url) if len(part) >= _TOKEN_LENGTH}
        return tuple(sorted((s for s in found if s), key=len, reverse=True))

    def in_force(self) -> list[tuple[str, str, str, bool]]:
        """What the settings screen shows.

        Returns:
            (variable, value without secrets, meaning, differs from its default) per setting.
        """
        rows = []
        for f in fields(self):
            value = getattr(self, f.name)
            rows.append((PREFIX + f.name.upper(), _shown(f.name, value), str(f.metadata[_DOC]), value != f.default))
        return rows

    def __repr__(self) -> str:
        """What differs from the defaults, without secrets: a traceback or a log may contain it."""
        changed = [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default]
        return f"Settings({', '.join(f'{name}={_shown(name, value)}' for name, value in changed)})"


_SECRET = {"flex_token", "alert_urls"}
_URLS = {"arctic_uri", "events_url"}
_NOT_OURS = {"hypothesis_examples", "cookie_secret", "port", "address"}
_HIDDEN = "***"
# ArcticDB's and the servers' parameters that are no secret; everything else in a query is taken for one.
_OPEN_PARAMETERS = {
    "aws_auth",
    "aws_profile",
    "ca_cert_dir",
    "ca_cert_path",
    "force",
    "map_size",
    "path_prefix",
    "port",
    "region",
    "ssl",
    "use_virtual_addressing",
}


def _shown(name: str, value: object) -> str:
    if name in _SECRET:
        return "set" if value else ""
    return redact(str(value)) if name in _URLS else str(value)


def redact(text: str) -> str:
    """A store's or server's URL without user, password and keys, for screens, logs and errors.

    Only what is known to be harmless is kept: scheme, host, path, and parameters that are no secret. What is no URL, or
    more than one, or cannot be told apart, is hidden as a whole.
    """
    if not text:
        return text
    scheme, mark, rest = text.partition("://")
    if not mark or not _is_scheme(scheme):
        return _HIDDEN
    if scheme.lower() == "lmdb" and "?" not in rest:
        return text  # a folder of this machine may have any name
    head, question, query = rest.partition("?")
    place = head.rpartition("@")[2]
    odd = "://" in rest or "@" in query or "#" in rest or any(c.isspace() for c in rest)
    if odd or (scheme.lower() != "lmdb" and ("=" in head or "&" in head)):
        return f"{scheme}://{_HIDDEN}"
    if "@" in head:
        place = f"{_HIDDEN}@{place}"
    return f"{scheme}://{place}" + (question and question + "&".join(map(_parameter, query.split("&"))))


def _is_scheme(text: str) -> bool:
    return text.isascii() and text[:1].isalpha() and text.replace("+", "").isalnum()


def _parameter(text: str) -> str:
    name, mark, _ = text.partition("=")
    if mark and name.lower() in _OPEN_PARAMETERS:
        return text
    return f"{name}={_HIDDEN}" if mark and name.replace("_", "").isalpha() else _HIDDEN


def _secrets_in(url: str) -> set[str]:
    """Users, passwords and keys that a URL carries, as written and decoded."""
    head, _, query = url.partition("://")[2].partition("?")
    user = head.rpartition("@")[0]
    found = {user, user.partition(":")[2]} | {
        p.partition("=")[2]
        for p in query.split("&")
        if _parameter(p) != p and len(p.partition("=")[2]) >= _LEAST_SECRET
    }
    return {
        s for s in found | {unquote(f) for f in found} | {unquote_plus(f) for f in found} if len(s) >= _LEAST_SECRET
    }


_TOKEN_LENGTH = 8
_LEAST_SECRET = 4
"""A shorter text than this is no key, and taking every occurrence of it out of a message would leave none readable."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse(name: str, text: str, kind: str) -> object:
    readers: dict[str, tuple[Callable[[str], object], str]] = {
        "str": (str, "text"),
        "int": (int, "a whole number"),
        "float": (float, "a number"),
        "Decimal": (Decimal, "a number"),
        "bool": (_boolean, "true or false"),
    }
    read, allowed = readers[kind]
    try:
        return read(text.strip())
    except (ValueError, InvalidOperation) as error:
        raise _refused(name, text, allowed) from error


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no name of a zone; a folder of zones
        return False
    return True


def _boolean(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError(text)


def _refused(name: str, value: object, allowed: str) -> SettingsError:
    return SettingsError(f"{PREFIX}{name.upper()}={value!r} is refused: allowed is {allowed}")
