"""Whether the hosts that weights come from answer, for `posekit doctor`."""

from __future__ import annotations

import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from posekit.checkpoints import OPENMMLAB
from posekit.hub_client import endpoint, is_offline, plain

__all__ = ["NO_NETWORK", "Asked", "ask_hosts"]

HUB = "https://huggingface.co"
SECONDS = 4.0  # for all hosts together
THREAD = "posekit-asks-host"
NO_NETWORK = (
    "models in the cache and model=demo work; set HTTPS_PROXY=http://HOST:PORT to use a proxy, "
    "HF_HUB_OFFLINE=1 to make no requests, or bring a folder that `posekit download NAME --to "
    "FOLDER` made on another machine"
)


@dataclass(frozen=True)
class Asked:
    """A host, and whether it answers.

    Attributes:
        said: the outcome, in a line.
        reason: why it cannot be used; None if it can.
        cure: what to do, if one of the user's settings is the cause; else empty, since a machine
            may simply have no network.
    """

    said: str
    reason: str | None = None
    cure: str = ""


def ask_hosts() -> list[Asked]:
    """Asks the Hub and OpenMMLab's host, for some seconds; none if HF_HUB_OFFLINE is set."""
    if is_offline():
        return [Asked("not tested, HF_HUB_OFFLINE is set")]
    named = endpoint()
    if named is not None and not re.match(r"https?://[^/]+", named):
        return [
            Asked(
                f"HF_ENDPOINT={_masked(named)} is not an address such as {HUB}",
                reason="not an address",
                cure="unset HF_ENDPOINT, or export HF_ENDPOINT=https://HOST",
            ),
            *_together([(OPENMMLAB, None, _ask_plainly)]),
        ]
    variable = None if named is None else "HF_ENDPOINT"
    hosts: list[_Host] = [(named or HUB, variable, _ask_hub), (OPENMMLAB, None, _ask_plainly)]
    return _together(hosts)


_Host = tuple[str, str | None, Callable[[str], "str | None"]]


def _together(hosts: list[_Host]) -> list[Asked]:
    """All at once, in threads that nobody waits for longer: names may take long to be found."""
    reasons: list[str | None] = [f"no answer within {SECONDS:.0f} seconds"] * len(hosts)

    def ask(number: int) -> None:
        url, _, how = hosts[number]
        try:
            reasons[number] = how(url)
        except Exception as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            reasons[number] = plain(cause if isinstance(cause, BaseException) else str(cause))

    threads = [
        threading.Thread(target=ask, args=(number,), name=THREAD, daemon=True)
        for number in range(len(hosts))
    ]
    end = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return [
        _told(url, variable, reason)
        for (url, variable, _), reason in zip(hosts, reasons, strict=True)
    ]


def _told(url: str, variable: str | None, reason: str | None) -> Asked:
    host, proxy = urlsplit(url).hostname or url, _proxy_of(url)
    way = f" through the proxy {_masked(proxy[1])} ({proxy[0]})" if proxy else ""
    if reason is None:
        return Asked(f"{host} answers{way}")
    said = f"{host} cannot be reached{way}: {_masked(reason)}"
    if variable is not None:
        said, cure = f"{variable}={_masked(url)}: {said}", f"unset {variable}, or correct it"
        return Asked(said, reason, cure)
    if proxy is not None:
        cure = f"unset {proxy[0]}, or correct it; NO_PROXY={host} bypasses it"
        return Asked(said, reason, cure)
    return Asked(said, reason)


def _ask_hub(url: str) -> str | None:
    """By the client that downloads too, so with its certificates and proxies."""
    from huggingface_hub import get_session

    session: Any = get_session()
    answer = session.get(f"{url}/api/models?limit=1", timeout=SECONDS)
    kind = answer.headers.get("Content-Type", "")
    if answer.status_code == 200 and kind.startswith("text/html"):
        return "a web page answers instead; does the network require a login?"
    return _fault_of(answer.status_code)


def _ask_plainly(url: str) -> str | None:
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "posekit"})
    try:
        with urllib.request.build_opener().open(request, timeout=SECONDS) as answer:
            return _fault_of(answer.status)
    except urllib.error.HTTPError as error:
        return _fault_of(error.code)


def _fault_of(status: int) -> str | None:
    """Any answer but a server's or a proxy's own failure will do."""
    return f"HTTP {status}" if status >= 500 or status == 407 else None


def _proxy_of(url: str) -> tuple[str, str] | None:
    """The variable and the proxy that requests to a URL take; None for none."""
    parts = urlsplit(url)
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if value := os.environ.get(variable):
                return variable, value
    return None


def _masked(text: str) -> str:
    """Without the passwords of addresses."""
    return re.sub(r"//[^/\s@]*@", "//***@", text)
