"""Who may act. The screens hide what is not allowed; the engine's own commands refuse it, and that is what counts."""

from __future__ import annotations

import ipaddress
from typing import Final, Literal

from engine.settings import Settings

Role = Literal["operator", "viewer"]

LOCAL_USER: Final = "local operator"
"""The name under which acts are audited when the server has no login."""


def role_of(settings: Settings, user: str) -> Role:
    """Decide the role of a user, by the engine's own rule.

    Args:
        settings: ``operators``, ``viewers`` and ``named_only`` count; see ``Settings.may_act``.
        user: As logged in, or :data:`LOCAL_USER`.
    """
    return "operator" if settings.may_act(user) else "viewer"


def is_loopback(address: str) -> bool:
    """True when a peer's address is this machine's own; an unreadable one is not."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
