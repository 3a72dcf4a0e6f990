"""The checks on every request: whose it is, whether it is allowed, whether it is too large."""

from __future__ import annotations

import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from posekit.app.api import fault

__all__ = ["COOKIE", "Door", "owner_of", "too_large"]

COOKIE = "posekit"
_OWNER = re.compile(r"[\w-]{32,64}", re.ASCII)
# What the page needs of gradio's server. All else is closed: its files, uploads and addresses that
# it would fetch are not needed, for those of visitors go other ways.
_OPEN = re.compile(
    r"/gradio_api/(startup-events|app_id|heartbeat/\w+|queue/(join|data)|run/predict|cancel|reset|user|"
    r"login_check)/?"
)
_GRADIO = re.compile(
    r"/(gradio_api|file|proxy|custom_component|component_server|monitoring|login)\b"
)
OWN = ("/api/", "/visit/", "/posekit/", "/openapi.json")
FORM_BYTES = 200_000  # of the settings of the page
ENVELOPE = 100_000  # around a file that is sent
# How gradio is told of a file; the page sends it none.
_FILE = (b"gradio.FileData", b'"path"')


class Door:
    """Middleware around gradio's application.

    Args:
        app: gradio's.
        own: what answers the addresses of `OWN`.
        most_bytes: the largest file that may be sent, in bytes.
    """

    def __init__(self, app: ASGIApp, *, own: ASGIApp, most_bytes: int) -> None:
        self._app, self._own, self._most = app, own, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] != "websocket":
                await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        own = path.startswith(OWN)
        if not own and _GRADIO.match(path) and not _OPEN.fullmatch(path):
            await fault(404, "there is nothing here")(scope, receive, send)
            return
        if not own:
            send = _with_cookie(scope, send)
        if scope["method"] in ("POST", "PUT", "PATCH", "DELETE"):
            await self._limited(scope, receive, send, own=own)
            return
        await (self._own if own else self._app)(scope, receive, send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send, *, own: bool) -> None:
        most = self._most + ENVELOPE if own else FORM_BYTES
        headers = Headers(scope=scope)
        said = headers.get("content-length", "0")
        if not said.isdigit() or int(said) > most:
            await fault(413, too_large(self._most))(scope, receive, send)
            return
        if own and _is_foreign(headers):
            await fault(403, "this is for pages of this server only")(scope, receive, send)
            return
        if scope["path"] == "/api/predict" and not headers.get("content-type", "").startswith(
            "multipart/form-data"
        ):
            text = "expected multipart/form-data with the field file"
            await fault(415, text)(scope, receive, send)
            return
        if not own:
            body = await _read(receive, most)
            if body is None or any(mark in body for mark in _FILE):
                await fault(422, "expected the page's own settings")(scope, receive, send)
                return
            await self._app(scope, _again(body, receive), send)
            return
        counted = _Counted(receive, most)
        try:
            await self._own(scope, counted, send)
        except _TooLargeError:
            await fault(413, too_large(self._most))(scope, receive, send)


def owner_of(cookies: Any) -> str:
    """The visitor's cookie; empty if there is none."""
    value = cookies.get(COOKIE, "") if cookies else ""
    return value if _OWNER.fullmatch(value) else ""


class _TooLargeError(Exception):
    pass


class _Counted:
    """Bytes that come without saying how many they are."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._count = receive, most, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._count += len(message.get("body", b""))
        if self._count > self._most:
            raise _TooLargeError
        return message


def too_large(most: int) -> str:
    """The message about a file that is too large."""
    return f"the largest file accepted is {most / 1e6:g} MB: send a smaller one"


def _is_foreign(headers: Headers) -> bool:
    """Whether the page of another site asks, on behalf of who looks at it."""
    origin = headers.get("origin", "")
    # A proxy says in a header of its own what the visitor's browser asked for; no page can set it.
    hosts = (headers.get("host", ""), headers.get("x-forwarded-host", ""))
    return "://" in origin and origin.partition("://")[2] not in hosts


async def _read(receive: Receive, most: int) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_cookie(scope: Scope, send: Send) -> Send:
    """Gives a browser that has no name one, with the page."""
    headers = Headers(scope=scope)
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        cookies.clear()
    if owner_of({name: morsel.value for name, morsel in cookies.items()}):
        return send
    secure = scope["scheme"] == "https" or headers.get("x-forwarded-proto", "") == "https"
    # In a frame of another site, as a Space is, a browser keeps none but such cookies.
    how = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Strict"
    cookie = f"{COOKIE}={secrets.token_urlsafe(32)}; Path=/; HttpOnly; {how}"

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and scope["path"] == "/":
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return sending
