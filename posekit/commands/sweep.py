"""`-m`: a command once for each combination of values, by Hydra's own sweepers and launchers.

Hydra sees the keys that are swept and its own settings (`conf/sweep/sweep.yaml`); each job composes
its configuration as the command alone would (`posekit.commands.sweep_job`).
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from posekit.commands.option_texts import groups_of, path_keys
from posekit.commands.sweep_job import OBJECTIVES, REPORT, SWEPT, Job, is_distributed, unescaped
from posekit.compose import compose_command, read_part
from posekit.config import CONF_DIR
from posekit.errors import InputError, first_line
from posekit.files import write_whole
from posekit.overrides import unquoted
from posekit.table import format_table

__all__ = ["is_hydras", "sweep", "sweep_settings"]

CONFIG = "sweep"
TABLE = "sweep.csv"
MAX_METRICS = 6


def sweep(
    command: str,
    overrides: Sequence[str],
    *,
    config_dir: Path | None = None,
    config_name: str | None = None,
) -> int:
    """Runs a command for each combination of values, and prints a table of them.

    Args:
        command: one of `SWEPT`.
        overrides: `key=value` each; one of several values, `key=a,b` or as the sweeper reads it,
            is swept. Hydra's own keys may be among them.
        config_dir: a folder with configurations of the user's own.
        config_name: a configuration to use instead of the command's.

    Returns:
        The exit status: 1 if a run failed.

    Raises:
        InputError: a command that cannot be swept, a value that does not fit any run, a sweeper or
            launcher that is not installed, or a folder of another sweep; nothing has run then.
        KeyboardInterrupt: after the table of what was done before it.
    """
    if command not in SWEPT:
        raise InputError(f"-m works with {', '.join(SWEPT)}; {command} runs once")
    hydras, swept, fixed = _sort(overrides)
    named, fixed = _take_folder(fixed, SWEPT[command], swept)
    settings = [*hydras] if named is None else [f"hydra.sweep.dir={_quoted(named)}", *hydras]
    _check_plugins(hydras)
    where = {"config_dir": config_dir, "config_name": config_name}
    _check_runs(command, swept, fixed, where)
    if "hydra/sweeper=optuna" in hydras:
        settings = [*_search(command, swept, fixed, where), *settings]
    prefixes = {one.key_or_group: _prefix(one) for one in swept}
    job = Job(command, tuple(fixed), prefixes, config_dir, config_name)
    tasks = [f"++{one.input_line.lstrip('+')}" for one in swept if one.input_line is not None]
    error: Exception | None = None
    with initialize_config_dir(str(CONF_DIR / CONFIG), job_name=command, version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        # The folder is named by the clock: once for all jobs.
        folder = Path(str(_hydra_config([*settings, *tasks]).hydra.sweep.dir)).absolute()
        _check_free(command, folder, fixed)
        try:
            hydra.multirun(CONFIG, job, [*settings, f"hydra.sweep.dir={_quoted(folder)}", *tasks])
        except (HydraException, OmegaConfBaseException) as caught:
            raise InputError(first_line(caught)) from None
        except KeyboardInterrupt:
            _report(folder, None)
            raise
        except Exception as caught:  # whatever a launcher says of a worker that died
            error = caught
    return _report(folder, error)


def _sort(overrides: Sequence[str]) -> tuple[list[str], list[Override], list[str]]:
    """Hydra's own overrides, those of several values, and the others."""
    parser = OverridesParser.create()
    hydras, swept, fixed = [], [], []
    for override in overrides:
        if is_hydras(override):
            hydras.append(override)
            continue
        value = override.partition("=")[2]
        try:
            parsed = parser.parse_override(override)
        except HydraException:  # a path, maybe; who reads it knows
            parsed = None
        if parsed is None or not parsed.is_sweep_override() or Path(value).exists():
            fixed.append(override)
        elif parsed.value_type is ValueType.GLOB_CHOICE_SWEEP:
            raise InputError(f"{override}: expected the values themselves, such as key=a,b")
        else:
            swept.append(parsed)
    return hydras, swept, fixed


def _take_folder(
    fixed: list[str], key: str, swept: Sequence[Override]
) -> tuple[str | None, list[str]]:
    """The folder of the sweep, where one was named, and the other overrides."""
    if any(one.key_or_group in ("out_dir", "out") for one in swept):
        raise InputError(
            f"{key} is set for each run of a sweep; name the sweep's folder, out_dir=FOLDER"
        )
    named = [word.partition("=")[2] for word in fixed if word.partition("=")[0] == "out_dir"]
    if key == "out" and any(word.startswith("out=") for word in fixed):
        raise InputError(
            "out is results.json of each run of a sweep; name the sweep's folder, out_dir=FOLDER"
        )
    rest = [word for word in fixed if word.partition("=")[0] != "out_dir"]
    return (unquoted(named[-1]) if named and named[-1] not in ("null", "") else None), rest


def _check_plugins(hydras: Sequence[str]) -> None:
    known = {
        "hydra/launcher": (
            Launcher,
            "joblib, submitit_local and submitit_slurm; pip install hydra-ray-launcher ray",
        ),
        "hydra/sweeper": (Sweeper, "optuna"),
    }
    for override in hydras:
        group, _, name = override.partition("=")
        if group not in known or name == "basic":
            continue
        kind, plugins = known[group]
        found = [one.__module__ for one in Plugins.instance().discover(kind)]
        if not any(name.partition("_")[0] in module for module in found):
            raise InputError(
                f'{override}: no such plugin is installed: pip install "posekit[sweep]" brings '
                f"{plugins}"
            )


