"""Questions about contracts and other standing facts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from engine.simulator import answers, requests
from engine.simulator.answers import Message
from engine.simulator.intake import NO_DEFINITION
from engine.simulator.model import Instrument
from engine.simulator.wire import Fields
from engine.simulator.world import World

if TYPE_CHECKING:
    from engine.simulator.session import Session

_SAMPLES = 16
_ALWAYS_OPEN = ("CASH", "CRYPTO")


class Lookups:
    """Answers that change nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def nothing(self, session: Session, fields: Fields) -> None:
        """A setting without effect here (market data type, news bulletins)."""

    def contract_details(self, session: Session, fields: Fields) -> None:
        """Every contract that fits a description; a combination is never answered, as with the real gateway."""
        fields.text()
        request_id = fields.request()
        wanted = requests.contract(fields)
        fields.flag()
        wanted.sec_id_type, wanted.sec_id = fields.text(), fields.text()
        if wanted.sec_type == "BAG":
            return
        found = self._world.catalogue.find(wanted)
        if not found:
            session.error(request_id, 200, NO_DEFINITION)
            return
        for known in found:
            hours = self._hours(known)
            session.send(answers.contract_details(known, request_id, session.version, hours, wanted.exchange))
        session.send(answers.end(52, request_id))

    def _hours(self, known: Instrument) -> str:
        """Trading hours of today and tomorrow, as IB writes them."""
        days = [self._world.clock.now().date() + timedelta(days=ahead) for ahead in range(2)]
        spans = []
        for day in days:
            if day.weekday() > 4 and known.sec_type not in _ALWAYS_OPEN:
                spans.append(f"{day:%Y%m%d}:CLOSED")
            else:
                spans.append(f"{day:%Y%m%d}:0930-{day:%Y%m%d}:1600")
        return ";".join(spans)

    def matching_symbols(self, session: Session, fields: Fields) -> None:
        """Contracts whose symbol or name begins like the pattern."""
        request_id = fields.request()
        pattern = fields.text().upper()
        kinds = ("STK", "CASH", "CRYPTO")
        found = [
            known
            for known in self._world.catalogue.all()
            if known.sec_type in kinds and (known.symbol.startswith(pattern) or known.long_name.startswith(pattern))
        ]
        session.send(answers.symbol_samples(request_id, found[:_SAMPLES], session.version))

    def option_parameters(self, session: Session, fields: Fields) -> None:
        """Expiries and strikes on an underlying."""
        request_id = fields.request()
        for _ in range(3):
            fields.text()
        under = fields.integer()
        chain = [
            known for known in self._world.catalogue.all() if known.under_con_id == under and known.right in ("C", "P")
        ]
        exchanges = sorted({venue for known in chain for venue in known.valid_exchanges.split(",")})
        for venue in exchanges:
            session.send(answers.option_parameters(request_id, chain, venue))
        session.send([76, request_id])

    def soft_dollar_tiers(self, session: Session, fields: Fields) -> None:
        """None."""
        session.send([77, fields.request(), 0])

    def family_codes(self, session: Session, fields: Fields) -> None:
        """Every account, in no family."""
        del fields
        names = self._world.config.accounts
        message: Message = [78, len(names)]
        for name in names:
            message += [name, ""]
        session.send(message)

    def market_rule(self, session: Session, fields: Fields) -> None:
        """One price increment for everything."""
        session.send([93, fields.request(), 1, 0, "0.01"])

    def user_info(self, session: Session, fields: Fields) -> None:
        """No white-branding id."""
        session.send([107, fields.request(), ""])
