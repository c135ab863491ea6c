"""Whatever is typed, dropped or linked: no handler of a page raises, the engine lives on, and nothing becomes HTML.

The page is the real one on a real engine; only the browser is missing. ``make soak`` plays 100,000 cases.
"""

import asyncio
import logging
import random
from html.parser import HTMLParser

import panel as pn
import pytest

from dashboard.app import Shell
from dashboard.hub import Hub
from dashboard.model import VIEWS
from dashboard.picture import READERS, read
from tests.integration.engine_kit import AAPL, asked_again, chosen, desk, gateway, online, running, trading

pytestmark = pytest.mark.filterwarnings("ignore:Both 'variant' and 'button_style':PendingDeprecationWarning")

HARMLESS = set(
    "a b br code dd div dl dt em h1 h2 h3 h4 hr i li ol p pre progress small span "
    "strong table tbody td th thead tr ul".split()
)
PIECES = (
    "<script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", '"><svg/onload=window.hacked=1>',
    "</div></td>", "javascript:window.hacked=1", "&lt;b&gt;", "<b>", "{{7*7}}", "${7*7}", "%3Cscript%3E",
    "=cmd|' /C calc'!A0", "'; DROP", "\\", "\U0001f4a5\U0001f469\u200d\U0001f467", "\u202e", "\x00", "\ud83d", "\x1b[31m",
    "\r\n", "\t", " ", "", "ALPHA", "UNASSIGNED", "FUZZ", "DU1", "*", "[!", "[a-", "nan", "inf", "-0", "1e999999999",
    "1e-999999999", "9" * 400, "0.1", "-3", "10", "1,5", "\xbd", "\xb2", "\u0663", "1_0", "0x1F", "--5", "+", "2026-03-01",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1900-01-01", "2262-04-12", "2026-02-30", "24:00",
    "<FlexQueryResponse/>", "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "A" * 5000,
)  # fmt: skip
"""Texts that have broken somebody's page, put together at random."""


def words(dice):
    return "".join(dice.choice(PIECES) for _ in range(dice.choice((1, 1, 1, 2, 3))))


