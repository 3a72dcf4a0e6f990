"""The page: what a visitor chooses, and what is shown of the result."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from posekit.app import parts
from posekit.app.catalog import Catalog, needed
from posekit.app.controls import GROUPS, NAMES, control, settings_of
from posekit.app.door import owner_of
from posekit.app.downloads import offers
from posekit.app.files import receive
from posekit.app.findings import find
from posekit.app.jobs import Job, Outcome, without_paths
from posekit.app.networks import Networks
from posekit.app.options import AppOptions
from posekit.app.recipes import command, python
from posekit.app.visits import Visit, Visits
from posekit.errors import BusyError, InputError, PosekitError
from posekit.files import PACKAGED
from posekit.io.read_table import read_table

__all__ = ["Server", "make_page"]

EXAMPLES = {"An image": "demo.jpg", "A video": "demo.mp4"}
# The queue is full; or a setting that the page itself does not offer.
REFUSED = "the server is busy: too many visitors are waiting, try again in a minute"
LOOKS = 0.3  # seconds between two looks at a job
NO_COOKIE = "this page needs its cookie to keep visitors' files apart: allow it and reload"


@dataclass(frozen=True)
class Server:
    """What all visitors share."""

    options: AppOptions
    catalog: Catalog
    networks: Networks
    visits: Visits

    def visit(self, request: gr.Request) -> Visit:
        """The visit of the page that asks.

        Raises:
            InputError: its browser does not accept the cookie.
            BusyError: too many pages are open.
        """
        owner = owner_of(request.request.cookies)
        if not owner or not request.session_hash:
            raise InputError(NO_COOKIE)
        return self.visits.open(request.session_hash, owner)


def make_page(server: Server) -> gr.Blocks:
    """The page of a server."""
    with gr.Blocks(title="posekit", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(parts.HEADER, padding=False)
        with gr.Row(elem_classes="pk-main", equal_height=False):
            with gr.Column(scale=4, min_width=300, elem_classes="pk-side"):
                source = _source_part(server)
                model = _model_part(server)
                settings = _settings_part()
                with gr.Row(elem_classes="pk-go"):
                    run = gr.Button("Find poses", variant="primary", elem_id="pk-run")
                    stop = gr.Button("Stop", elem_id="pk-stop")
            with gr.Column(scale=8, min_width=320, elem_classes="pk-results"):
                shown = _result_part()
        page.load(_begun(server), None, [source["zone"], source["chosen"], model["need"]], **QUICK)
        _connect_source(server, source, model)
        _connect_model(server, model, settings)
        inputs = [model["model"], *settings]
        run.click(lambda: parts.waiting(), None, shown[0], **QUICK).then(
            _computed(server),
            inputs,
            shown,
            concurrency_limit=server.options.jobs,
            concurrency_id="jobs",
            show_progress="hidden",
            api_visibility="private",
        ).failure(lambda: parts.failed(REFUSED), None, shown[0], **QUICK)
        stop.click(_stopped(server), None, None, **QUICK)
        page.unload(_left(server))
    page.queue(max_size=server.options.max_queue)
    return page


# Events that wait for nobody.
QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def _source_part(server: Server) -> dict[str, Any]:
    gr.HTML('<h2 class="pk-title">Source</h2>', padding=False)
    found: dict[str, Any] = {"zone": gr.HTML(padding=False, elem_id="pk-zone")}
    found["chosen"] = gr.HTML(padding=False, elem_id="pk-chosen")
    with gr.Row(elem_classes="pk-examples"):
        here = {label: name for label, name in EXAMPLES.items() if (PACKAGED / name).is_file()}
        known = any("demo" in names for names in server.catalog.tasks.values())
        found["examples"] = {
            name: gr.Button(f"{label}, with the demo model", size="sm", elem_id=f"pk-{name[5:]}")
            for label, name in (here if known else {}).items()
        }
    # The script presses it when something was sent.
    found["sent"] = gr.Button("sent", elem_id="pk-was-sent", elem_classes="pk-hidden")
    return found


def _model_part(server: Server) -> dict[str, Any]:
    gr.HTML('<h2 class="pk-title">Model</h2>', padding=False)
    catalog, first = server.catalog, server.options.model
    task = catalog.task_of(first)
    with gr.Row(elem_classes="pk-pair"):
        found: dict[str, Any] = {
            "task": gr.Dropdown(
                list(catalog.tasks), value=task, label="Task", filterable=False, elem_id="pk-task",
                scale=2, min_width=110,
            ),
            "model": gr.Dropdown(
                catalog.labels(task), value=catalog.shown(first), label="Model", elem_id="pk-model",
                scale=5, min_width=150,
            ),
        }  # fmt: skip
    found["need"] = gr.HTML(padding=False, elem_id="pk-need")
    return found


def _settings_part() -> list[Any]:
    controls = []
    for title, names in GROUPS.items():
        with gr.Accordion(title, open=False, elem_classes="pk-group"):
            controls += [control(name) for name in names]
    return controls


def _result_part() -> list[Any]:
    """The parts of a result, in the order in which `_rendered` gives them."""
    gr.HTML('<h2 class="pk-visually-hidden">Result</h2>', padding=False)
    progress = gr.HTML(padding=False, elem_id="pk-progress")
    stage = gr.HTML(parts.EMPTY_STAGE, padding=False, elem_id="pk-stage")
    with gr.Tabs(elem_id="pk-tabs"):
        with gr.Tab("People"):
            people = gr.HTML(parts.EMPTY_PEOPLE, padding=False)
        with gr.Tab("Angles"):
            angles = gr.HTML(parts.EMPTY_LINES, padding=False)
        with gr.Tab("Heights"):
            heights = gr.HTML(parts.EMPTY_LINES, padding=False)
        with gr.Tab("3D"):
            space = gr.HTML(_no_space(), padding=False)
        with gr.Tab("Files"):
            files = gr.HTML(parts.EMPTY_FILES, padding=False)
        with gr.Tab("Same elsewhere"):
            recipes = gr.HTML(parts.EMPTY_RECIPES, padding=False)
    return [progress, stage, people, angles, heights, space, files, recipes]


def _no_space() -> str:
    return (
        '<p class="pk-none">Models that give 3D poses, such as <code>human3d</code>, have a view '
        "that turns here.</p>"
    )


def _connect_source(server: Server, source: dict[str, Any], model: dict[str, Any]) -> None:
    def sent(request: gr.Request) -> str:
        return parts.chosen(server.visit(request))

    source["sent"].click(sent, None, source["chosen"], **QUICK)
    for name, button in source["examples"].items():
        button.click(
            _example(server, name),
            None,
            [source["chosen"], model["task"], model["model"], model["need"]],
            **QUICK,
        )


def _connect_model(server: Server, model: dict[str, Any], settings: list[Any]) -> None:
    catalog = server.catalog

    def of_task(task: str) -> tuple[Any, str]:
        if task not in catalog.tasks:
            raise gr.Error("There is no such task.", print_exception=False)
        first = catalog.tasks[task][0]
        return gr.Dropdown(catalog.labels(task), value=first), _need(server, first)

    model["task"].input(of_task, model["task"], [model["model"], model["need"]], **QUICK)
    model["model"].input(lambda name: _need(server, name), model["model"], model["need"], **QUICK)


def _begun(server: Server) -> Any:
    def begun(request: gr.Request) -> tuple[str, str, str]:
        try:
            visit = server.visit(request)
        except PosekitError as error:
            return parts.failed(str(error)), "", ""
        return (
            parts.zone(visit, server.options),
            parts.chosen(visit),
            _need(server, server.options.model),
        )

    return begun


def _example(server: Server, name: str) -> Any:
    def example(request: gr.Request) -> tuple[str, Any, Any, str]:
        try:
            visit = server.visit(request)
            path = visit.new_folder("source") / name
            shutil.copyfile(PACKAGED / name, path)
            # As it is called wherever posekit is installed.
            receive(visit, path, f"posekit:{name}", server.options.max_pixels)
        except PosekitError as error:
            return parts.failed(str(error)), gr.skip(), gr.skip(), gr.skip()
        catalog, task = server.catalog, server.catalog.task_of("demo")
        return (
            parts.chosen(visit),
            gr.Dropdown(value=task),
            gr.Dropdown(catalog.labels(task), value=catalog.shown("demo")),
            _need(server, "demo"),
        )

    return example


def _need(server: Server, name: str) -> str:
    try:
        return parts.what_is_needed(needed(server.catalog.row(name).name))
    except PosekitError as error:
        return parts.failed(without_paths(str(error)))


def _computed(server: Server) -> Any:
    """What “Find poses” does: how far it is, again and again, and at the end the result."""

    def computed(request: gr.Request, model: str, *values: Any) -> Iterator[list[Any]]:
        nothing = [gr.skip()] * 7
        try:
            visit = server.visit(request)
            job = _start(server, visit, model, values)
        except PosekitError as error:
            yield [parts.failed(without_paths(str(error))), *nothing]
            return
        try:
            while job.is_alive():
                job.changed.clear()
                yield [parts.progress(job), *nothing]
                job.join(LOOKS)
                if visit.closed:
                    return
        finally:
            job.stop()  # the page may be gone
        if job.outcome is None:
            yield [parts.failed(job.error), *nothing]
            return
        try:
            yield _rendered(visit, job.outcome, _address(request))
        except (PosekitError, OSError) as error:  # its files went while they were read
            if not visit.closed:
                yield [parts.failed(without_paths(str(error))), *nothing]

    return computed


def _start(server: Server, visit: Visit, model: str, values: Any) -> Job:
    row = server.catalog.row(model)
    if visit.source is None:
        raise InputError("choose an image or a video first")
    if len(values) != len(NAMES):
        raise InputError("the page is from another version: reload it")
    pose3d = "3d" in row.task or row.task == "lifting"
    said = settings_of(values, pose3d=pose3d, clip=visit.source.kind == "clip")
    with visit.lock:
        if visit.busy:
            raise BusyError("this page is already processing something: stop that first")
        job = Job(visit, server.networks, model, said, server.options.max_seconds)
        visit.keep(job.source.path.parent)
        visit.job = job
        job.start()
    return job


def _rendered(visit: Visit, outcome: Outcome, address: str) -> list[Any]:
    """The result, in the order of `_result_part`."""
    table = read_table(outcome.table)
    found = find(table, threshold=float(outcome.said.get("kpt_thr", 0.3)))
    name, said = outcome.source.name, outcome.said
    spatial = parts.lines(visit, outcome, "space") if found.poses else _no_space()
    angles = parts.lines(visit, outcome, "angles")
    if not found.angle_names:
        angles = '<p class="pk-none">These keypoints give no joint angles.</p>'
    recipes = [
        parts.recipe("Command line", command(outcome.model, name, said), _INSTALL),
        parts.recipe("Python", python(outcome.model, name, said)),
        parts.recipe("HTTP, for an image", parts.api_lines(outcome.model, address), _API),
    ]
    return [
        parts.finished(outcome, found),
        parts.stage(visit, outcome),
        parts.people(found, outcome),
        angles,
        parts.lines(visit, outcome, "heights") if found.people else parts.EMPTY_LINES,
        spatial,
        parts.files(visit, outcome, offers(outcome)),
        "".join(recipes),
    ]


_INSTALL = (
    "<code>pip install posekit</code> first. It writes the drawing and JSON to <code>out/</code>; "
    "<code>'formats=[csv,parquet]'</code> and the other names of “Files” write those."
)
_API = 'Fields and responses: <a href="openapi.json">openapi.json</a>'


def _address(request: gr.Request) -> str:
    """Of this server, as the visitor reaches it."""
    headers, url = request.request.headers, request.request.url
    scheme = headers.get("x-forwarded-proto", url.scheme).partition(",")[0]
    return f"{scheme}://{headers.get('host', url.netloc)}"


def _stopped(server: Server) -> Any:
    def stopped(request: gr.Request) -> None:
        with contextlib.suppress(PosekitError):
            job = server.visit(request).job
            if job is not None:
                job.stop()

    return stopped


def _left(server: Server) -> Any:
    def left(request: gr.Request) -> None:
        server.visits.leave(request.session_hash, owner_of(request.request.cookies))

    return left
