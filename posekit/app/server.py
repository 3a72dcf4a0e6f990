"""gradio's server with what posekit adds to it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from posekit.app.api import add_api, make_api
from posekit.app.catalog import Catalog
from posekit.app.door import Door
from posekit.app.files import add_results, add_sources, add_static
from posekit.app.networks import Networks
from posekit.app.options import AppOptions
from posekit.app.page import Server, make_page
from posekit.app.theme import page_css, page_theme
from posekit.app.visits import Visits
from posekit.errors import InputError

__all__ = ["launched"]

# Those that gradio tries where none is named.
FIRST_PORT, PORTS = 7860, 100
HEAD = """
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="same-origin">
<script src="posekit/page.js" defer></script>
"""


@contextmanager
def launched(options: AppOptions) -> Iterator[str]:
    """As `posekit.app.run.started`."""
    visits = Visits(options.keep_minutes * 60)
    # Where gradio would keep files; it is given none.
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(visits.root / "gradio")
    networks = Networks(options)
    page: gr.Blocks | None = None
    try:
        catalog = Catalog(options.models)
        catalog.row(options.model)
        page = make_page(Server(options, catalog, networks, visits))
        own = make_api()
        add_api(own, options, catalog, networks)
        add_sources(own, options, visits)
        add_results(own, visits)
        add_static(own)
        door = Middleware(Door, own=own, most_bytes=options.most_bytes)
        yield _launch(page, options, {"middleware": [door], "openapi_url": None})
    finally:
        if page is not None:
            page.close(verbose=False)
        networks.close()
        visits.close()
        if before is None:
            os.environ.pop("GRADIO_TEMP_DIR", None)
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


def _launch(page: gr.Blocks, options: AppOptions, app: dict[str, Any]) -> str:
    try:
        _, here, shared = page.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            inbrowser=options.browser,
            prevent_thread_lock=True,
            quiet=True,
            show_error=False,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            max_file_size=options.most_bytes,
            theme=page_theme(),
            css=page_css(),
            head=HEAD,
            app_kwargs=app,
        )
    except OSError as error:
        raise _port_error(error, options) from None
    return shared or here


def _port_error(error: OSError, options: AppOptions) -> InputError:
    """Why a server cannot listen."""
    if error.errno not in (None, errno.EADDRINUSE):
        return InputError(f"cannot listen on {options.host}: {error.strerror or error}")
    port = options.port or f"{FIRST_PORT} to {FIRST_PORT + PORTS - 1}"
    return InputError(f"port {port} on {options.host} is in use: choose another one, port=NUMBER")
