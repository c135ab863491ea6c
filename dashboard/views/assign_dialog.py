"""The assignment dialog: split a residual over strategies, see every book before and after, say why, confirm.

Several residuals are taken one after the other. The residual is checked again at the moment of confirming: when it is
no longer the one that was looked at, nothing is done and the dialog says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import uuid4

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable, Viewer

from dashboard import frames, theme
from dashboard.desk import Desk
from dashboard.parts import notice, pairs, text
from dashboard.theme import escape, plain_words, quantity_text
from engine.core.ids import UNASSIGNED
from engine.errors import BadRequest

LINES: Final = 6
NOBODY: Final = "(nobody)"
AUTOMATIC, MARK, COST, TYPED = "Automatic", "Broker's mark", "Broker's cost", "Typed"
SOURCES: Final = {AUTOMATIC: "", MARK: "mark", COST: "broker_cost", TYPED: "typed"}
"""Words on the screen -> the engine's name of a price source; automatic: execution, broker's implied cost, mark."""


def decimal_of(words: str) -> Decimal:
    """Read a number an operator typed; thousands may be set apart by commas or spaces.

    Raises:
        BadRequest: It is no finite number.
    """
    cleaned = words.strip().replace(",", "").replace(" ", "").replace("−", "-")
    try:
        value = Decimal(cleaned)
    except InvalidOperation as error:
        raise BadRequest(f"{words!r} is not a number") from error
    if not value.is_finite():
        raise BadRequest(f"{words!r} is not a number")
    return value


class AssignDialog(Viewer):
    """One dialog per session, opened for one or several breaks."""

    def __init__(self, desk: Desk, on_done: Callable[[], None], **params: Any) -> None:
        super().__init__(**params)
        self.desk = desk
        self.on_done = on_done
        self._queue: list[dict[str, Any]] = []
        self._break: dict[str, Any] = {}
        self._request_id = ""
        self.head, self.hints, self.sum, self.preview, self.outcome = text(), text(), text(), text(), text()
        self.strategies = [
            pmui.Select(label=f"Strategy {i + 1}", options=[NOBODY], value=NOBODY, size="small", width=250)
            for i in range(LINES)
        ]
        self.quantities = [pmui.TextInput(label=f"Quantity {i + 1}", size="small", width=150) for i in range(LINES)]
        self.lines = [
            pn.Row(s, q, margin=0, visible=i < 2)
            for i, (s, q) in enumerate(zip(self.strategies, self.quantities, strict=True))
        ]
        self.more = pmui.Button(label="Another strategy", variant="text", size="small", on_click=self._another)
        self.source = pmui.RadioButtonGroup(options=list(SOURCES), value=AUTOMATIC, label="Price source", size="small")
        self.price = pmui.TextInput(label="Price per unit", size="small", width=180)
        self.reason = pmui.TextInput(label="Reason (required)", size="small", sizing_mode="stretch_width")
        self.look = pmui.Button(label="Preview", variant="outlined", on_click=self._preview)
        self.confirm = pmui.Button(
            label="Confirm assignment", variant="contained", disabled=True, on_click=self._confirm
        )
        self.cancel = pmui.Button(label="Cancel", variant="text", on_click=self._cancel)
        for widget in (*self.strategies, *self.quantities, self.price):
            widget.param.watch(self._edited, "value")
        self.source.param.watch(self._priced, "value")
        self.dialog = pmui.Dialog(
            self.head,
            self.hints,
            *self.lines,
            pn.Row(self.more, self.sum, margin=0),
            pn.Row(self.source, self.price, margin=(8, 0)),
            self.reason,
            self.preview,
            self.outcome,
            pn.Row(self.look, self.confirm, self.cancel, margin=(10, 0)),
            title="Assign a residual",
            title_variant="h6",
            width_option="md",
            close_on_click=True,
            sizing_mode="stretch_width",
        )

    def __panel__(self) -> Viewable:
        return self.dialog  # type: ignore[no-any-return]

    def open(self, rows: pd.DataFrame) -> None:
        """Open for the chosen breaks, one after the other."""
        self._queue = frames.rows_of(rows)
        self._next()

    def _next(self) -> None:
        if not self._queue:
            self.dialog.open = False
            return
        self._break = found = self._queue.pop(0)
        self._request_id = uuid4().hex  # a click that arrives twice must not assign twice
        account, con_id = str(found["account"]), int(found["con_id"])
        owners = self.desk.books.suggest_owners(account, con_id)
        traded = {str(name) for name in self.desk.books.positions()["strategy"]}
        named = set(self.desk.engine.settings.strategy_patterns()) | {str(owner["strategy"]) for owner in owners}
        known = sorted((traded | named) - {UNASSIGNED})
        waiting = f" – {len(self._queue)} more after this one" if self._queue else ""
        self.head.object = pairs(
            [
                ("Instrument", f"{found['instrument']} (con_id {con_id}) in {account}{waiting}"),
                ("To assign", quantity_text(found["quantity"])),
            ]
        )
        self.hints.object = "".join(
            notice(
                "info",
                f"Suggested: {o.get('strategy')} {quantity_text(_float(o.get('quantity')))} – {o.get('reason', '')}",
            )
            for o in owners
        ) or notice("info", "No owner can be suggested.")
        for number in range(LINES):
            owner = owners[number] if number < len(owners) else None
            self.strategies[number].param.update(
                options=[NOBODY, *known], value=str(owner["strategy"]) if owner else NOBODY
            )
            self.quantities[number].value = _plain(owner.get("quantity")) if owner else ""
            self.lines[number].visible = number < max(2, len(owners))
        self.reason.value = ""
        self.source.value = AUTOMATIC
        self._priced(None)
        self.outcome.object = self.preview.object = ""
        self.confirm.disabled = True
        self.dialog.open = True

    def _another(self, _event: Any) -> None:
        for line in self.lines:
            if not line.visible:
                line.visible = True
                return
        self.desk.say(f"At most {LINES} strategies at once", "warning")

    def _priced(self, _event: Any) -> None:
        self.price.visible = self.source.value == TYPED
        self._edited(None)

    def _edited(self, _event: Any) -> None:
        self.confirm.disabled = True  # what was previewed is no longer what would be done
        self.preview.object = ""
        try:
            total = sum(self.split().values(), Decimal(0))
        except BadRequest as error:
            self.sum.object = notice("warn", error)
            return
        left = Decimal(repr(float(self._break.get("quantity") or 0))) - total
        kind = "good" if left == 0 else "warn"
        self.sum.object = notice(
            kind, f"Assigned {quantity_text(float(total))}, left over {quantity_text(float(left))}"
        )

    def split(self) -> dict[str, Decimal]:
        """Strategy -> signed quantity, as typed.

        Raises:
            BadRequest: A line is half filled in, a strategy is named twice, or a quantity is no number.
        """
        out: dict[str, Decimal] = {}
        for strategy, amount in zip(self.strategies, self.quantities, strict=True):
            name = "" if strategy.value == NOBODY else strategy.value
            words = (amount.value or amount.value_input or "").strip()
            if not name and not words:
                continue
            if not name or not words:
                raise BadRequest("A strategy and a quantity belong together")
            if name in out:
                raise BadRequest(f"{name} is named twice")
            out[name] = decimal_of(words)
        return out

    def _source(self) -> str:
        return SOURCES[self.source.value]

    def _asked(self) -> tuple[str, int, dict[str, Decimal], Decimal | None]:
        split = self.split()
        if not split:
            raise BadRequest("Name at least one strategy and its quantity")
        typed = self.source.value == TYPED
        price = decimal_of(self.price.value or self.price.value_input or "") if typed else None
        return str(self._break["account"]), int(self._break["con_id"]), split, price

    async def _preview(self, _event: Any) -> None:
        try:
            account, con_id, split, price = self._asked()
            table = await asyncio.to_thread(
                self.desk.books.preview_assignment, account, con_id, split, price=price, price_source=self._source()
            )
        except BadRequest as error:
            self.outcome.object = notice("error", error)
            return
        self.preview.object = preview_html(table)
        self.outcome.object = ""
        self.confirm.disabled = False

    async def _confirm(self, _event: Any) -> None:
        reason = (self.reason.value or self.reason.value_input or "").strip()
        if not reason:
            self.outcome.object = notice("error", "A reason is needed; it stands in the journal for ever.")
            return
        try:
            account, con_id, split, price = self._asked()
        except BadRequest as error:
            self.outcome.object = notice("error", error)
            return
        if not self._still_there():
            self.outcome.object = notice(
                "error",
                "The residual has changed since you opened this dialog. Close it and look again; nothing was done.",
            )
            return
        self.confirm.disabled = True
        request_id = self._request_id
        done, result = await self.desk.act(
            "Assignment",
            lambda: self.desk.books.assign_residual(
                account,
                con_id,
                split,
                price=price,
                price_source=self._source(),
                operator=self.desk.user,
                reason=reason,
                request_id=request_id,
            ),
        )
        if not done:
            self.outcome.object = notice("error", result)
            self.confirm.disabled = False
            return
        name = getattr(result, "id", None) or result.assignment_id
        self.desk.say(f"Assigned as {name}; it can be reversed under Assignments.", "success")
        self.on_done()
        self._next()

    def _still_there(self) -> bool:
        table = frames.breaks_table(self.desk.books.breaks(open_only=True), now=pd.Timestamp.now(tz="UTC"))
        found = table[(table["account"] == self._break["account"]) & (table["con_id"] == self._break["con_id"])]
        return len(found) == 1 and float(found.iloc[0]["quantity"]) == float(self._break["quantity"])

    def _cancel(self, _event: Any) -> None:
        self._queue.clear()
        self.dialog.open = False


PREVIEW_TITLES: Final = {
    "con_id": "Contract",
    "qty_before": "Quantity before",
    "qty_after": "Quantity after",
    "avg_cost_before": "Avg cost before",
    "avg_cost_after": "Avg cost after",
    "realized_pnl_before": "Realized before",
    "realized_pnl_after": "Realized after",
    "price_source": "Price from",
}


def preview_html(table: Any) -> str:
    """Before and after of every book touched, as an HTML table with everything escaped."""
    frame = frames.preview_table(table)
    if frame.empty:
        return notice("warn", "No book would change.")
    cells = "".join(
        f'<th scope="col" style="text-align:left;padding:3px 10px">{escape(title)}</th>'
        for title in (PREVIEW_TITLES.get(str(name), plain_words(name).capitalize()) for name in frame)
    )
    rows = []
    for row in frames.rows_of(frame):
        tds = []
        for name, value in row.items():
            number = isinstance(value, float)
            shown = _previewed(str(name), value) if number else value
            tds.append(f'<td style="text-align:{"right" if number else "left"};padding:3px 10px">{escape(shown)}</td>')
        rows.append(f"<tr>{''.join(tds)}</tr>")
    return (
        "<h2>Before and after of every book, in the instrument's currency</h2>"
        "<div style='overflow-x:auto' tabindex='0' role='region' aria-label='Before and after'>"
        f"<table style='border-collapse:collapse'><thead><tr>{cells}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _previewed(name: str, value: float) -> str:
    """A figure of the preview as it is written elsewhere: money with two decimals, a cost without sign."""
    if name in {"con_id", "fees_pending_after"}:
        return "—" if pd.isna(value) else f"{value:,.0f}" if name != "con_id" else f"{value:.0f}"
    if name.startswith("realized_pnl"):
        return theme.money_text(value)
    words = theme.quantity_text(value)
    return words.lstrip("+") if name.startswith("avg_cost") else words


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    return format(number.normalize(), "f")
