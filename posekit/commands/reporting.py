"""How a command ends: its exit status, and errors as a line each."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable

from posekit.errors import PosekitError
from posekit.files import check_working_folder
from posekit.opencv import problem_of

__all__ = ["report_errors"]

# How torch says it, of a GPU and of the machine itself.
_OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory")


def report_errors(run: Callable[[], int | None]) -> int:
    """The exit status of what is run; errors that a user can do something about are a line each.

    Programs built on posekit can end as its commands do: `sys.exit(report_errors(main))`.

    Args:
        run: gives the status; None is 0.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # A client's line per request, or per session, says nothing to a user.
    for name in ("aiobotocore", "azure", "botocore", "fsspec", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Of what is raised too, with a traceback, or again and again.
    for name in ("gcsfs", "google.auth"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        check_working_folder()
        return run() or 0
    except PosekitError as error:
        print(f"posekit: error: {error}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        if not isinstance(error, MemoryError) and not _OUT_OF_MEMORY.search(reason):
            raise
        print(
            f"posekit: error: not enough memory: {reason or 'no details'}; use smaller batches "
            "or dtype=float16",
            file=sys.stderr,
        )
        return 1
    except (ImportError, AttributeError) as error:
        problem = problem_of(error)
        if problem is None:
            raise
        print(f"posekit: error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("posekit: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe (`posekit models | head`) has seen enough. What would have come after
        # that did not happen, which the status says as a shell does for a program so ended.
        sys.stderr.close()
        return 141
