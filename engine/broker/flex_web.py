"""Fetches a Flex statement from IB's web service, in its two steps. Off unless a token and a query id are set.

First ``SendRequest`` (token, query id) gives a reference, then ``GetStatement`` (token, reference) gives the file, or
says that it is still being made (1019) or that we ask too often (1018), and is asked again. The token travels in the
query string because IB wants it there; it appears in no message, no log, and at no address the service sends us to.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Final

from engine.broker.flex_xml import MAX_BYTES, parse_xml
from engine.errors import BadRequest, BrokerUnavailable, Unreadable

BASE_URL: Final = "https://ndcdyn.interactivebrokers.com/AccountManagement/FlexWebService"
_LOG: Final = logging.getLogger(__name__)
_VERSION: Final = "3"
_HEAD: Final = 4096
_AGAIN: Final = frozenset({"1001", "1004", "1005", "1006", "1007", "1008", "1009", "1018", "1019", "1021"})
_TOO_OFTEN: Final = "1018"

Sleep = Callable[[float], Awaitable[object]]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to wherever it points."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Follow none."""
        return


async def download_flex(
    token: str,
    query_id: str,
    *,
    base_url: str = BASE_URL,
    timeout_s: float = 30.0,
    patience_s: float = 300.0,
    pause_s: float = 5.0,
    sleep: Sleep = asyncio.sleep,
) -> bytes:
    """Fetch one statement; the caller reads it with :func:`engine.broker.flex.read_flex`.

    Args:
        token: Of the Flex web service (``FILLBOOK_FLEX_TOKEN``).
        query_id: Of the Flex query (``FILLBOOK_FLEX_QUERY_ID``).
        base_url: Where ``SendRequest`` and ``GetStatement`` are.
        timeout_s: For one HTTP request.
        patience_s: For the statement to be made; asked again every ``pause_s``, twice that when IB says too often.
        sleep: How to wait.

    Raises:
        BadRequest: No token or no query id is set: the download is off.
        BrokerUnavailable: The service cannot be reached, refuses (with its code and words), answers nonsense, or is not
            done in time. Nothing was changed.
    """
    if not token or not query_id:
        raise BadRequest("the Flex download is off: set FILLBOOK_FLEX_TOKEN and FILLBOOK_FLEX_QUERY_ID")
    client = _Client(token, base_url.rstrip("/"), timeout_s)
    deadline = time.monotonic() + patience_s
    reference = ""
    while True:
        code = ""
        if not reference:
            reference, code = await asyncio.to_thread(client.request, query_id)
        if reference:
            content, code = await asyncio.to_thread(client.statement, reference)
            if content is not None:
                return content
        if time.monotonic() >= deadline:
            raise BrokerUnavailable(f"the Flex statement was not ready within {patience_s:.0f} s (last answer {code})")
        _LOG.info("Flex web service answers %s; asking again", code)
        await sleep(pause_s * 2 if code == _TOO_OFTEN else pause_s)


class _Client:
    def __init__(self, token: str, base_url: str, timeout_s: float) -> None:
        self._token = token
        self._base = base_url
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_NoRedirect)

    def request(self, query_id: str) -> tuple[str, str]:
        """First step.

        Returns:
            The reference, or an empty one and the code that says to ask again.
        """
        root = self._answer(self._get("SendRequest", query_id))
        if root.get("Status") == "Success" and root.get("ReferenceCode"):
            return root["ReferenceCode"], ""
        return "", self._again(root)

    def statement(self, reference: str) -> tuple[bytes | None, str]:
        """Second step.

        Returns:
            The file, or ``None`` and the code that says to ask again.
        """
        content = self._get("GetStatement", reference)
        if b"FlexStatementResponse" not in content[:_HEAD]:
            return content, ""
        return None, self._again(self._answer(content))

    def _again(self, answer: dict[str, str]) -> str:
        code = answer.get("ErrorCode", "")
        if code in _AGAIN:
            return code
        words = self._clean(answer.get("ErrorMessage", "no reason given"))
        raise BrokerUnavailable(f"the Flex web service refuses: {code} {words}".rstrip())

    def _answer(self, content: bytes) -> dict[str, str]:
        try:
            root = parse_xml(content)
        except Unreadable as error:
            raise BrokerUnavailable(f"the Flex web service answers nonsense: {self._clean(str(error))}") from error
        if root.tag != "FlexStatementResponse":
            raise BrokerUnavailable(f"the Flex web service answers nonsense: {self._clean(root.tag)}")
        return {child.tag: (child.text or "").strip() for child in root}

    def _get(self, step: str, query: str) -> bytes:
        fields = urllib.parse.urlencode({"t": self._token, "q": query, "v": _VERSION})
        address = f"{self._base}/{step}?{fields}"
        if not address.startswith(("https://", "http://")):
            raise BrokerUnavailable("the address of the Flex web service is not http(s)")
        request = urllib.request.Request(address, headers={"User-Agent": "Fillbook"})  # noqa: S310 - checked above
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                content = answer.read(MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()
            raise BrokerUnavailable(f"the Flex web service answers HTTP {error.code}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            # URLError is an OSError. The cause is not chained: it can carry the address, and so the token.
            words = self._clean(str(error)) or type(error).__name__
            raise BrokerUnavailable(f"the Flex web service cannot be used: {words}") from None
        if len(content) > MAX_BYTES:
            raise BrokerUnavailable("the Flex web service sends more than a statement can be")
        return bytes(content)

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "***").replace(urllib.parse.quote_plus(self._token), "***")[:300]
