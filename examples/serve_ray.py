"""Poses by Ray Serve: a process per replica, with a service in each.

    pip install posekit "ray[serve]"
    serve run --app-dir examples serve_ray:app model=human
    curl --data-binary @photo.jpg localhost:8000

On GPUs say `ray_actor_options={"num_gpus": 1}`, and `num_replicas` or `autoscaling_config` as Ray
has them. Other deployments call `handle.find.remote(image, max_people=3)`.
"""

from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

import posekit
from posekit.errors import BusyError, InputError


# More calls than a batch has images: while one batch is computed, the next one comes together.
@serve.deployment(max_ongoing_requests=32, ray_actor_options={"num_cpus": 1})
class Poses:
    def __init__(self, model: str = "demo") -> None:
        self.service = posekit.PoseService(posekit.load(model), timeout=30)

    async def find(self, image: Any, **options: Any) -> dict[str, Any]:
        """MMPose's documented dict of an image: its file's bytes, or an array."""
        return (await self.service(image, **options)).to_mmpose()

    async def __call__(self, request: Request) -> JSONResponse:
        try:
            return JSONResponse(await self.find(await request.body()))
        except (InputError, BusyError, TimeoutError) as error:
            status = 422 if isinstance(error, InputError) else 503
            return JSONResponse({"error": str(error)}, status)


def app(arguments: dict[str, str]) -> serve.Application:
    return Poses.bind(**arguments)
