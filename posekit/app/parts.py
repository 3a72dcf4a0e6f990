"""The page's own parts, as HTML. All that comes from elsewhere is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources

from posekit.app.catalog import Need
from posekit.app.downloads import Offer
from posekit.app.files import run_name
from posekit.app.findings import Findings, rows_of
from posekit.app.jobs import Job, Outcome
from posekit.app.media import ACCEPTED, Source
from posekit.app.options import AppOptions
from posekit.app.visits import Visit

__all__ = [
    "EMPTY_FILES",
    "EMPTY_LINES",
    "EMPTY_PEOPLE",
    "EMPTY_RECIPES",
    "EMPTY_STAGE",
    "HEADER",
    "api_lines",
    "chosen",
    "failed",
    "files",
    "finished",
    "lines",
    "people",
    "progress",
    "recipe",
    "stage",
    "waiting",
    "what_is_needed",
    "zone",
]

HEADER = (resources.files("posekit.app") / "static" / "header.html").read_text(encoding="utf-8")
EMPTY_STAGE = """
<div class="pk-empty" id="pk-result" tabindex="-1"><p><strong>No result yet.</strong></p>
<p>Choose an image or a video, then press “Find poses”. The drawing will appear here, next to your
file.</p></div>
"""
EMPTY_PEOPLE = (
    '<p class="pk-none">The people found, and their number of frames, will be listed here.</p>'
)
EMPTY_LINES = '<p class="pk-none">Joint angles and keypoint heights will be plotted here.</p>'
EMPTY_FILES = '<p class="pk-none">The result, in every format that can hold it, will be here.</p>'
EMPTY_RECIPES = '<p class="pk-none">The command and the code for the same result will be here.</p>'


def zone(visit: Visit, options: AppOptions) -> str:
    """Where files are dropped, and the camera."""
    return f"""
<div class="pk-zone" data-visit="visit/{escape(visit.number)}" data-most="{options.most_bytes}">
  <input type="file" id="pk-file" class="pk-file" accept="{ACCEPTED}"
    aria-describedby="pk-file-about">
  <label for="pk-file"><strong>Choose an image or a video</strong>
    <span>or drop it here</span></label>
  <p id="pk-file-about" class="pk-fine">Up to {options.max_upload_mb:g} MB and
    {_span(options.max_seconds)} of processing. Your file is deleted when you leave the page.</p>
  <div class="pk-row">
    <button type="button" class="pk-button" data-camera="open">Use the camera</button></div>
  <div class="pk-camera" hidden>
    <video muted playsinline aria-label="Camera preview"></video>
    <div class="pk-row">
      <button type="button" class="pk-button" data-camera="picture">Take a photo</button>
      <button type="button" class="pk-button" data-camera="clip" aria-pressed="false"
        >Record a video</button>
      <button type="button" class="pk-button" data-camera="close">Close</button>
    </div>
  </div>
  <div class="pk-sent" role="status" aria-live="polite"></div>
</div>
"""


def chosen(visit: Visit) -> str:
    """The file that was sent last."""
    source = visit.source
    if source is None:
        return '<p class="pk-none">Nothing chosen yet. Or try one of these:</p>'
    about = f"{source.size[0]} by {source.size[1]} pixels"
    if source.kind == "clip":
        frames = "" if source.frames is None else f", {source.frames} frames"
        about = f"video, {about}{frames}, {source.fps:.4g} frames per second"
    else:
        about = f"image, {about}"
    return f"""
<div class="pk-chosen">{_preview(visit, source)}
  <div><strong>{escape(source.name)}</strong><span>{about}</span></div></div>
"""


def what_is_needed(need: Need) -> str:
    """What has to be downloaded before a model runs."""
    if not need.names:
        return '<p class="pk-fine" role="status">Ready: its weights are on this machine.</p>'
    return (
        f'<p class="pk-notice" role="status">Will be downloaded first, {escape(need.text)}. '
        "This happens once.</p>"
    )


def waiting() -> str:
    """What is shown until there is a free place."""
    return _progress("Waiting in the queue …", None)


def progress(job: Job) -> str:
    """How far a job is."""
    if job.phase == "computing":
        of = "" if job.total is None else f" of {job.total}"
        left = job.seconds_left
        more = "" if left is None else f" · about {_span(left)} left"
        share = None if not job.total else min(1.0, job.frames / job.total)
        return _progress(f"Frame {job.frames}{of}{more}", share)
    texts = {
        "loading": f"Downloading {job.message} …" if job.message else "Loading the model …",
        "writing": "Preparing the result …",
    }
    return _progress(texts.get(job.phase, "Starting …"), None)


def finished(outcome: Outcome, found: Findings) -> str:
    """What was done, and what was not."""
    frames = "" if outcome.source.kind == "picture" else f" in {_count(outcome.frames, 'frame')}"
    text = f"{_people(outcome, found)}{frames}, {outcome.seconds:.1f} seconds."
    note = f'<p class="pk-notice" role="alert">{escape(outcome.note)}</p>' if outcome.note else ""
    if not found.instances and outcome.model == "demo":
        note += (
            '<p class="pk-notice">The demo model only knows drawn people: choose another one.</p>'
        )
    elif not found.instances:
        note += '<p class="pk-notice">A lower detection score, or another model, may find more.</p>'
    return f'<p class="pk-done" role="status">{text}</p>{note}'


def failed(text: str) -> str:
    """Why there is nothing."""
    sentence = f"{text[:1].upper()}{text[1:]}" if text else "Nothing could be computed"
    return f'<p class="pk-failed" role="alert">{escape(sentence)}</p>'


def stage(visit: Visit, outcome: Outcome) -> str:
    """The source and its drawing, side by side."""
    home = f"visit/{visit.number}/{run_name(outcome)}"
    drawing = ""
    if outcome.drawing is not None:
        label = f"{outcome.source.name} with the poses drawn"
        drawing = _media(f"{home}/drawing", outcome.source.kind, "With poses", label)
    original = _media(f"{home}/original", outcome.source.kind, "Source", outcome.source.name)
    wide = " pk-wide" if outcome.source.size[0] > 2 * outcome.source.size[1] else ""
    return f'<div class="pk-stage{wide}" id="pk-result" tabindex="-1">{original}{drawing}</div>'


def people(found: Findings, outcome: Outcome) -> str:
    """The table of people and frames."""
    if not found.people:
        return '<p class="pk-none">Nobody was found.</p>'
    timed = found.timed
    head = ["who", "frames", "from", "to", "mean score"] if timed else ["who", "mean score"]
    rows = []
    for row in rows_of(found)[:100]:
        times = [f"{row['first']:.2f} s", f"{row['last']:.2f} s"] if timed else []
        frames = [str(row["frames"])] if timed else []
        cells = [*frames, *times, f"{row['score']:.2f}"]
        inside = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(row["name"])}</th>{inside}</tr>')
    heads = "".join(f'<th scope="col">{name}</th>' for name in head)
    empty = f" Nobody is in {_count(found.empty, 'frame')}." if timed and found.empty else ""
    more = len(found.people) - len(rows)
    rest = f" {more} more are in the files." if more > 0 else ""
    return f"""