class Foreign(HTMLParser):
    """Finds tags and attributes that no text of ours has."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag not in HARMLESS and (tag, {name for name, _ in attrs}) != ("button", {"type", "class", "data-go"}):
            self.found.append(tag)
        self.found += [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]


class Visitor:
    """Plays with every input of a page."""

    def __init__(self, shell, engine, dice):
        self.shell, self.engine, self.dice = shell, engine, dice
        self.state = shell.state
        self.plays = [
            self.link, self.link, self.search, self.note, self.assign, self.assign, self.rule, self.reverse, self.close,
            self.drop, self.rehearse, self.quarantine, self.travel, self.answer, self.choose,
        ]  # fmt: skip

    def text(self):
        return words(self.dice)

    def screen(self, view):
        self.state.param.update(view=view, focus={})
        return self.shell.screens[view]

    async def play(self):
        await self.dice.choice(self.plays)()

    async def link(self):
        name = self.dice.choice(("view", "strategy", "account", "as_of"))
        value = self.dice.choice(VIEWS) if name == "view" and self.dice.random() < 0.5 else self.text()
        setattr(self.state, name, value)
        if self.dice.random() < 0.3:
            self.state.param.update(strategy="", account="", as_of="")

    async def search(self):
        fills = self.screen("fills")
        fills.search.value = self.text()
        await fills._load()
        if self.dice.random() < 0.1:
            fills._csv()

    async def note(self):
        screen = self.screen("reconciliation")
        if len(screen.grid.table.value):
            screen.grid.table.selection = [0]
        screen.owner.value, screen.note.value = self.text(), self.text()
        await screen._note(None)

    async def assign(self):
        screen = self.screen("reconciliation")
        rows = screen.grid.table.value
        if not len(rows):
            return
        dialog = screen.dialog
        if not dialog.dialog.open:
            screen.grid.table.selection = [0]
            screen._assign(None)
        for strategy, quantity in zip(dialog.strategies, dialog.quantities, strict=True):
            strategy.value = self.dice.choice([*strategy.options])
            quantity.value = self.text()
        dialog.source.value = self.dice.choice(dialog.source.options)
        dialog.price.value, dialog.reason.value = self.text(), self.text()
        await dialog._preview(None)
        if self.dice.random() < 0.5:
            await dialog._confirm(None)

    async def rule(self):
        screen = self.screen("assignments")
        for widget in (screen.strategy, screen.pattern, screen.client, screen.rule_reason):
            widget.value = self.text()
        await screen._try(None)
        if self.dice.random() < 0.05:
            await screen._add(None)

    async def reverse(self):
        screen = self.screen("assignments")
        screen.why.value = self.text()
        if len(screen.journal.table.value):
            screen.journal.table.selection = [0]
        await screen._reverse(None)

    async def close(self):
        screen = self.screen("dayclose")
        screen.overrule.value = self.text()
        if self.dice.random() < 0.05:
            await screen._close(None)

    async def drop(self):
        screen = self.screen("dayclose")
        screen.flex.filename = self.text()
        whole = self.text().encode("utf-8", "surrogatepass")
        screen.flex.value = whole if self.dice.random() < 0.7 else self.dice.randbytes(50)
        await screen._import(None)

    async def rehearse(self):
        screen = self.screen("rehearsal")
        # Not those that end connections for long: the visitor would wait.
        names = [name for name, fault in screen._faults.items() if fault.group in {"Trades", "Messages"}]
        screen.choice.value = self.dice.choice(names)
        for widget in screen._inputs.values():
            widget.value = self.text()
        given = {name: widget.value for name, widget in screen._inputs.items()}
        if all(given.values()):
            await screen._inject(None)

    async def quarantine(self):
        screen = self.screen("quarantine")
        rows = screen.grid.table.value
        if len(rows) and self.dice.random() < 0.3:
            screen.grid.table.selection = [0]
            await (screen._replay if self.dice.random() < 0.9 else screen._dismiss)(None)
        else:
            message = {"type": self.text(), "strategy": self.text(), "trade": self.text(), "x": [self.text()] * 2}
            self.engine.strategy_manager.message_queue.put(message)

    async def travel(self):
        self.shell.side.as_of.value = self.text()
        self.shell.side._travel(None)
        self.state.as_of = ""

    async def answer(self):
        self.shell.pulse._handle_msg(
            self.dice.choice([self.text(), None, 3, {"ack": self.text()}, {"go": self.text()}, [[]]])
        )

    async def choose(self):
        """Any row of any table."""
        screen = self.screen(
            self.dice.choice(["positions", "orders", "fills", "reconciliation", "assignments", "quarantine"])
        )
        for grid in vars(screen).values():
            if type(grid).__name__ == "Grid" and grid.on_select is not None:
                count = len(grid.table.value)
                grid.table.selection = [self.dice.randrange(count)] if count else []
                grid.release()


def look_over(shell, engine, before):
    """Draw every screen and read what it shows."""
    picture = read(engine, frozenset(READERS), before, {}, 0.0)
    assert picture.errors == {}, picture.errors
    shell.state.param.update(strategy="", account="", as_of="")
    for view in shell.keys:
        shell.state.view = view
        shell.draw(picture)
        screen = shell.screens[view]
        assert "cannot be drawn" not in (screen.errors.object or ""), (view, screen.errors.object)
        assert screen.__panel__().select(pn.pane.Markdown) == []
        for pane in [*screen.__panel__().select(pn.pane.HTML), shell.title, shell.banner]:
            parser = Foreign()
            parser.feed(str(pane.object or ""))
            assert parser.found == [], (view, parser.found, str(pane.object)[:500])
        for table in screen.__panel__().select(pn.widgets.Tabulator):
            for formatter in table.formatters.values():  # `<%=` puts a value into the page as it is: numbers only
                template = getattr(formatter, "template", "")
                assert "<%=" not in template or "typeof value !== 'number'" in template, template
    return picture


async def visit(folder, cases, seed, caplog):
    dice = random.Random(seed)
    with gateway() as host:
        async with running(chosen(folder, host.port, settle_s=0.0)) as engine:
            await online(engine)
            engine.gateway = host.gateway
            async with trading(host.port, "FUZZ", 11, queue=engine.strategy_manager.message_queue) as trader:
                trader.market(await trader.contract(AAPL), 10)
                await trader.done()
            await desk(host, "manual_trade", symbol="MSFT", quantity=30)
            await asked_again(engine)
            await engine.portfolio_manager.reconcile_positions()
            shell = Shell(engine, Hub(engine))
            said = []
            shell.desk.say = lambda text, kind: said.append((kind, text))
            shell._moved(None)
            picture = look_over(shell, engine, None)
            visitor = Visitor(shell, engine, dice)
            for number in range(cases):
                async with asyncio.timeout(60):
                    await visitor.play()
                if number % 200 == 199:
                    picture = look_over(shell, engine, picture)
            look_over(shell, engine, picture)
            assert set(engine.tasks().values()) == {"running"}, engine.tasks()
            assert engine.health()["ok"], engine.health()["problems"]
            crashed = [text for kind, text in said if " failed: " in text]
            assert crashed == [], crashed[:3]
            assert engine.portfolio_manager.verify().empty
    loud = [record for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]
    assert loud == [], loud[:3]


async def test_nothing_that_is_typed_dropped_or_linked_breaks_a_page_or_becomes_html(tmp_path, caplog):
    await visit(tmp_path, 300, 1, caplog)


@pytest.mark.soak
async def test_a_hundred_thousand_inputs_break_nothing(tmp_path, caplog):
    await visit(tmp_path, 100_000, 2, caplog)
