"""A stand-in for the engine with realistic books: six strategies, three accounts, breaks, orders with timelines.

The dashboard's own tests use it: it answers the read side of the engine with tables that look like the real ones and
remembers the acts that it was asked for. Texts are hostile on purpose, since they come from outside in real life too.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd

from engine.errors import BadRequest, NotPermitted
from engine.settings import Settings
from engine.simulator.faults_base import FaultError, FaultInfo, Parameter

HOSTILE = '<img src=x onerror="window.hacked=1">\'"&amp; \U0001f680'
STRATEGIES = ("ALPHA", "BETA", "CARRY", "DELTA", "FXMOM", f"GAMMA {HOSTILE}")
ACCOUNTS = ("DU1234567", "DU7654321", "DU5550001")
INSTRUMENTS = (  # con_id, symbol, local symbol, type, currency, multiplier, price
    (265598, "AAPL", "AAPL", "STK", "USD", 1.0, 189.5),
    (272093, "MSFT", "MSFT", "STK", "USD", 1.0, 410.25),
    (495512563, "ES", "ESZ6", "FUT", "USD", 50.0, 5312.25),
    (14121, "SAP", "SAP", "STK", "EUR", 1.0, 177.4),
    (12087792, "EUR", "EUR.USD", "CASH", "USD", 1.0, 1.0873),
    (691, "VOD", "VOD", "STK", "GBP", 1.0, 0.7125),
)
RATES = {"USD": 1.0, "EUR": 1.0873, "GBP": 1.27}


def now() -> datetime:
    return datetime.now(UTC)


class FakeBooks:
    """Answers like the portfolio manager."""

    def __init__(self, engine: FakeEngine, seed: int = 7) -> None:
        self.engine = engine
        self.random = random.Random(seed)
        self.acts: list[tuple[str, dict]] = []
        self.access = self
        self.counter = itertools.count(1)
        self.books: dict[tuple[str, str, int], dict] = {}
        self.rows: list[dict] = []
        self.order_rows: list[dict] = []
        self.journal: list[dict] = []
        self.expired = False
        self.ruled: list[dict] = []
        self.held: list[dict] = [
            {
                "quarantine_id": "q-1",
                "reason": "no field execution.execId",
                "door": "queue",
                "strategy": "ALPHA",
                "raw": f"{{'type': 'fill', 'x': '{HOSTILE}'}}",
                "received_at": now() - timedelta(minutes=12),
            }
        ]
        self.residuals = {(ACCOUNTS[0], 265598): 50.0, (ACCOUNTS[1], 14121): -20.0}
        self.closed: list[dict] = []
        self.started = now() - timedelta(hours=5)
        for _ in range(240):
            self.trade(at=self.started + timedelta(minutes=0.6 * len(self.rows)))

    # --- what happens -----------------------------------------------------------------------------------------------

    def trade(self, at: datetime | None = None) -> None:
        """One order of a random strategy with one to three fills; without ``at`` it ends now, as nothing is of tomorrow."""
        rng = self.random
        strategy, account = rng.choice(STRATEGIES), rng.choice(ACCOUNTS)
        con_id, symbol, local, kind, currency, multiplier, price = rng.choice(INSTRUMENTS)
        side = rng.choice((1, -1))
        qty = rng.choice((1, 2, 5)) if kind == "FUT" else rng.choice((100, 200, 500))
        number = next(self.counter)
        base = {
            "strategy": strategy,
            "order_ref": f"{strategy}-{number}",
            "symbol": symbol,
            "local_symbol": local,
            "sec_type": kind,
            "currency": currency,
            "multiplier": multiplier,
            "account": account,
            "con_id": con_id,
            "perm_id": 9000 + number,
            "order_id": number,
            "client_id": 11 + STRATEGIES.index(strategy),
            "side": "BUY" if side > 0 else "SELL",
        }
        order = base | {
            "order_key": f"P{account}:{9000 + number}",
            "qty": float(qty),
            "order_type": rng.choice(("MKT", "LMT")),
            "limit_price": price,
            "avg_fill_price": math.nan,
            "message": "",
        }
        story = [("PendingSubmit", 0), ("Submitted", 0)]
        parts = rng.choice((1, 2, 4)) if kind != "FUT" else 1
        share = qty / parts
        story += [("Filled" if i == parts - 1 else "PartiallyFilled", share * (i + 1)) for i in range(parts)]
        if number % 9 == 0:
            story = [("PendingSubmit", 0), ("Rejected", 0)]
        if number % 29 == 0:
            story = story[:2]
        steps = [rng.uniform(0.2, 40) for _ in story]
        when = at or now() - timedelta(seconds=sum(steps[:-1]))
        for (status, filled), step in zip(story, steps, strict=True):
            self.order_rows.append(
                order
                | {
                    "status": status,
                    "filled": filled,
                    "remaining": qty - filled,
                    "timestamp": when,
                    "recorded_at": when,
                    "message": f"201 rejected: {HOSTILE}" if status == "Rejected" else "",
                }
            )
            if "illed" in status:
                self.fill(base, side * share, price * (1 + rng.gauss(0, 0.002)), when)
            when += timedelta(seconds=step)
        self.engine.bump()

    def fill(self, base: dict, qty: float, price: float, at: datetime) -> None:
        number = len(self.rows) + 1
        pending = number % 17 == 0
        key = (base["strategy"], base["account"], base["con_id"])
        book = self.books.setdefault(key, {**base, "qty": 0.0, "cost": 0.0, "realized": 0.0, "fees": 0.0})
        realized = 0.0
        if book["qty"] * qty < 0:
            closing = min(abs(qty), abs(book["qty"])) * math.copysign(1, qty)
            average = book["cost"] / book["qty"]
            realized = -closing * (price - average) * base["multiplier"]
            book["cost"] += closing * average
            book["qty"] += closing
            opening = qty - closing
        else:
            opening = qty
        book["qty"] += opening
        book["cost"] += opening * price
        book["realized"] += realized
        book["fees"] += 0 if pending else 1.0
        self.rows.append(
            base
            | {
                "fill_id": f"0000e0d5.{number:08x}.01.01",
                "qty": qty,
                "price": round(price, 4),
                "timestamp": at,
                "recorded_at": at,
                "exchange": "SMART",
                "commission": math.nan if pending else 1.0,
                "commission_currency": "" if pending else base["currency"],
                "commission_status": "pending" if pending else "final",
                "ib_realized_pnl": math.nan,
                "realized_pnl": realized,
                "source": "live",
                "supersedes": f"0000e0d5.{number:08x}.01.00" if number % 50 == 0 else "",
                "state": "active",
            }
        )

    # --- tables -----------------------------------------------------------------------------------------------------

    def positions(self, strategy=None, account=None, as_of=None) -> pd.DataFrame:
        rows = []
        for (name, acc, con_id), book in self.books.items():
            if (strategy and name != strategy) or (account and acc != account):
                continue
            price = next(i[6] for i in INSTRUMENTS if i[0] == con_id)
            qty, multiplier, rate = book["qty"], book["multiplier"], RATES[book["currency"]]
            unrealized = (qty * price - book["cost"]) * multiplier
            rows.append(
                {k: book[k] for k in ("strategy", "symbol", "account", "con_id", "local_symbol", "sec_type")}
                | {
                    "currency": book["currency"],
                    "multiplier": multiplier,
                    "qty": qty,
                    "avg_cost": book["cost"] / qty if qty else math.nan,
                    "realized_pnl": book["realized"],
                    "unrealized_pnl": unrealized if con_id != 691 else math.nan,
                    "commission": book["fees"],
                    "market_price": price if con_id != 691 else math.nan,
                    "realized_pnl_base": book["realized"] * rate,
                    "unrealized_pnl_base": unrealized * rate if con_id != 691 else math.nan,
                    "commission_base": book["fees"] * rate,
                    "timestamp": now(),
                }
            )
        return pd.DataFrame(rows)

    def latest_orders(self) -> pd.DataFrame:
        return self.orders()

    def orders(self, strategy=None, open_only=False, as_of=None) -> pd.DataFrame:
        frame = pd.DataFrame(list(self.order_rows))
        frame = frame.groupby("order_key", sort=False).tail(1).reset_index(drop=True)
        if strategy:
            frame = frame[frame.strategy == strategy]
        return frame[~frame.status.isin(("Filled", "Rejected"))] if open_only else frame

    def timeline(self, order_key) -> pd.DataFrame:
        frame = pd.DataFrame(list(self.order_rows))
        return frame[frame.order_key == order_key].reset_index(drop=True)

    def timelines(self, order_keys) -> pd.DataFrame:
        frame = pd.DataFrame(self.order_rows)
        found = [frame[frame.order_key == key] for key in order_keys]
        return pd.concat(found, ignore_index=True) if found else frame.head(0)

    def fills(self, strategy=None, since=None, as_of=None) -> pd.DataFrame:
        frame = pd.DataFrame(list(self.rows))
        return frame[frame.strategy == strategy] if strategy else frame

    def fills_page(self, strategy=None, account=None, text=None, sort="-timestamp", offset=0, limit=50):
        frame = pd.DataFrame(list(self.rows))
        if strategy:
            frame = frame[frame.strategy == strategy]
        if account:
            frame = frame[frame.account == account]
        if text:
            hit = frame.apply(lambda row: text.lower() in " ".join(map(str, row)).lower(), axis=1)
            frame = frame[hit]
        frame = frame.sort_values(sort.lstrip("-"), ascending=not sort.startswith("-"))
        return frame.iloc[offset : offset + limit], len(frame)

    def chain(self, fill_id) -> pd.DataFrame:
        frame = pd.DataFrame(list(self.rows))
        return frame[frame.fill_id == fill_id]

    def portfolio(self, account=None, as_of=None) -> pd.DataFrame:
        frame = self.positions(account=account)
        net = frame.groupby(["account", "con_id"]).qty.transform("sum")
        residual = [self.residuals.get((a, c), 0.0) for a, c in zip(frame.account, frame.con_id, strict=True)]
        frame["broker_qty"] = net + residual
        frame["broker_avg_cost"] = frame.avg_cost
        frame["residual_qty"] = residual
        frame["status"] = ["confirmed" if r else "matched" for r in residual]
        frame["run_id"] = "run-1"
        return frame

    def breaks(self, open_only=True, as_of=None, history_of=None) -> pd.DataFrame:
        if history_of is not None:
            return self.history(history_of)
        rows = []
        for n, ((account, con_id), quantity) in enumerate(self.residuals.items()):
            inst = next(i for i in INSTRUMENTS if i[0] == con_id)
            rows.append(
                {
                    "break_id": f"{account}:{con_id}",
                    "account": account,
                    "con_id": con_id,
                    "symbol": inst[1],
                    "local_symbol": inst[2],
                    "currency": inst[4],
                    "state": "confirmed" if n == 0 else "suspected",
                    "quantity": quantity,
                    "explained": 0.0,
                    "residual": quantity,
                    "first_seen": now() - timedelta(minutes=42 - n),
                    "last_changed": now() - timedelta(minutes=41 - n),
                    "runs": 9,
                    "age_s": 2520.0,
                    "owner": "",
                    "note": "",
                    "value_at_risk_base": abs(quantity) * inst[6] * RATES[inst[4]],
                }
            )
        return pd.DataFrame(rows)

    def history(self, break_id) -> pd.DataFrame:
        states = ("settling", "suspected", "confirmed")
        rows = [
            {
                "break_id": break_id,
                "state": state,
                "qty": 50.0,
                "explained_qty": 10.0 * n,
                "residual_qty": 50.0 - 10 * n,
                "owner": "",
                "note": HOSTILE,
                "recorded_at": now() - timedelta(minutes=42 - 5 * n),
            }
            for n, state in enumerate(states)
        ]
        return pd.DataFrame(rows)

    def causes(self, break_id) -> list[dict]:
        return [
            {
                "kind": "manual_trade",
                "quantity": 50.0,
                "confidence": 0.8,
                "text": f"An execution without an order reference: 50 bought by hand {HOSTILE}",
                "arithmetic": "1,150 at the broker − 1,100 in the books = +50",
            }
        ]

    def suggest_owners(self, account, con_id) -> list[dict]:
        return [
            {"strategy": "ALPHA", "quantity": self.residuals.get((account, con_id), 0.0), "reason": "traded it last"}
        ]

    def equity(self, strategy=None, *, as_of=None) -> pd.DataFrame:
        rows = []
        for s, name in enumerate(STRATEGIES):
            for i in range(0, 300, 5):
                value = 40 * s + 300 * math.sin(i / 30 + s) + i * (s - 2)
                rows.append(
                    {
                        "timestamp": self.started + timedelta(minutes=i),
                        "strategy": name,
                        "account": ACCOUNTS[0],
                        "currency": "USD",
                        "cash_base": -value,
                        "fees_base": i / 10,
                        "realized_base": value / 2,
                        "unrealized_base": value / 2,
                    }
                )
        frame = pd.DataFrame(rows)
        frame = frame[frame.timestamp <= as_of] if as_of else frame
        return frame[frame.strategy == strategy] if strategy else frame

    def locks(self) -> pd.DataFrame:
        rows = [{"account": a, "con_id": c, "reason": "unexplained break", "since": now()} for a, c in self.residuals]
        return pd.DataFrame(rows)

    def findings(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "kind": "orphan_commission",
                    "severity": "warning",
                    "text": f"A commission without its execution {HOSTILE}",
                    "account": ACCOUNTS[0],
                    "con_id": 0,
                    "strategy": "",
                    "seen_at": now() - timedelta(hours=1),
                }
            ]
        )

    def quarantine(self) -> pd.DataFrame:
        return pd.DataFrame(self.held, columns=["quarantine_id", "reason", "door", "strategy", "raw", "received_at"])

    def fees_pending(self) -> pd.DataFrame:
        frame = pd.DataFrame(list(self.rows))
        return frame[frame.commission_status == "pending"]

    def assignments(self) -> pd.DataFrame:
        columns = ["assignment_id", "account", "con_id", "strategy", "qty", "price", "operator", "reason", "reverses"]
        return pd.DataFrame(self.journal, columns=[*columns, "recorded_at", "state"])

    def rules(self) -> pd.DataFrame:
        columns = [
            "rule_id",
            "strategy",
            "order_ref",
            "client_id",
            "account",
            "con_id",
            "enabled",
            "operator",
            "reason",
        ]
        return pd.DataFrame(self.ruled, columns=columns)

    def closes(self) -> pd.DataFrame:
        return pd.DataFrame(self.closed, columns=["close_id", "date", "account", "operator", "closed_at", "digest"])

    def close_statement(self, close_id, kind="csv") -> str:
        return f"statement,{close_id}" if kind == "csv" else f"<!doctype html><p>statement {close_id}</p>"

    def audit(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {"received_at": now(), "user": what["operator"], "act": act, "detail": HOSTILE, "allowed": True}
                for act, what in reversed(self.acts)
            ]
        )

    def runs(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "run_id": f"run-{n}",
                    "recorded_at": now() - timedelta(seconds=30 * n),
                    "status": "breaks" if self.residuals else "square",
                    "accounts": 3,
                    "positions": 60,
                    "breaks": len(self.residuals),
                    "duration_ms": 41.0,
                    "reason": "timer",
                }
                for n in range(8)
            ]
        )

    def verify(self) -> pd.DataFrame:
        return pd.DataFrame([])

    # --- acts -------------------------------------------------------------------------------------------------------

    def check(self, act: str, operator: str, detail: str = "") -> None:
        if not self.engine.settings.may_act(operator):
            raise NotPermitted(f"{operator} may look, not act: {act} was not done")

    def allow(self, act: str, operator: str, **what) -> None:
        if operator in self.engine.settings.viewer_names:
            raise NotPermitted(f"{operator} may look, not act")
        self.acts.append((act, {"operator": operator, **what}))
        self.engine.bump()

    async def reconcile_positions(self, operator="") -> pd.DataFrame:
        self.allow("reconcile", operator)
        return self.portfolio()

    def preview_assignment(self, account, con_id, split, price=None, **_) -> pd.DataFrame:
        rows = []
        for strategy, quantity in split.items():
            book = self.books.get((strategy, account, con_id), {"qty": 0.0, "cost": 0.0, "realized": 0.0})
            rows.append(
                {
                    "strategy": strategy,
                    "account": account,
                    "con_id": con_id,
                    "qty_before": book["qty"],
                    "qty_after": book["qty"] + float(quantity),
                    "realized_pnl_before": book["realized"],
                    "realized_pnl_after": book["realized"],
                }
            )
        return pd.DataFrame(rows)

    async def assign_residual(self, account, con_id, split, price=None, *, operator, reason, price_source="", **_):
        self.allow("assign", operator, split=split, price=price, price_source=price_source, reason=reason)
        left = self.residuals.get((account, con_id), 0.0) - float(sum(split.values()))
        if not reason:
            raise BadRequest("A reason is needed")
        if left:
            self.residuals[(account, con_id)] = left
        else:
            self.residuals.pop((account, con_id), None)
        made = f"a-{len(self.journal) + 1}"
        for strategy, quantity in split.items():
            self.journal.append(
                {
                    "assignment_id": made,
                    "account": account,
                    "con_id": con_id,
                    "strategy": strategy,
                    "qty": float(quantity),
                    "price": float(price or 0),
                    "operator": operator,
                    "reason": reason,
                    "reverses": "",
                    "recorded_at": now(),
                    "state": "made",
                }
            )
        return SimpleNamespace(id=made)

    def expired_holdings(self):
        columns = ["account", "con_id", "symbol", "local_symbol", "expiry", "currency", "holdings", "price"]
        row = ["DU1234567", 78, "AAPL", "AAPL  260310C00150000", "20260310", "USD", "ALPHA +5, BETA -5", 13.0]
        return pd.DataFrame([] if self.expired else [row], columns=columns)

    async def close_expired(self, account, con_id, price=None, *, operator, reason):
        self.allow("close expired", operator, account=account, con_id=con_id, price=price, reason=reason)
        self.expired = True

    async def reverse_assignment(self, assignment_id, *, operator, reason):
        self.allow("reverse", operator, assignment_id=assignment_id, reason=reason)
        for row in self.journal:
            if row["assignment_id"] == assignment_id and row["state"] == "made":
                row["state"] = "reversed"
                key = (row["account"], row["con_id"])
                self.residuals[key] = self.residuals.get(key, 0.0) + row["qty"]

    async def note_break(self, break_id, owner, note, operator):
        self.allow("note", operator, break_id=break_id, owner=owner, note=note)

    async def set_rule(self, *, operator, **rule):
        self.allow("rule", operator, **rule)
        self.ruled.append({"rule_id": f"r-{len(self.ruled) + 1}", "operator": operator, **rule})

    async def try_rule(self, **rule):
        return pd.DataFrame([])

    async def replay_quarantine(self, quarantine_id, operator):
        self.allow("replay", operator, quarantine_id=quarantine_id)
        raise BadRequest("Still unreadable: no field execution.execId")

    async def dismiss_quarantine(self, quarantine_id, operator):
        self.allow("dismiss", operator, quarantine_id=quarantine_id)
        self.held = [row for row in self.held if row["quarantine_id"] != quarantine_id]

    async def close_day(self, date, account, operator, overrule_reason=None):
        self.allow("close", operator, date=date, account=account, overrule_reason=overrule_reason)
        if self.residuals and not overrule_reason:
            raise BadRequest("2 breaks are open: explain them, assign them, or give a reason to close all the same")
        self.closed.append(
            {
                "close_id": f"c-{len(self.closed) + 1}",
                "date": date,
                "account": account,
                "operator": operator,
                "closed_at": now(),
                "digest": "9f2c",
            }
        )

    async def import_flex(self, source, operator):
        self.allow("import-flex", operator, size=len(source))
        return {"new": 3, "known": 120, "differences": 1, "text": "123 executions read, 3 of them new"}


class FakeFaults:
    """Answers like the fault desk of the simulated gateway."""

    def __init__(self) -> None:
        self.happened: list[tuple[str, dict]] = []

    def describe(self):
        return [
            FaultInfo(
                name="manual_trade",
                label="Manual trade",
                group="Trades",
                help="A trade by hand, without an order reference.",
                parameters=(
                    Parameter("symbol", "text", "AAPL"),
                    Parameter("quantity", "number", 10),
                    Parameter("account", "text", None),
                ),
            ),
            FaultInfo(
                name="cut",
                label="Cut the socket",
                group="Connection",
                help="In the middle of a message.",
                parameters=(),
            ),
        ]

    def run(self, name, **parameters):
        if parameters.get("symbol") == "NONE":
            raise FaultError("no such symbol: NONE")
        self.happened.append((name, parameters))


class FakeEngine:
    """Answers like the engine; ``trade()`` makes something happen."""

    def __init__(self, settings: Settings | None = None, *, seed: int = 7, rehearsal: bool = False) -> None:
        self.settings = settings or Settings(strategies="ALPHA,BETA,CARRY,DELTA,FXMOM")
        self.version = 0
        self.listeners: list = []
        self.gateway = SimpleNamespace(faults=FakeFaults()) if rehearsal else None
        self.connection = SimpleNamespace(
            state="connected",
            since=now() - timedelta(hours=5),
            reason="",
            epoch=1,
            accounts=ACCOUNTS,
            coverage="own only",
            data_at=now(),
        )
        self.portfolio_manager = FakeBooks(self, seed)
        self.running = False

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def run_forever(self) -> None:
        await asyncio.Event().wait()

    def bump(self) -> None:
        self.version += 1
        for listener in list(self.listeners):
            listener()

    def subscribe(self, callback):
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback)

    def strategies(self) -> dict:
        return dict.fromkeys(STRATEGIES)

    def broker_state(self):
        return self.connection

    def square(self) -> dict:
        rows = self.portfolio_manager.breaks()
        return {"ok": not self.portfolio_manager.residuals, "rows": rows, "checked_at": now()}

    def data_ages(self) -> list[dict]:
        return [
            {"account": a, "state": "confirmed", "reason": "", "answered_at": now(), "age_s": 0.0} for a in ACCOUNTS
        ]

    def alerts(self) -> list[dict]:
        return [{"at": now(), "severity": "critical", "text": f"Break confirmed: AAPL +50 in {ACCOUNTS[0]} {HOSTILE}"}]

    def health(self) -> dict:
        return {
            "ok": True,
            "problems": [],
            "queue_depth": 0,
            "journal_seq": 100 + self.version,
            "stored_seq": 98 + self.version,
            "fill_to_store_ms": {"p50": 61.0, "p95": 118.0},
            "journal_commit_ms": {"p50": 1.1, "p95": 2.7},
            "loop_lag_ms": {"p50": 0.9, "p99": 21.0, "max": 74.0},
            "memory_mb": 281.0,
            "store": {"state": "ok", "since": now(), "reason": "", "uri": "lmdb:///data/arctic"},
            "connection_log": [
                {"at": now() - timedelta(hours=5), "state": "connected", "detail": "client 40", "code": 0},
                {"at": now() - timedelta(hours=2), "state": "degraded", "detail": HOSTILE, "code": 1100},
            ],
            "tasks": {"broker": "running", "books": "running", "writer": "running"},
        }


class LivelyEngine(FakeEngine):
    """Trades on its own, for pages that somebody looks at."""

    async def start(self) -> None:
        await super().start()
        self.task = asyncio.get_running_loop().create_task(self.live())

    async def live(self) -> None:
        while True:
            await asyncio.sleep(1.5)
            self.portfolio_manager.trade()
            self.connection.data_at = now()

    async def stop(self) -> None:
        self.task.cancel()
        await super().stop()
