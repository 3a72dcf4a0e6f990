"""Spans of time, thread by thread."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from posekit.errors import OutputError
from posekit.timeline import recording, span


def test_spans_nest_and_tell_what_they_were_about(tmp_path: Path) -> None:
    with recording() as timeline, span("frame", frame=3):
        with span("crop"):
            pass
        with span("network", batch=2):
            pass
    timeline.save(tmp_path / "trace.json")
    content = json.loads((tmp_path / "trace.json").read_text())
    named, outer, crop, network = content["traceEvents"]
    assert (named["ph"], named["name"], named["args"]) == (
        "M", "thread_name", {"name": threading.current_thread().name},
    )  # fmt: skip
    assert [(event["name"], event["args"]) for event in (outer, crop, network)] == [
        ("frame", {"frame": 3}),
        ("crop", {"frame": 3}),
        ("network", {"frame": 3, "batch": 2}),
    ]
    for event in (outer, crop, network):
        assert event["ph"] == "X" and event["cat"] == "posekit" and event["dur"] >= 0
        assert (event["pid"], event["tid"]) == (named["pid"], named["tid"])
        assert outer["ts"] <= event["ts"]
        assert event["ts"] + event["dur"] <= outer["ts"] + outer["dur"]
    assert crop["ts"] + crop["dur"] <= network["ts"]


def test_each_thread_has_its_own(tmp_path: Path) -> None:
    with recording() as timeline, span("here", frame=1):

        def work() -> None:
            with span("there"):
                pass

        thread = threading.Thread(target=work, name="other")
        thread.start()
        thread.join()
    there, here = timeline.spans
    assert (there.name, there.about, here.about) == ("there", {}, {"frame": 1})
    assert timeline.threads[there.thread] == "other" and there.thread != here.thread


def test_nothing_is_kept_where_nothing_records() -> None:
    with recording() as timeline:
        pass
    with span("later"):
        pass
    assert timeline.spans == []


def test_a_span_that_fails_is_recorded() -> None:
    with recording() as timeline, pytest.raises(ZeroDivisionError), span("division"):
        raise ZeroDivisionError
    assert [found.name for found in timeline.spans] == ["division"]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with recording() as timeline, pytest.raises(OutputError, match="cannot write"):
        timeline.save(tmp_path / "nowhere" / "trace.json")
