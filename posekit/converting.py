"""Files of results -> other formats, without the networks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posekit.declared import function_takes, option
from posekit.errors import InputError
from posekit.files import prediction_formats
from posekit.io.export_options import ExportOptions
from posekit.io.read_table import ResultTable, read_table
from posekit.io.sinks import needs
from posekit.io.write import ResultWriter, chosen_formats

__all__ = ["ConvertOptions", "convert"]


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(ExportOptions):
    """Converting results."""

    formats: Any = option(
        None,
        "what is written: a format, or several such as `[csv,coco]`",
    )
    out_dir: str | os.PathLike[str] | None = option(
        None, "the folder of the files; left out, that of the first table"
    )
    kpt_thr: float = option(0.3, "keypoints of a lower score are not seen, in formats of labels")


@function_takes(ConvertOptions)
def convert(
    tables: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], options: ConvertOptions
) -> list[Path]:
    """Writes results that were kept as Parquet in other formats.

    Args:
        tables: files that `pred_format=parquet` wrote, of models with the same keypoints.
        {options}

    Returns:
        The tables whose clip had not been read to its end.

    Raises:
        InputError: no such file, another kind of file, or a format that cannot hold the results.
        OutputError: a file cannot be written.
    """
    if options.formats is None:
        raise InputError(f"formats is missing: name one of {', '.join(prediction_formats())}")
    one = isinstance(tables, str | os.PathLike)
    paths = [Path(tables)] if one else [Path(table) for table in tables]  # type: ignore[arg-type, union-attr]
    if not paths:
        raise InputError("expected a table of results, found none")
    found = [read_table(path) for path in paths]
    _check_alike(found)
    formats = chosen_formats(options.formats)
    if (timed := needs(formats, "time")) and any(table.clip is None for table in found):
        raise InputError(f"format {timed[0]} is of movement: expected clips, found images")
    folder = paths[0].parent if options.out_dir is None else Path(options.out_dir)
    with ResultWriter(
        folder,
        None,
        formats=formats,
        inputs=lambda: paths,
        run=replace(found[0].run, kpt_thr=options.kpt_thr, settings=options),
    ) as writer:
        for table in found:
            if table.clip is not None and not table.complete:
                writer.skip(table.clip.source, f"{table.path.name} is not complete")
            for packet in table.packets():
                if isinstance(packet, tuple):
                    writer.skip(*packet)
                else:
                    writer.write(packet)
    return [table.path for table in found if not table.complete]


def _check_alike(tables: Sequence[ResultTable]) -> None:
    first = tables[0]
    for table in tables[1:]:
        if table.run.skeleton.names != first.run.skeleton.names or (
            table.run.skeleton_3d != first.run.skeleton_3d
        ):
            raise InputError(
                f"expected the same keypoints in all tables, found {first.run.skeleton.name} in "
                f"{first.path} and {table.run.skeleton.name} in {table.path}; convert them apart"
            )
