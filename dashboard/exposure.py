"""Who can reach this server, and what follows from it.

``panel serve`` without ``--address`` listens to the whole network, and Panel answers whoever asks. Fillbook is open to
this machine alone unless it is told otherwise, so the rule is kept here, in front of every route:

- without ``--address`` only peers on this machine are served;
- without a login the name in the request must be an IP address, ``localhost`` or an allowed websocket origin. A web page
  from elsewhere whose name is made to point at 127.0.0.1 (DNS rebinding) would otherwise pass for a page of our own;
- as soon as there is a login, or others can reach the server, only users who are named in ``FILLBOOK_OPERATORS`` act.

A login that proves nothing ends the server at start: one password for all lets everybody claim any name, and a short
cookie secret can be guessed.
"""

from __future__ import annotations

import gc
import ipaddress
import os
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import panel as pn
from bokeh.server.auth_provider import NullAuth
from bokeh.server.server import BaseServer, Server
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler

from dashboard.roles import is_loopback
from engine.errors import SettingsError

LEAST_COOKIE_SECRET: Final = 16
LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How one server can be reached.

    Attributes:
        address: As given with ``--address``; empty when it was not.
        origins: Websocket origins that are allowed, ``HOST:PORT``.
        login: True when Panel asks for a user.
    """

    address: str = ""
    origins: frozenset[str] = frozenset()
    login: bool = False

    @property
    def beyond(self) -> bool:
        """True when people on other machines are meant to reach it: by its address, or through a proxy's name."""
        here = not self.address or _is_here(self.address)
        return not here or any(not _is_here(_host(origin)) for origin in self.origins)

    @property
    def named_only(self) -> bool:
        """True when only named operators may act."""
        return self.login or self.beyond

    def refusal(self, peer: str, host: str) -> str:
        """Why a request is not served, empty when it is.

        Args:
            peer: Address at the other end of the connection, whatever a proxy's header says; empty for a Unix socket.
            host: The request's ``Host`` header.
        """
        if not self.address and peer and not is_loopback(peer):
            return "This server is for its own machine; start it with --address (and a login) to serve others."
        name = _host(host)
        if self.login or _is_address(name) or name in LOCAL_NAMES:
            return ""
        if any(_host(origin) in {name, "*"} for origin in self.origins):
            return ""
        return "This server does not go by that name; start it with --allow-websocket-origin to allow it."


def _host(place: str) -> str:
    """Host of ``HOST:PORT``, in small letters, without the brackets of IPv6."""
    try:
        return (urlsplit(f"//{place}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_here(name: str) -> bool:
    return name in LOCAL_NAMES or is_loopback(name)


class Fence(Matcher):
    """Matches the requests that are not served."""

    def __init__(self, exposure: Exposure) -> None:
        self.exposure = exposure

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """The refusing handler's arguments, ``None`` for a request that is served."""
        # remote_ip is what a proxy's header claims, with --use-xheaders; the socket cannot be talked into anything.
        address = getattr(getattr(request.connection, "context", None), "address", None)
        peer = str(address[0]) if isinstance(address, tuple) else ""
        reason = self.exposure.refusal(peer, request.headers.get("Host", ""))
        return {"target_kwargs": {"reason": reason}} if reason else None


class Refused(RequestHandler):
    """Answers 403 with the reason, whatever was asked."""

    def initialize(self, reason: str) -> None:
        """Take the reason."""
        self.reason = reason

    def prepare(self) -> None:
        """Answer before any method is looked at."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.reason + "\n")


def servers() -> list[Any]:
    """The Bokeh servers of this process, which nobody hands out."""
    return [thing for thing in gc.get_objects() if isinstance(thing, BaseServer)]


def fenced(found: list[Any]) -> Exposure:
    """Put the fence in front of every server, once, and say how exposed they are together.

    Raises:
        SettingsError: The login proves nothing.
    """
    seen = [_fence(server) for server in found]
    return Exposure(
        address=next((e.address for e in seen if e.beyond), seen[0].address if seen else ""),
        origins=frozenset().union(*(e.origins for e in seen)),
        login=any(e.login for e in seen),
    )


def _fence(server: Any) -> Exposure:
    application = server._tornado  # noqa: SLF001 - Bokeh has no public way to it
    exposure = Exposure(
        # The public property says 0.0.0.0 for both, asked for and not told.
        address=(server._address if isinstance(server, Server) else "") or "",  # noqa: SLF001
        origins=frozenset(application.websocket_origins),
        login=not isinstance(application.auth_provider, NullAuth),
    )
    if exposure.login:
        check_login(pn.config.basic_auth, pn.config.cookie_secret)
    rules = application.default_router.rules
    if not any(isinstance(rule.matcher, Fence) for rule in rules):
        rules.insert(0, Rule(Fence(exposure), Refused))
    return exposure


def check_login(basic_auth: Any, cookie_secret: str | None) -> None:
    """Refuse a login that proves nothing.

    Args:
        basic_auth: A password, a file of users or a dictionary of them; ``None`` with OAuth.
        cookie_secret: What signs the cookies.

    Raises:
        SettingsError: So it is, with what to do; neither password nor secret is repeated.
    """
    if isinstance(basic_auth, str) and not os.path.isfile(basic_auth):  # noqa: PTH113 - just as Panel asks
        raise SettingsError(
            "--basic-auth needs a JSON file of users and passwords, and there is no such file;"
            " with one password for all anybody could use any name"
        )
    if len(cookie_secret or "") < LEAST_COOKIE_SECRET:
        raise SettingsError(
            f"a login needs --cookie-secret with at least {LEAST_COOKIE_SECRET} characters; `panel secret` makes one"
        )
