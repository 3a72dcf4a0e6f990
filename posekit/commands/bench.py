"""`posekit bench`: how fast each engine runs a model here, and where the time of a frame goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posekit.benchmarking.run import bench_composed
from posekit.commands.bench_tables import Printer
from posekit.compose import compose_command

__all__ = ["bench"]


def bench(
    overrides: Sequence[str], *, config_dir: Path | None = None, config_name: str | None = None
) -> int:
    """Runs the command.

    Args:
        overrides: `key=value` each.
        config_dir: a folder with configurations of the user's own.
        config_name: a configuration to use instead of the command's.

    Returns:
        The exit status: 1 if an engine failed; the others are measured all the same.

    Raises:
        PosekitError: something that cannot be used, or an engine that cannot run here.
    """
    config = compose_command("bench", overrides, config_dir=config_dir, config_name=config_name)
    printer = Printer(people=config["people"], flip_test=config["flip_test"])
    result = bench_composed(config, printer)
    if config["trace"] is not None:
        print(f"\n{config['trace']}: open it in https://ui.perfetto.dev")
    return 1 if result.failed else 0