<div class="pk-scroll" tabindex="0" role="region" aria-label="People that were found">
<table class="pk-table"><caption>{_people(outcome, found)}.{empty}{rest}</caption>
<thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>
"""


def lines(visit: Visit, outcome: Outcome, what: str) -> str:
    """The place where the page's script draws "angles", "heights" or "space"."""
    home = f"visit/{visit.number}/{run_name(outcome)}/figures"
    return f'<div class="pk-figures" data-figures="{home}" data-what="{what}"></div>'


def files(visit: Visit, outcome: Outcome, offered: Sequence[Offer]) -> str:
    """Links to every format."""
    home = f"visit/{visit.number}/{run_name(outcome)}/as"
    kind = "The drawing, a video" if outcome.source.kind == "clip" else "The drawing, an image"
    drawing = [] if outcome.drawing is None else [Offer("drawing", kind)]
    fits = [offer for offer in (*drawing, *offered) if not offer.refusal]
    links = "".join(
        f'<li><a href="{home}/{offer.name}" download data-download="{offer.name}">'
        f"{escape(offer.name)}</a><span>{_about(offer.about)}</span></li>"
        for offer in fits
    )
    others = [offer for offer in offered if offer.refusal]
    reasons = "".join(
        f"<li><b>{escape(offer.name)}</b><span>{escape(offer.refusal)}</span></li>"
        for offer in others
    )
    rest = (
        f'<details><summary>{len(others)} formats do not fit</summary><ul class="pk-files">'
        f"{reasons}</ul></details>"
        if others
        else ""
    )
    return (
        f'<ul class="pk-files">{links}</ul><p class="pk-failed" role="alert" data-refused hidden>'
        f"</p>{rest}"
    )


def recipe(title: str, text: str, note: str = "") -> str:
    """Lines to be copied."""
    about = f'<p class="pk-fine">{note}</p>' if note else ""
    return f"""
<section class="pk-recipe"><div class="pk-row"><h3>{escape(title)}</h3>
<button type="button" class="pk-button" data-copy
  aria-label="Copy: {escape(title)}">Copy</button></div>
<pre tabindex="0"><code>{escape(text)}</code></pre>{about}</section>
"""


def api_lines(model: str, address: str) -> str:
    """The command that asks the API about a picture."""
    return f"curl -F file=@photo.jpg -F model={model} {address}/api/predict"


def _preview(visit: Visit, source: Source) -> str:
    link = f"visit/{visit.number}/source?{escape(source.path.parent.name)}"
    suffix = source.path.suffix
    if source.kind == "picture" and suffix in (".jpg", ".jpeg", ".png", ".webp", ".gif"):
        return f'<img src="{link}" alt="">'
    if source.kind == "clip" and suffix in (".mp4", ".webm", ".mov", ".m4v"):
        how = 'muted playsinline preload="metadata" aria-hidden="true" tabindex="-1"'
        return f'<video src="{link}" {how}></video>'
    return ""


def _media(link: str, kind: str, caption: str, label: str) -> str:
    name = escape(label, quote=True)
    if kind == "clip":
        inside = (
            f'<video src="{link}" controls loop muted playsinline preload="auto" '
            f'aria-label="{name}"></video>'
        )
    else:
        inside = f'<img src="{link}" alt="{name}">'
    return f"<figure>{inside}<figcaption>{caption}</figcaption></figure>"


def _progress(text: str, share: float | None) -> str:
    value = "" if share is None else f' aria-valuenow="{share * 100:.0f}"'
    width = "" if share is None else f' style="width:{share * 100:.1f}%"'
    busy = " pk-busy" if share is None else ""
    return f"""
<div class="pk-progress{busy}"><p role="status" aria-live="off">{escape(text)}</p>
<div role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"{value}>
<span{width}></span></div></div>
"""


def _people(outcome: Outcome, found: Findings) -> str:
    if outcome.source.kind == "picture" or "track" not in outcome.said:
        return f"{found.instances} found"
    return "1 found" if len(found.people) == 1 else f"{len(found.people)} found"


def _about(text: str) -> str:
    """The first line of a docstring; backticks are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))


def _count(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number} {word}s"


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return _count(whole, "second")
    minutes, rest = divmod(whole, 60)
    if not rest:
        return _count(minutes, "minute")
    return f"{minutes}:{rest:02d} minutes"
