"""The models that are loaded, shared by all visitors and by the callers of the API."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from posekit.app.options import AppOptions
from posekit.errors import BusyError, DownloadError, InputError, PosekitError, UnknownModelError
from posekit.predictor import Predictor, load
from posekit.publishing.options import DownloadOptions
from posekit.publishing.prefetch import prefetch
from posekit.serving.service import PoseService

__all__ = ["Networks", "status_of"]

MOST_LOADED = 2  # models that stay in memory while nobody uses them
RETRY = (
    "this needs a network connection once, and the next try continues where this one ended; the "
    "demo model works without"
)


@dataclass(eq=False)
class _Loaded:
    predictor: Predictor
    service: PoseService | None = None
    users: int = 0


class Networks:
    """Loads models once, and forgets those that were not used for longest.

    Args:
        options: of the server.
    """

    def __init__(self, options: AppOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()

    @contextmanager
    def predictor(self, name: str, say: Callable[[str], None]) -> Iterator[Predictor]:
        """A model, loaded.

        Args:
            name: of a published model.
            say: called with what is downloaded.

        Raises:
            DownloadError: its weights could not be fetched.
            PosekitError: as `posekit.load`.
        """
        loaded = self._take(name, say)
        try:
            yield loaded.predictor
        finally:
            self._give_back(loaded)

    @contextmanager
    def service(self, name: str) -> Iterator[PoseService]:
        """A service of a model, for single images of many callers."""
        loaded = self._take(name, lambda text: None)
        try:
            with self._loading[name]:
                if loaded.service is None:
                    options = self._options
                    loaded.service = PoseService(
                        loaded.predictor,
                        max_queue=options.max_queue,
                        queue_timeout=0.0,
                        max_pixels=options.max_pixels,
                    )
            yield loaded.service
        finally:
            self._give_back(loaded)

    def close(self) -> None:
        """Ends the services and forgets the models."""
        with self._lock:
            loaded = list(self._loaded.values())
            self._loaded.clear()
        for one in loaded:
            if one.service is not None:
                one.service.close(drain=False)

    def _take(self, name: str, say: Callable[[str], None]) -> _Loaded:
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:  # one caller loads, the others of this model wait
            with self._lock:
                found = self._loaded.get(name)
            if found is None:
                found = _Loaded(self._load(name, say))
            with self._lock:
                self._loaded[name] = found
                self._loaded.move_to_end(name)
                found.users += 1
                dropped = self._surplus()
        for one in dropped:
            if one.service is not None:
                one.service.close()
        return found

    def _load(self, name: str, say: Callable[[str], None]) -> Predictor:
        for part in prefetch([name], DownloadOptions(), say):
            if part.state == "failed":
                raise DownloadError(
                    f"the weights of {part.name} cannot be downloaded: {RETRY}. {part.reason}"
                )
        options = self._options
        return load(name, device=options.device, dtype=options.dtype)

    def _surplus(self) -> list[_Loaded]:
        """Takes out the models that are one too many."""
        idle = [name for name, one in self._loaded.items() if not one.users]
        count = max(0, len(self._loaded) - MOST_LOADED)
        return [self._loaded.pop(name) for name in idle[:count]]

    def _give_back(self, loaded: _Loaded) -> None:
        with self._lock:
            loaded.users -= 1


def status_of(error: BaseException) -> int:
    """The HTTP status of an error."""
    if isinstance(error, DownloadError | BusyError):
        return 503
    if isinstance(error, TimeoutError):
        return 504
    known = isinstance(error, InputError | UnknownModelError)
    return 422 if known or isinstance(error, PosekitError) else 500
