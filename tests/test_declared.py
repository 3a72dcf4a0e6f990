"""Options that are declared once: their checks, and the signatures that follow from them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from posekit.declared import Options, function_takes, option, takes
from posekit.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Dots(Options):
    radius: int = option(3, "of a dot", unit="pixels", least=1, most=1000)
    opacity: float = option(0.3, "of a dot", above=0, most=1)
    show: bool | None = option(None, "a window")
    out: str | os.PathLike[str] | None = option(None, "a file")
    colors: list[int] = option([], "of dots")
    tail: float = option(0.5, "of a trail", above=0, below=1)
    frame: Any = option(None, "around it", python=True)
    bits: Literal["int8"] | None = option(None, "of a number")
    every: int | Literal["auto"] = option(1, "in dots", least=1)


@dataclass(frozen=True, kw_only=True)
class Files(Options):
    form: Literal["json", "jsonl"] = option("json", "of a file")
    on_error: Literal["raise"] | Callable[[str], None] = option("raise", "what to do")

    def check(self) -> None:
        if self.form == "jsonl" and self.on_error != "raise":
            raise InputError("form=jsonl raises")


@dataclass(frozen=True, kw_only=True)
class Both(Dots, Files):
    pass


class Tool:
    @takes(Both)
    def run(self, inputs: Any, options: Both) -> Both:
        """Runs.

        Args:
            inputs: anything.
            {options}

        Raises:
            InputError: no.
        """
        return options


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"radius": 0}, "radius must be a whole number from 1 to 1000, found 0"),
        ({"radius": True}, "radius must be a whole number from 1 to 1000, found True"),
        ({"radius": 2.0}, "radius must be a whole number from 1 to 1000, found 2.0"),
        ({"opacity": 0}, "opacity must be a number above 0 and at most 1, found 0"),
        ({"opacity": float("nan")}, "opacity must be a number above 0 and at most 1, found nan"),
        ({"tail": 1}, "tail must be a number above 0 and below 1, found 1"),
        ({"show": 1}, "show must be true or false, or left out, found 1"),
        ({"out": 3}, "out must be a text or a path, or left out, found 3"),
        ({"colors": "red"}, "colors must be a list, found 'red'"),
        ({"form": "xml"}, "form must be one of json, jsonl, found 'xml'"),
        ({"form": "jsom"}, "form must be one of json, jsonl, found 'jsom'; did you mean json?"),
        ({"bits": "int4"}, "bits must be int8, or left out, found 'int4'; did you mean int8?"),
        ({"every": 0}, "every must be auto or a whole number of at least 1, found 0"),
        ({"every": 1.5}, "every must be auto or a whole number of at least 1, found 1.5"),
        (
            {"every": "autos"},
            "every must be auto or a whole number of at least 1, found 'autos'; did you mean auto?",
        ),
        ({"form": None}, "form must be one of json, jsonl, found None"),
        ({"raduis": 3}, "unknown option 'raduis'; did you mean radius?"),
        ({"form": "jsonl", "on_error": print}, "form=jsonl raises"),
    ],
)
def test_a_wrong_value_is_one_line(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        Tool().run("a.jpg", **keywords)
    assert str(error.value) == message


def test_what_fits_is_taken() -> None:
    found = Tool().run("a.jpg", radius=np.int64(4), opacity=1, out=None, on_error=print)
    assert (found.radius, found.opacity, found.form) == (4, 1, "json")
    for value in (7, np.int64(7), "auto"):
        assert Tool().run("a.jpg", every=value).every == value


def test_defaults_that_can_be_changed_are_not_shared() -> None:
    Dots().colors.append(1)
    assert Dots().colors == []


def test_the_keywords_stand_in_the_signature() -> None:
    signature = inspect.signature(Tool.run)
    assert list(signature.parameters)[:2] == ["self", "inputs"]
    radius = signature.parameters["radius"]
    assert (radius.default, radius.kind) == (3, inspect.Parameter.KEYWORD_ONLY)
    assert set(signature.parameters) == {"self", "inputs", *Both.declared()}


@function_takes(Both)
def drawn(inputs: str, options: Both) -> tuple[str, Both]:
    return inputs, options


def test_a_function_takes_them_too() -> None:
    assert drawn("a.jpg", radius=4, form="jsonl") == ("a.jpg", Both(radius=4, form="jsonl"))
    with pytest.raises(InputError, match="unknown option 'raduis'"):
        drawn("a.jpg", raduis=4)  # type: ignore[call-arg]
    signature = inspect.signature(drawn)
    assert list(signature.parameters) == ["inputs", *Both.declared()]
    assert signature.return_annotation == "tuple[str, Both]"


@dataclass(frozen=True)
class Place(Options):
    place: str | None = option(None, "a folder")


@dataclass(frozen=True, kw_only=True)
class Placed(Place, Dots):
    pass


@function_takes(Placed)
def placed(inputs: str, options: Placed) -> Placed:
    return options


def test_an_option_may_go_without_its_name_where_its_group_lets_it() -> None:
    assert placed("a.jpg", "out", radius=4) == Placed(place="out", radius=4)
    assert list(inspect.signature(placed).parameters)[:2] == ["inputs", "place"]
    with pytest.raises(TypeError, match="multiple values for argument 'place'"):
        placed("a.jpg", "out", place="there")  # type: ignore[misc]


def test_what_has_to_be_named_is_not_passed_over() -> None:
    with pytest.raises(TypeError, match="too many positional arguments"):
        drawn("a.jpg", 4)  # type: ignore[misc]
    with pytest.raises(TypeError, match="too many positional arguments"):
        Tool().run("a.jpg", 4)  # type: ignore[misc]


def test_inputs_may_have_their_name() -> None:
    assert Tool().run(inputs="a.jpg", radius=4).radius == 4  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing a required argument: 'inputs'"):
        Tool().run(radius=4)  # type: ignore[call-arg]


def test_the_docstring_has_what_there_is_to_say_of_each() -> None:
    text = inspect.getdoc(Tool.run) or ""
    assert "    radius: of a dot (pixels, 1 to 1000). Default: 3.\n    opacity: of a dot (" in text
    assert "{options}" not in text and text.endswith("InputError: no.")


def test_options_come_in_the_order_of_their_groups() -> None:
    assert list(Both.declared()) == [*Dots.declared(), *Files.declared()]


@dataclass(frozen=True, kw_only=True)
class Again(Both):
    radius: int = option(5, "of a larger dot", as_key=7)

    def check(self) -> None:
        if self.radius == 6:
            raise InputError("no six")


def test_an_option_that_is_declared_again_is_the_later_groups() -> None:
    radius = Again.declared()["radius"]
    assert (radius.group, radius.default, radius.key_default) == (Again, 5, 7)
    assert list(Again.declared())[-1] == "radius"


def test_each_group_checks_what_is_its_own() -> None:
    with pytest.raises(InputError, match="no six"):
        Again(radius=6)
    with pytest.raises(InputError, match="form=jsonl raises"):
        Again(form="jsonl", on_error=print)


def test_an_option_knows_where_it_was_declared() -> None:
    declared = Both.declared()
    assert (declared["radius"].group, declared["form"].group) == (Dots, Files)
    assert declared["radius"].about.unit == "pixels"


def test_a_configuration_may_hold_more() -> None:
    found = Dots.from_config({"radius": 5, "model": "human", "frame": {"net": 1}})
    assert (found.radius, found.frame) == (5, None)


def test_what_a_caller_named_is_known_also_where_it_is_the_default() -> None:
    assert Dots.from_keywords({"radius": 3, "show": None}).named == {"radius": 3, "show": None}
    assert Dots(radius=3).named == {}
