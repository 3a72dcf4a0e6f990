"""Poses over HTTP, as JSON with a schema at /docs; it needs `fastapi` and `uvicorn`.

`POSEKIT_MODEL=human uvicorn --app-dir examples serve_fastapi:app` serves, and
`curl --data-binary @photo.jpg "localhost:8000/poses?max_people=3"` asks.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

import posekit
from posekit.errors import BusyError, InputError

MOST_BYTES = 10_000_000


class Person(BaseModel):
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels
    score: float
    keypoints: list[tuple[float, float, float]]  # x, y, score


class Poses(BaseModel):
    size: tuple[int, int]  # width, height
    names: list[str]  # of the keypoints
    people: list[Person]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    predictor = posekit.load(os.environ.get("POSEKIT_MODEL", "demo"))
    async with posekit.PoseService(predictor, queue_timeout=1, timeout=30) as app.state.service:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/poses")
async def poses(request: Request, max_people: int | None = None) -> Poses:
    image = bytearray()
    async for part in request.stream():
        if len(image) + len(part) > MOST_BYTES:
            raise HTTPException(413, f"an image may have {MOST_BYTES} bytes")
        image += part
    try:
        found = await request.app.state.service(image, max_people=max_people)
    except InputError as error:
        raise HTTPException(422, str(error)) from None
    except (BusyError, TimeoutError) as error:
        raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
    points = np.dstack([found.keypoints, found.keypoint_scores]).tolist()
    rows = zip(found.boxes_xyxy.tolist(), found.box_scores.tolist(), points, strict=True)
    people = [Person(box=box, score=score, keypoints=person) for box, score, person in rows]
    return Poses(size=found.image_size, names=list(found.skeleton.names), people=people)