def _check_runs(
    command: str, swept: Sequence[Override], fixed: Sequence[str], where: Mapping[str, Any]
) -> None:
    """Composes a run for each value, so that a mistake is not found after hours."""
    values = {_key(one): _values(command, one) for one in swept if one.is_discrete_sweep()}
    first = {key: found[0] for key, found in values.items()}
    runs = [{**first, key: value} for key, found in values.items() for value in found] or [{}]
    for run in runs:
        words = [*fixed, *(f"{key}={value}" for key, value in run.items())]
        config = compose_command(command, words, paths=path_keys(command), **where)
        for group in groups_of(command):
            getattr(group, "of", group.from_config)(config)


def _search(
    command: str, swept: Sequence[Override], fixed: Sequence[str], where: Mapping[str, Any]
) -> list[str]:
    """Settings of a sweeper that looks for the best: which way that is; and no failed run ends it.

    Those that are typed come later, and so count.
    """
    first = [f"{_key(one)}={_values(command, one)[0]}" for one in swept if one.is_discrete_sweep()]
    config = compose_command(command, [*fixed, *first], paths=path_keys(command), **where)
    if command == "predict":
        raise InputError("hydra/sweeper=optuna needs a metric: predict measures none")
    if command == "train" and not config["dataset"]["val"]:
        raise InputError("hydra/sweeper=optuna needs a metric: name labels, dataset.val=FILE")
    from posekit.spec import LifterSpec

    lifts = any(
        isinstance(read_part(config, group), LifterSpec)
        for group in ("model", "lifter")
        if config.get(group) is not None and config["names"].get(group) is not None
    )
    direction = OBJECTIVES["MPJPE" if lifts else "AP"]
    return [f"hydra.sweeper.direction={direction}", "hydra.sweeper.max_failure_rate=1.0"]


def _check_free(command: str, folder: Path, fixed: Sequence[str]) -> None:
    """Refuses another sweep's folder: its runs have the same names, and its table would be lost."""
    if "resume=true" in fixed or is_distributed():
        return
    reports = list(folder.rglob(REPORT))
    if any(len(list(report.parent.iterdir())) > 1 for report in reports):
        resume = "continue it with resume=true, or " if command == "train" else ""
        raise InputError(f"{folder} already holds a sweep: {resume}choose another out_dir")
    for report in reports:  # of dry runs, and of those that found their options wrong
        report.unlink()


def _key(override: Override) -> str:
    return f"{_prefix(override)}{override.get_key_element().lstrip('+')}"


def _prefix(override: Override) -> str:
    line = override.input_line or ""
    return line[: len(line) - len(line.lstrip("+"))]


def _values(command: str, override: Override) -> list[str]:
    key = override.key_or_group
    return [unescaped(command, key, str(one)) for one in override.sweep_string_iterator()]


def _quoted(path: str | Path) -> str:
    return "'{}'".format(str(path).replace("\\", "\\\\").replace("'", "\\'"))


def is_hydras(override: str) -> bool:
    """Whether a setting is Hydra's own: `hydra.sweep.dir=...`, `hydra/launcher=...`."""
    return re.match(r"[+~]*hydra[./]", override) is not None


def sweep_settings(command: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Hydra's own settings of a sweep of a command, as far as they are known beforehand.

    Raises:
        InputError: an unknown setting.
    """
    with initialize_config_dir(str(CONF_DIR / CONFIG), job_name=command, version_base="1.3"):
        config = _hydra_config(overrides).hydra
    with open_dict(config):
        config.pop("help", None)
        config.pop("hydra_help", None)
    found: Any = OmegaConf.to_container(config)
    return dict(found)


def _hydra_config(overrides: Sequence[str]) -> Any:
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    try:
        return hydra.compose_config(
            CONFIG, list(overrides), run_mode=RunMode.MULTIRUN, with_log_configuration=False
        )
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(first_line(error)) from None


def _report(folder: Path, error: Exception | None) -> int:
    """Prints the table of the runs, and keeps it beside them."""
    reports = {
        path.parent.relative_to(folder).as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in folder.rglob(REPORT)  # hydra.sweep.subdir may have folders in folders
    }
    order = sorted(reports, key=lambda name: (len(name), name))
    names = list(dict.fromkeys(key for one in reports.values() for key in one["metrics"]))
    keys = list(
        dict.fromkeys(word.partition("=")[0] for r in reports.values() for word in r["overrides"])
    )
    rows = []
    for name in order:
        report = reports[name]
        chosen = dict(word.partition("=")[::2] for word in report["overrides"])
        figures = [_figure(report["metrics"].get(metric)) for metric in names]
        rows.append([name, *(chosen.get(key, "") for key in keys), report["status"], *figures])
    header = ["run", *(key.lstrip("+") for key in keys), "status", *names]
    _keep_table(folder, header, rows)
    shown = 2 + len(keys) + MAX_METRICS
    print(format_table(header[:shown], [row[:shown] for row in rows]))
    print(f"runs and {TABLE} in {folder}")
    if error is not None:
        print(f"posekit: error: {type(error).__name__}: {first_line(error)}", file=sys.stderr)
    return 1 if error or any(one["status"] != "done" for one in reports.values()) else 0


def _keep_table(folder: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_whole(folder / TABLE, text.getvalue().encode())


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
