"""Poses of single pictures over HTTP, with a typed schema: `POST /api/predict`."""

# No `from __future__ import annotations`: FastAPI reads the annotations of endpoints themselves.

import functools
import inspect
import logging
import operator
import os
import threading
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from posekit.app.answers import Fault, Model, Poses, poses_of
from posekit.app.catalog import Catalog
from posekit.app.jobs import UNEXPECTED, without_paths
from posekit.app.media import is_media, stored_name
from posekit.app.networks import Networks, status_of
from posekit.app.options import AppOptions
from posekit.declared import Declared
from posekit.errors import BusyError, PosekitError
from posekit.io.listing import IMAGE_SIGNATURE, SIGNATURE_LENGTH
from posekit.options import PredictOptions
from posekit.serving.options import IMAGE_OPTIONS
from posekit.version import __version__

__all__ = ["add_api", "make_api"]

log = logging.getLogger(__name__)

ABOUT = "The people in an image. Images only: use the page or `posekit predict` for videos."
FAULTS: dict[int | str, dict[str, Any]] = {
    413: {"model": Fault, "description": "the image is too large"},
    415: {"model": Fault, "description": "not an image, or not sent as multipart/form-data"},
    422: {"model": Fault, "description": "a field or the image cannot be used"},
    503: {"model": Fault, "description": "too many callers, or weights that cannot be downloaded"},
    504: {"model": Fault, "description": "no result in the time that a caller may wait"},
}


def make_api(title: str = "posekit") -> FastAPI:
    """An application whose errors are JSON of one form."""
    # Its pages of documentation would load scripts from elsewhere: the schema is /openapi.json.
    app = FastAPI(
        title=title, version=__version__, description=ABOUT, docs_url=None, redoc_url=None
    )

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
        return fault(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return fault(422, "; ".join(_in_words(one) for one in error.errors()))

    @app.exception_handler(PosekitError)
    async def known(request: Request, error: PosekitError) -> JSONResponse:
        return fault(status_of(error), without_paths(str(error)))

    @app.exception_handler(TimeoutError)
    async def late(request: Request, error: TimeoutError) -> JSONResponse:
        return fault(504, str(error))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return fault(500, UNEXPECTED)

    return app


def add_api(app: FastAPI, options: AppOptions, catalog: Catalog, networks: Networks) -> None:
    """Adds the endpoints of the API."""
    places = threading.BoundedSemaphore(options.max_queue)

    def predict(file: UploadFile, model: str, **said: Any) -> Poses:
        row = catalog.row(model)
        image = file.file.read()
        start = image[:SIGNATURE_LENGTH]
        if not IMAGE_SIGNATURE.match(start):
            what = (
                "a video: the page and `posekit predict` take those" if is_media(start) else "none"
            )
            raise HTTPException(415, f"expected an image, such as JPEG or PNG, found {what}")
        if not places.acquire(blocking=False):
            raise BusyError("too many requests: try again later")
        try:
            named = {name: value for name, value in said.items() if value is not None}
            with networks.service(row.name) as service:
                result = service.predict(image, timeout=options.max_seconds, **named)
                return poses_of(result, service.predictor, stored_name(file.filename or "picture"))
        finally:
            places.release()

    declared: Any = predict
    declared.__signature__ = inspect.Signature(list(_parameters(options)), return_annotation=Poses)
    app.post(
        "/api/predict",
        response_model=Poses,
        response_model_exclude_none=True,
        responses=FAULTS,
        summary="The people in an image",
    )(predict)

    @app.get("/api/models", response_model=list[Model], summary="The models that may be asked for")
    def models() -> list[Model]:
        rows = [catalog.row(name) for names in catalog.tasks.values() for name in names]
        return [
            Model(
                name=row.name,
                aliases=list(row.aliases),
                task=row.task,
                license=row.license,
                parameters=row.parameters,
            )
            for row in rows
        ]


def fault(status: int, text: str) -> JSONResponse:
    """An error in the form of all errors."""
    headers = {"Retry-After": "5"} if status == 503 else {}
    return JSONResponse({"error": text}, status, headers)


def _parameters(options: AppOptions) -> Iterator[inspect.Parameter]:
    """Those of `POST /api/predict`, of the options' own declarations."""

    def parameter(
        name: str, kind: Any, default: Any = inspect.Parameter.empty
    ) -> inspect.Parameter:
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
        )

    yield parameter("file", Annotated[UploadFile, File(description="an image")])
    named = Form(description="a name or an alias, as `GET /api/models` has them")
    yield parameter("model", Annotated[str, named], options.model)
    declared = PredictOptions.declared()
    for name in IMAGE_OPTIONS:
        option = declared[name]
        if not option.free and not option.about.python:
            about = option.about
            field = Form(description=option.text(), ge=about.least, le=about.most, gt=about.above)
            yield parameter(name, Annotated[_type_of(option) | None, field], None)


def _type_of(option: Declared) -> Any:
    if os.PathLike in option.kinds:
        raise ValueError(f"{option.name} is a path of this machine, which no caller names")
    kinds = [kind if kind in (bool, int, float, str) else list[int] for kind in option.kinds]
    kinds = kinds[:1] or []
    if option.choices:
        kinds.append(Literal[option.choices])
    return functools.reduce(operator.or_, kinds)


def _in_words(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"][1:]) or "the request"
    return f"{where}: {error['msg']}"
