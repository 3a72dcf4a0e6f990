"""`posekit push`: a trained model's folder to the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posekit.commands.settings import read_settings
from posekit.publishing.options import PushOptions
from posekit.table import format_table

__all__ = ["push"]


def push(folder: Path, repository: str, settings: Sequence[str] = ()) -> int:
    """Uploads a model; prints where it is and how it is loaded.

    Args:
        folder: a run or its export.
        repository: `organisation/name`, which is made if it does not exist.
        settings: `key=value` of `PushOptions`.

    Returns:
        The exit status.

    Raises:
        InputError: no trained model, one that cannot be loaded from the Hub, not the name of a
            repository, or a wrong option.
        WeightsError: weights that do not fit.
        DownloadError: the Hub cannot be reached, or refuses; no token.
    """
    options = read_settings(settings, PushOptions)
    from posekit.publishing.push import commit, prepare  # and with it PyTorch

    upload = prepare(folder, repository, options)
    rows = [(name, f"{size:,}") for name, size in upload.sizes.items()]
    print(format_table(("file", "bytes"), rows))
    address = f"hf://{upload.repository}" + (f"@{options.branch}" if options.branch else "")
    if options.dry_run:
        made = "a private repository" if options.private else "a repository"
        print(f"dry run: {len(rows)} files would go to {address}, {made} if it does not exist")
        return 0
    message = f"{Path(folder).resolve().name}, by posekit"
    print(commit(upload, private=options.private, branch=options.branch, message=message))
    print(f'posekit.load("{address}")')
    return 0
