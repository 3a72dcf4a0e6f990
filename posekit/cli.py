"""The command line: `posekit <command>`; most commands take Hydra overrides.

A command imports only what it needs, so that `--help` and `models` answer at once. Long because it
holds the help of every command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from posekit.commands.reporting import report_errors
from posekit.errors import InputError
from posekit.version import __version__

__all__ = ["main"]

PREDICT_HELP = """\
Find poses in images and videos.

  posekit predict model=human inputs=photo.jpg out_dir=out
  posekit predict model=human3d inputs=clip.mp4 out_dir=out
  posekit predict model=wholebody inputs=folder/ out_dir=out speed=accurate
  posekit predict inputs=[a.jpg,b.jpg] detector=rtmdet-nano_person-320 device=cpu

Drawings go to out_dir/visualization, JSON to out_dir/predictions. model, detector and pose2d name
the networks; key=value sets an option below. `posekit predict --cfg` prints the whole configuration
with the keys of the model. The exit status is 1 if an input could not be used.
"""

BATCH_HELP = """\
Find poses in many clips (videos and images) on one machine or many, with one result file per clip.

  posekit batch model=human inputs=videos/ out_dir=out
  posekit batch model=human inputs='videos/**/*.mp4' out_dir=out shard=3/16
  posekit batch model=human inputs=clips.txt out_dir=out runner=slurm slurm.partition=gpu

videos/cam1/a.mp4 gives out/cam1/a.mp4.parquet and a line in out/_manifest.jsonl. Run the same
command again to resume. Ctrl-C finishes the current clips first. If a clip cannot be used, the
others still run and the exit status is 1. See docs/scale.md.
"""

EXPORT_HELP = """\
Export a network to a file for another engine and check the file against the network.

  posekit export model=human format=onnx output=human.onnx inputs=photos/
  posekit export model=rtmdet-nano_person-320 format=openvino dtype=float16

<file>.json beside the file gives the difference of its keypoints in pixels. If more than 1% of them
differ by more than 0.1 pixels (float16: 0.5), nothing is written and the exit status is 1. There is
no limit for quantize=int8: check the difference yourself.
"""

EVALUATE_HELP = """\
Evaluate a model on a labelled data set, by the protocols of published tables.

  posekit evaluate model=rtmpose-m_coco-256x192 dataset=coco dataset.root=/data/coco \\
      detections=COCO_val2017_detections_AP_H_56_person.json
  posekit evaluate model=human dataset=custom dataset.val=mine.json out=results.json
  posekit evaluate model=rtmdet-m_coco-640 dataset=coco_boxes dataset.root=/data/coco
  posekit evaluate model=motionbert_h36m sequences=h36m_test.npz

Boxes are the labelled ones, unless detections=FILE or detector=NAME gives others. key=value sets an
option; `posekit evaluate --cfg` prints all of them. See docs/evaluation.md.
"""

TRAIN_HELP = """\
Train a model on labelled images.

  posekit train model=rtmpose-m_coco-256x192 dataset.train=my.json dataset.val=val.json
  posekit train +experiment=my_fork --config-dir my_conf
  torchrun --nproc-per-node 8 -m posekit train model=... dataset.train=my.json

The trained model goes to out_dir/export; use it with `posekit predict model=out_dir`. resume=true
continues a stopped run. `posekit train --cfg` prints every key with its value.
"""

BENCH_HELP = """\
Measure how fast each engine runs a model on this machine, and the time of each stage of a frame.

  posekit bench model=human detector=rtmdet-nano_person-320
  posekit bench model=vitpose-b batch_sizes=[8] backends=[torch,openvino] out=bench.json
  posekit bench model=rtmdet-m_person-640

The floor is the time of the network's operations at the speed of a large matrix product. Weights
are random unless weights=FILE is given. `posekit bench --cfg` prints every key with its value.
"""

LABELS_HELP = """\
Convert labels of another tool to COCO keypoints, for train and evaluate.

  posekit labels data.yaml out=coco.json                  Ultralytics YOLO; one file per split
  posekit labels labelme_folder/ out=coco.json
  posekit labels export.json out=coco.json images=photos/ Label Studio, VGG Image Annotator
  posekit labels annotations.xml out=coco.json            CVAT
  posekit labels CollectedData_me.csv out=coco.json       DeepLabCut; or its project folder
  posekit labels labels.slp out=coco.json                 SLEAP

