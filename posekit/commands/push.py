"""`posekit push`: a trained model's folder to the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from posekit.errors import DownloadError, InputError
from posekit.locate import locate

__all__ = ["push"]


def push(folder: Path, repository: str, *, private: bool = False) -> int:
    """Uploads a model; prints where it is.

    Args:
        folder: a run or its export.
        repository: `organisation/name`, which is made where it is not there.
        private: make it private.

    Returns:
        The exit status.

    Raises:
        InputError: no trained model, or not the name of a repository.
        DownloadError: the Hub cannot be reached, or refuses; no token.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise InputError(f"expected organisation/name, found '{repository}'")
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}")
    weights = locate(str(folder.resolve())).weights
    if weights is None:
        raise InputError(f"{folder} holds no trained model")
    # Imported late: it takes a second.
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT", "").rstrip("/") or None)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            folder_path=weights.parent,
            commit_message="Upload by posekit",
            ignore_patterns=[".*"],
        )
    except Exception as error:
        # Its exceptions, and those of the HTTP library beneath, differ from version to version.
        reason = " ".join(str(error).split()) or type(error).__name__
        hint = ""
        if "401" in reason or "403" in reason or "token" in reason.lower():
            hint = "; log in with `hf auth login` or set HF_TOKEN to a token that may write"
        raise DownloadError(f"cannot upload to {repository}: {reason[:400]}{hint}") from None
    print(done.commit_url)
    return 0
