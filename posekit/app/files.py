"""Visitors' files over HTTP: what they send and what is made from it, for themselves only."""

# No `from __future__ import annotations`: FastAPI reads the annotations of endpoints themselves.

import mimetypes
import secrets
import shutil
from importlib import resources
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from posekit.app.answers import Received
from posekit.app.door import owner_of, too_large
from posekit.app.downloads import made
from posekit.app.figures import figures, plotly_script, to_json
from posekit.app.findings import find
from posekit.app.jobs import Outcome
from posekit.app.media import Source, read_source, stored_name
from posekit.app.options import AppOptions
from posekit.app.visits import Visit, Visits
from posekit.errors import InputError
from posekit.io.read_table import read_table

__all__ = ["add_results", "add_sources", "add_static", "receive", "run_name"]

# What a browser may show by itself; all else it saves.
SHOWN = ("image/jpeg", "image/png", "image/webp", "image/gif", "video/mp4", "video/webm")
PRIVATE = {
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STATIC = {"page.js": "text/javascript", "plotly.js": "text/javascript"}


def add_sources(app: FastAPI, options: AppOptions, visits: Visits) -> None:
    """Adds the addresses of what visitors send; only the page knows them."""

    @app.put("/visit/{number}/source", include_in_schema=False)
    async def send(
        number: str, request: Request, name: Annotated[str, Query(max_length=300)]
    ) -> Received:
        visit = _visit_of(visits, number, request)
        folder = await run_in_threadpool(visit.new_folder, "source")
        path, most, size = folder / stored_name(name), options.most_bytes, 0
        try:
            with path.open("wb") as file:
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise HTTPException(413, too_large(most))
                    file.write(part)
            source = await run_in_threadpool(receive, visit, path, name, options.max_pixels)
        except BaseException:  # the visitor may have gone
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Received(name=source.name, kind=source.kind, size=source.size, frames=source.frames)

    @app.get("/visit/{number}/source", include_in_schema=False)
    def source(number: str, request: Request) -> Response:
        visit = _visit_of(visits, number, request)
        if visit.source is None:
            raise HTTPException(404, "nothing was sent")
        return _file(visit.source.path)


def add_results(app: FastAPI, visits: Visits) -> None:
    """Adds the addresses of what is made from these."""

    @app.get("/visit/{number}/{run}/{what}", include_in_schema=False)
    def shown(number: str, run: str, what: str, request: Request) -> Response:
        outcome = _outcome(_visit_of(visits, number, request), run)
        if what == "original":
            return _file(outcome.original)
        if what == "drawing" and outcome.drawing is not None:
            return _file(outcome.drawing)
        if what == "figures":
            table = read_table(outcome.table)
            drawn = figures(find(table, threshold=float(outcome.said.get("kpt_thr", 0.3))))
            return Response(to_json(drawn), media_type="application/json", headers=PRIVATE)
        raise HTTPException(404, "there is nothing here")

    @app.get("/visit/{number}/{run}/as/{name}", include_in_schema=False)
    def download(number: str, run: str, name: str, request: Request) -> Response:
        outcome = _outcome(_visit_of(visits, number, request), run)
        if name == "drawing" and outcome.drawing is not None:
            path = outcome.drawing
        else:
            path = made(outcome, name)
        stem = Path(stored_name(outcome.source.name)).stem
        called = path.name.replace("images.", f"{stem}.", 1) if path.stem != stem else path.name
        return FileResponse(
            path, media_type="application/octet-stream", filename=called, headers=PRIVATE
        )


def add_static(app: FastAPI) -> None:
    """Adds the scripts of the page."""

    @app.get("/posekit/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404, "there is nothing here")
        if name == "plotly.js":
            text = plotly_script()
        else:
            text = (resources.files("posekit.app") / "static" / name).read_text(encoding="utf-8")
        return Response(text, media_type=STATIC[name], headers={"Cache-Control": "max-age=3600"})


def receive(visit: Visit, path: Path, name: str, max_pixels: int) -> Source:
    """Takes a file, alone in a folder of the visitor's, instead of the one before.

    Raises:
        InputError: it cannot be used.
    """
    if visit.busy:
        raise InputError("the last upload is still being processed: stop that first")
    called = Path(name.replace("\\", "/")).name[:200] or path.name
    source = read_source(path, called, max_pixels=max_pixels)
    with visit.lock:
        visit.source = source
        used = [source] if visit.job is None else [source, visit.job.source]
        visit.keep(*(one.path.parent for one in used), among="source-*")
    if visit.closed:
        visit.remove()
    return source


def _visit_of(visits: Visits, number: str, request: Request) -> Visit:
    visit = visits.find(number, owner_of(request.cookies))
    if visit is None:
        raise HTTPException(404, "there is no such page: reload it")
    return visit


def _outcome(visit: Visit, run: str) -> Outcome:
    outcome = None if visit.job is None else visit.job.outcome
    if outcome is None or not secrets.compare_digest(run_name(outcome).encode(), run.encode()):
        raise HTTPException(404, "this result is not kept any more: compute it again")
    return outcome


def run_name(outcome: Outcome) -> str:
    """The name of a result in addresses; each has its own, since browsers cache files."""
    return outcome.table.parent.parent.name


def _file(path: Path) -> Response:
    kind, _ = mimetypes.guess_type(path.name)
    if kind == "video/quicktime":
        kind = "video/mp4"  # which it is, as far as a browser plays it
    if kind not in SHOWN:
        return FileResponse(
            path, media_type="application/octet-stream", filename=path.name, headers=PRIVATE
        )
    return FileResponse(path, media_type=kind, headers=PRIVATE)