Datumaro's JSON works too. The content decides the format. coco.jpg shows the first labelled images.
See docs/labelling.md.
"""

CONVERT_HELP = """\
Convert Parquet results to other formats, without running the networks again.

  posekit convert out/predictions/clip.parquet format=csv
  posekit convert out/predictions/*.parquet formats=[coco,label_studio] frames=10 out_dir=to_label

format=NAME is the same as formats=NAME. The exit status is 1 if the results of a video are
incomplete. See docs/outputs.md.
"""

COMPLETIONS_HELP = """\
Print a completion script for a shell: commands, keys and values.

  posekit completions bash > ~/.local/share/bash-completion/completions/posekit
  posekit completions zsh > ~/.zfunc/_posekit     # fpath+=(~/.zfunc) before compinit
  posekit completions fish > ~/.config/fish/completions/posekit.fish
  posekit completions tcsh > ~/.posekit.tcsh      # source it in ~/.tcshrc

All but fish need shtab: pip install "posekit[completions]". Repeat this after an upgrade.
"""

APP_HELP = """\
Run a web app: drop an image or a video on the page, choose a model, see and save the result.

  posekit app
  posekit app model=demo                      works offline
  posekit app models=[demo,human] max_upload_mb=50 max_seconds=120

It listens on 127.0.0.1 only. POST /api/predict takes images; the schema is at /openapi.json. Needs
gradio and plotly: pip install "posekit[web]". See docs/app.md.
"""

PUSH_HELP = """\
Upload a trained model to the Hugging Face Hub, in one commit, with a model card.

  posekit push runs/mine organisation/name license=apache-2.0 picture=photo.jpg
  posekit push runs/mine organisation/name dry_run=true
  posekit push runs/mine organisation/name branch=v2 private=true

Load it with posekit.load("hf://organisation/name"). See docs/hub.md.
"""

DOWNLOAD_HELP = """\
Download the weights of models, with those of their detectors and 2D models.

  posekit download human vitpose-b
  posekit download human hf://organisation/name to=weights
  posekit download wholebody3d dry_run=true

to=FOLDER makes a folder for an offline machine: set POSEKIT_CACHE=FOLDER there. Exit status 1 means
that a download failed; run the same command again to fetch the rest.
"""

MIRROR_HELP = """\
Upload the converted published models, each with a card, to an organisation of the Hugging Face Hub.

  posekit mirror organisation
  posekit mirror organisation only=rtmpose-*,rtmdet-* push=true

Without push=true, only prints what would be done. Models that are there already are skipped. Set
POSEKIT_HUB_NAMESPACE=organisation to download weights from there. See docs/hub.md.
"""

# Commands that take overrides: name, one line, all of it.
COMPOSED = (
    ("predict", "find poses in images and videos", PREDICT_HELP),
    ("batch", "find poses in many videos, resumable, on one machine or many", BATCH_HELP),
    ("train", "train a model on labelled images", TRAIN_HELP),
    ("evaluate", "evaluate a model on a labelled data set", EVALUATE_HELP),
    ("export", "export a network to a file for another engine", EXPORT_HELP),
    ("bench", "measure the speed of engines and stages", BENCH_HELP),
)


# Commands that `-m` runs several times.
SWEPT = ("train", "predict", "evaluate")
# Of Hydra's flags, the first of which is meant where none is said.
CFG_KINDS = ("job", "hydra", "all")
INFO_KINDS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
FLAGS_OF_KINDS = {"--cfg": CFG_KINDS, "-c": CFG_KINDS, "--info": INFO_KINDS, "-i": INFO_KINDS}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    arguments = _parse(argv)
    return report_errors(lambda: int(arguments.run(arguments)))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Words may stand on both sides of an option, which argparse alone does not allow."""
    parser = _parser()
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    arguments, rest = parser.parse_known_args(list(_with_kinds(words)))
    several = next((name for name in ("overrides", "settings", "words") if name in arguments), "")
    if any(word.startswith("-") for word in rest) or (rest and not several):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        vars(arguments)[several] += rest
    return arguments


def _with_kinds(words: Sequence[str]) -> Iterator[str]:
    """`--cfg model=human`: argparse would take what follows for the flag's value."""
    for word, following in pairwise([*words, ""]):
        yield word
        if word in FLAGS_OF_KINDS and following not in FLAGS_OF_KINDS[word]:
            yield FLAGS_OF_KINDS[word][0]


class _Command(argparse.ArgumentParser):
    """A command's parser; where it has a configuration, its help lists the keys."""

    composes = ""  # the name of the configuration
    settings = ""  # of a command that has keys, but no configuration: its name

    def format_help(self) -> str:
        if self.settings:
            from posekit.commands.settings import settings_help

            return f"{super().format_help()}\n{settings_help(self.settings)}"
        if not self.composes:
            return super().format_help()
        from posekit.commands.key_help import key_help

        keys = key_help(self.composes)
        return f"{super().format_help()}\n{keys}" if keys else super().format_help()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="posekit", description="Pose estimation in pure PyTorch.")
    parser.add_argument("--version", action="version", version=f"posekit {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="command", parser_class=_Command
    )
    for name, help_line, description in COMPOSED:
        composed = commands.add_parser(
            name,
            help=help_line,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        composed.add_argument("overrides", nargs="*", metavar="key=value")
        composed.add_argument(
            "--config-dir", "-cd", type=Path, help="a folder with your own configurations"
        )
        _add_hydras(composed, sweeps=name in SWEPT)
        composed.composes = name
        composed.set_defaults(run=_run_composed)

    _add_conversions(commands)
    app = _add_plain(commands, "app", "run a web app in the browser", APP_HELP, _app)
    app.add_argument("settings", nargs="*", metavar="key=value")
    _add_hub(commands)
    _add_models(commands)
    completions = commands.add_parser(
        "completions",
        help="print a completion script for a shell",
        description=COMPLETIONS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completions.add_argument("shell", choices=("bash", "zsh", "fish", "tcsh"))
    completions.set_defaults(run=_completions)

    doctor = commands.add_parser(
        "doctor", help="check the installation and list the engines that run"
    )
    doctor.add_argument(
        "settings",
        nargs="*",
        metavar="KEY=VALUE",
        help="device=NAME: the device to report on, such as cuda:1; measure=true: first measure "
        "the engines and use the fastest from then on (takes a minute or two)",
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _add_hydras(composed: argparse.ArgumentParser, *, sweeps: bool) -> None:
    """Hydra's own flags."""
    composed.add_argument(
        "--config-name",
        "-cn",
        metavar="NAME",
        help="a YAML file in --config-dir to use instead of the command's own",
    )
    composed.add_argument(
        "--cfg",
        "-c",
        nargs="?",
        const="job",
        choices=CFG_KINDS,
        help="print the configuration (job), Hydra's own (hydra) or both (all), and stop",
    )
    composed.add_argument(
        "--package", "-p", metavar="PART", help="with --cfg: print only this part, such as model"
    )
    composed.add_argument(
        "--resolve",
        action="store_true",
        help="with --cfg: accepted for compatibility; values are always resolved",
    )
    composed.add_argument(
        "--info",
        "-i",
        nargs="?",
        const="all",
        choices=INFO_KINDS,
        help="print how Hydra composes the configuration, and stop",
    )
    if sweeps:
        composed.add_argument(
            "--multirun",
            "-m",
            action="store_true",
            help="run once for each combination of values, key=a,b; see docs/sweeps.md",
        )


def _add_conversions(commands: Any) -> None:
    imported = commands.add_parser(
        "import", help="make a model folder from an MMPose or MMDetection config and weights"
    )
    imported.add_argument(
        "config",
        type=Path,
        help="the .py file, which is parsed and never run, or a checkpoint that contains it",
    )
    imported.add_argument("weights", type=Path, nargs="?", help="the .pth file")
    imported.add_argument(
        "settings", nargs="*", default=[], metavar="out=FOLDER", help="the folder to make"
    )
    imported.set_defaults(run=_import)

    labels = _add_plain(
        commands,
        "labels",
        "convert labels of other tools to COCO keypoints",
        LABELS_HELP,
        _labels,
    )
    labels.add_argument("source", type=Path, help="the file or folder of labels")
    labels.add_argument("settings", nargs="*", default=[], metavar="key=value")

    converted = _add_plain(
        commands,
        "convert",
        "convert Parquet results to other formats",
        CONVERT_HELP,
        _convert,
    )
    converted.add_argument("words", nargs="+", metavar="FILE.parquet or key=value")


def _add_plain(
    commands: Any, name: str, help_line: str, description: str, run: Callable[..., int]
) -> _Command:
    """A command with keys and without a configuration; its help lists them."""
    plain: _Command = commands.add_parser(
        name,
        help=help_line,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plain.settings = name
    plain.set_defaults(run=run)
    return plain


def _add_hub(commands: Any) -> None:
    push = _add_plain(
        commands, "push", "upload a trained model to the Hugging Face Hub", PUSH_HELP, _push
    )
    push.add_argument("folder", type=Path, help="the folder of a run, or its export folder")
    push.add_argument("repository", help="organisation/name")
    push.add_argument("settings", nargs="*", default=[], metavar="key=value")
    push.add_argument("--private", action="store_true", help="the same as private=true")

    download = _add_plain(
        commands, "download", "download the weights of models in advance", DOWNLOAD_HELP, _download
    )
    download.add_argument("words", nargs="+", metavar="NAME or key=value")
    download.add_argument("--to", metavar="FOLDER", help="the same as to=FOLDER")

    mirror = _add_plain(
        commands,
        "mirror",
        "upload the converted models to an organisation of the Hub",
        MIRROR_HELP,
        _mirror,
    )
    mirror.add_argument("organisation")
    mirror.add_argument("settings", nargs="*", default=[], metavar="key=value")
    mirror.add_argument("--only", metavar="NAMES", help="the same as only=NAMES")


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="list the models")
    models.add_argument(
        "text",
        nargs="?",
        default="",
        help="only models whose name, alias or task contains this text",
    )
    models.add_argument("--task", help="only models for this task, such as body or detection")
    models.add_argument(
        "--keypoints", help="only models with this skeleton, such as coco or halpe26"
    )
    models.add_argument("--size", help="only models with this input size, height x width: 256x192")
    models.add_argument(
        "--max-params", type=float, help="only models with at most this many million parameters"
    )
    models.add_argument(
        "--licence", "--license", dest="license", help="only models with this licence"
    )
    models.add_argument(
        "--show-alias", action="store_true", help="print the table of aliases instead"
    )
    models.add_argument("--markdown", action="store_true", help="print all details as Markdown")
    models.set_defaults(run=_models)


def _run_composed(arguments: argparse.Namespace) -> int:
    """A command whose configuration Hydra composes: `posekit.commands.<name>.<name>`."""
    where = {"config_dir": arguments.config_dir, "config_name": arguments.config_name}
    if arguments.cfg or arguments.info:
        from posekit.commands.show import show

        kinds = {"cfg": arguments.cfg, "info": arguments.info, "package": arguments.package}
        return show(arguments.command, arguments.overrides, **where, **kinds)
    if arguments.package or arguments.resolve:
        raise InputError("--package and --resolve need --cfg")
    if getattr(arguments, "multirun", False):
        from posekit.commands.sweep import sweep

        return sweep(arguments.command, arguments.overrides, **where)
    module = import_module(f"posekit.commands.{arguments.command}")
    status: int = getattr(module, arguments.command)(arguments.overrides, **where)
    return status


def _doctor(arguments: argparse.Namespace) -> int:
    from posekit.commands.doctor import doctor

    given = {"device": "null", "measure": "false"}
    for setting in arguments.settings:
        key, _, value = setting.partition("=")
        if key not in given or not value or (key == "measure" and value not in ("true", "false")):
            raise InputError(f"doctor takes device=NAME and measure=true only, found '{setting}'")
        given[key] = value
    device = None if given["device"] == "null" else given["device"]
    return doctor(device=device, measure=given["measure"] == "true")


def _completions(arguments: argparse.Namespace) -> int:
    from posekit.commands.completions import completions

    print(completions(arguments.shell, _parser()))
    return 0


def _app(arguments: argparse.Namespace) -> int:
    from posekit.commands.app import app

    return app(arguments.settings)


def _push(arguments: argparse.Namespace) -> int:
    from posekit.commands.push import push

    private = ["private=true"] if arguments.private else []
    return push(arguments.folder, arguments.repository, [*arguments.settings, *private])


def _download(arguments: argparse.Namespace) -> int:
    from posekit.commands.download import download

    to = [] if arguments.to is None else [f"to={arguments.to}"]
    return download([*arguments.words, *to])


def _mirror(arguments: argparse.Namespace) -> int:
    from posekit.commands.mirror import mirror

    only = [] if arguments.only is None else [f"only={arguments.only}"]
    return mirror(arguments.organisation, [*arguments.settings, *only])


def _import(arguments: argparse.Namespace) -> int:
    from posekit.commands.import_model import import_model

    weights, rest = arguments.weights, list(arguments.settings)
    if weights is not None and "=" in str(weights) and not weights.exists():
        weights, rest = None, [str(weights), *rest]
    return import_model(arguments.config, weights, rest)


def _labels(arguments: argparse.Namespace) -> int:
    from posekit.commands.labels import convert_labels

    return convert_labels(arguments.source, arguments.settings)


def _convert(arguments: argparse.Namespace) -> int:
    from posekit.commands.convert import convert_tables

    return convert_tables(arguments.words)


def _models(arguments: argparse.Namespace) -> int:
    from posekit.commands.models import find_models, markdown_page, print_aliases, print_models

    keys = ("task", "keypoints", "size", "max_params", "license")
    wanted = {key: value for key in keys if (value := getattr(arguments, key)) is not None}
    if arguments.markdown:
        if arguments.text or wanted:
            raise InputError("--markdown prints all models: leave out the filters")
        print(markdown_page(), end="")
        return 0
    rows = find_models(arguments.text, **wanted)
    if arguments.show_alias:
        print_aliases(rows)
    else:
        print_models(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
