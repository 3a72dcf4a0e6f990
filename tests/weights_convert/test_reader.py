"""Reading foreign checkpoints: what they hold comes out, what they ask for is not done."""

from __future__ import annotations

import argparse
import builtins
import collections
import copyreg
import datetime
import io
import os
import pathlib
import pickle
import pickletools
import struct
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.processes import run_python
from weights_convert import ConversionError, UnsafeCheckpointError
from weights_convert.reader import read_checkpoint as read_file

FORMATS = ["zip", "legacy"]


def save(contents: object, path: Path, form: str = "zip", protocol: int = 2) -> Path:
    if form == "pickle":
        path.write_bytes(pickle.dumps(contents, protocol=protocol))
    else:
        is_zip = form == "zip"
        torch.save(contents, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    return path


def write_zip(path: Path, pickled: bytes, **records: bytes) -> Path:
    """A checkpoint in the zip format, with a pickle of our making."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", b"3\n")
        for name, data in records.items():
            archive.writestr(f"archive/{name.replace('_', '/')}", data)
    return path


def write_legacy(path: Path, pickled: bytes) -> Path:
    """A checkpoint in the legacy format, with a pickle of our making and no storage."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    path.write_bytes(b"".join(map(pickle.dumps, head)) + pickled + pickle.dumps([]))
    return path


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The likeliest of the state dicts of a file."""
    return next(iter(read_file(path).states.values()))


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert type(found[key]) is torch.Tensor
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value), key


# What is read


@pytest.mark.parametrize("form", FORMATS)
def test_tensors_of_every_kind_come_out_equal(tmp_path: Path, form: str) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {
        "bfloat16": torch.randn(5).bfloat16(),
        "bool": torch.tensor([True, False]),
        "double": torch.randn(2, dtype=torch.float64),
        "empty": torch.empty(0, 3),
        "float": torch.randn(3, 4, 1, 1),
        "half": torch.randn(3).half(),
        "int": torch.tensor(7, dtype=torch.int32),
        "long": torch.tensor(5),
        "parameter": nn.Parameter(torch.ones(3)),
        "slice": base[1:3, ::2],
        "transposed": base.t(),
    }
    found = read_checkpoint(save(state, tmp_path / "a.pth", form))
    assert_same(found, {key: value.detach() for key, value in state.items()})
    assert not any(value.requires_grad for value in found.values())


@pytest.mark.parametrize("form", FORMATS)
def test_tensors_that_share_memory_share_it_afterwards(tmp_path: Path, form: str) -> None:
    base = torch.arange(6.0)
    found = read_checkpoint(save({"a": base, "b": base[2:]}, tmp_path / "a.pth", form))
    found["a"][2] = 100
    assert found["b"][0] == 100


def test_changing_a_tensor_leaves_the_file_alone(tmp_path: Path) -> None:
    path = save({"a": torch.zeros(100)}, tmp_path / "a.pth")
    before = path.read_bytes()
    read_checkpoint(path)["a"].add_(1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("key", ["state_dict", "model", "model_pos", "model_state_dict", None])
def test_the_state_dict_is_found(tmp_path: Path, form: str, key: str | None) -> None:
    state = {"a": torch.ones(2), "b": torch.zeros(3)}
    rest = {"meta": {"epoch": 3}, "message_hub": {}, "optimizer": {"state": {0: torch.ones(4)}}}
    contents = {**rest, **(state if key is None else {key: state})}
    assert_same(read_checkpoint(save(contents, tmp_path / "a.bin", form)), state)


def test_a_modules_state_dict_with_its_metadata_is_read(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    path = save({"state_dict": net.state_dict()}, tmp_path / "a.pth")
    assert_same(read_checkpoint(path), dict(net.state_dict()))


def test_safetensors_are_read(tmp_path: Path) -> None:
    state = {"a": torch.ones(2).half(), "b": torch.zeros(3)}
    save_file(state, tmp_path / "a.safetensors")
    assert_same(dict(sorted(read_checkpoint(tmp_path / "a.safetensors").items())), state)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.pth")
    assert_same(read_checkpoint(tmp_path / "a.pth"), {"a": torch.ones(2)})


def test_a_real_official_file_is_read(person_detector: Path) -> None:
    expected = torch.load(person_detector, weights_only=True)
    assert_same(read_checkpoint(person_detector), dict(expected.get("state_dict", expected)))


# What official files hold beside tensors


class _Framework:
    """Classes as OpenMMLab's, importable only while a file is written."""

    def __init__(self) -> None:
        def member(self: Any) -> float:
            return 0.0

        member.__module__ = "mmengine.logging.history_buffer"
        member.__qualname__ = member.__name__ = "HistoryBuffer.min"
        self.HistoryBuffer = type(
            "HistoryBuffer", (), {"__module__": "mmengine.logging.history_buffer", "min": member}
        )
        self.ConfigDict = type("ConfigDict", (dict,), {"__module__": "mmengine.config.config"})
        self.modules = {}
        for owner in (self.HistoryBuffer, self.ConfigDict):
            parts = owner.__module__.split(".")
            for end in range(1, len(parts) + 1):
                name = ".".join(parts[:end])
                self.modules.setdefault(name, types.ModuleType(name))
            setattr(self.modules[owner.__module__], owner.__name__, owner)


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = _Framework()
    with monkeypatch.context() as patch:
        for name, module in made.modules.items():
            patch.setitem(sys.modules, name, module)
        yield types.SimpleNamespace(classes=made, remove=patch.undo)


def _history(framework: Any) -> object:
    history = framework.classes.HistoryBuffer()
    history.__dict__.update(
        _log_history=np.arange(5.0),
        _count_history=np.arange(5),
        _statistics_methods={"min": framework.classes.HistoryBuffer.min},
        max_length=1000000,
    )
    return history


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", FORMATS)
def test_framework_objects_are_passed_over(
    tmp_path: Path, framework: Any, form: str, protocol: int
) -> None:
    state = {"a": torch.randn(3), "b": torch.randn(2, 2)}
    config = framework.classes.ConfigDict(model={"type": "RTMDet"}, lr=0.1)
    contents = {
        "meta": {
            "cfg": config,
            "args": argparse.Namespace(seed=0),
            "time": datetime.datetime(2023, 1, 2, tzinfo=datetime.timezone.utc),
            "folder": pathlib.PurePosixPath("a") / "b",
            "raw": b"\x00\xff",
            "classes": {"person", "hand"},
            "recent": collections.deque([1, 2], maxlen=5),
            "counts": collections.defaultdict(list, a=[1]),
            "part": slice(0, 2),
            "dtype": torch.float32,
            "shape": torch.Size([1, 2]),
            "device": torch.device("cpu"),
            "score": np.float64(0.5),
            "palette": np.ones((2, 3), dtype=np.uint8),
            "names": np.array(["a", None], dtype=object),
        },
        "message_hub": {"log_scalars": collections.OrderedDict(loss=_history(framework))},
        "state_dict": collections.OrderedDict(state),
    }
    path = save(contents, tmp_path / "a.pth", form, protocol)
    framework.remove()
    assert b"mmengine.logging.history_buffer" in path.read_bytes()
    assert_same(read_checkpoint(path), state)
    assert "mmengine" not in sys.modules


def test_a_method_is_written_as_a_call_of_getattr(tmp_path: Path, framework: Any) -> None:
    path = save({"meta": _history(framework), "a": torch.ones(1)}, tmp_path / "a.pth", "zip", 2)
    framework.remove()
    with zipfile.ZipFile(path) as archive:
        names = {str(argument) for _, argument, _ in pickletools.genops(archive.read("a/data.pkl"))}
    assert "__builtin__ getattr" in names
    assert list(read_checkpoint(path)) == ["a"]


# What is refused


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def make_marker(path: str) -> None:
    Path(path).touch()


CALLS: dict[str, Callable[[str], object]] = {
    "system": lambda marker: Call(os.system, f"touch '{marker}'"),
    "eval": lambda marker: Call(builtins.eval, f"open({marker!r}, 'w')"),
    "exec": lambda marker: Call(builtins.exec, f"open({marker!r}, 'w')"),
    "Popen": lambda marker: Call(subprocess.Popen, ["touch", marker]),
    "open": lambda marker: Call(builtins.open, marker, "w"),
    "make_marker": lambda marker: Call(make_marker, marker),
}
PLACES: dict[str, Callable[[object], object]] = {
    "meta": lambda call: {"meta": {"cfg": [call]}, "state_dict": {"a": torch.ones(1)}},
    "state": lambda call: {"state_dict": {"a": torch.ones(1), "b": call}},
    "top": lambda call: call,
}


@pytest.mark.parametrize("form", [*FORMATS, "pickle"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_refused_by_name(tmp_path: Path, form: str, place: str, name: str) -> None:
    marker = tmp_path / "marker"
    contents = PLACES[place](CALLS[name](str(marker)))
    if form == "pickle" and place != "top":
        contents = {"a": 1, "b": [CALLS[name](str(marker))]}
    path = save(contents, tmp_path / "a.pth", form)
    with pytest.raises(UnsafeCheckpointError, match=rf"a\.pth: it asks for .*\.{name}, .*run"):
        read_checkpoint(path)
    assert not marker.exists()


def test_the_calls_above_would_work_elsewhere(tmp_path: Path) -> None:
    for name, make in CALLS.items():
        if name != "Popen":  # it would not have ended yet
            marker = tmp_path / name
            # weights_only=False on purpose: only so does PyTorch run the calls, of bytes made here,
            # which create a file in this folder. Were they harmless, the test above could not fail.
            torch.load(save(make(str(marker)), tmp_path / "a.pth"), weights_only=False)
            assert marker.exists(), name


def calling(module: str, name: str, protocol: int = 4) -> bytes:
    """A pickle that calls `module.name("x")`; dotted names are followed from protocol 4 on."""

    def text(value: str) -> bytes:
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data

    looked_up = text(module) + text(name) + b"\x93"
    if protocol < 4:
        looked_up = f"c{module}\n{name}\n".encode()
    return bytes([0x80, protocol]) + looked_up + text("x") + b"\x85R."


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("__builtin__", "eval"),
        ("__main__", "anything"),
        ("_codecs", "open"),
        ("_pickle", "loads"),
        ("builtins", "__import__"),
        ("builtins", "object.__subclasses__"),
        ("builtins", "type"),
        ("collections", "OrderedDict.fromkeys"),
        ("commands", "getoutput"),
        ("copy_reg", "_reconstructor"),
        ("copyreg", "_reconstructor"),
        ("datetime", "sys.exit"),
        ("importlib", "import_module"),
        ("mmengine", "os.system"),
        ("mmengine.logging", "_os.system"),
        ("mmengine;os", "system"),
        ("mmenginex", "system"),
        ("numpy", "os.system"),
        ("numpy.f2py.crackfortran", "myeval"),
        ("numpy.testing._private.utils", "runstring"),
        ("operator", "attrgetter"),
        ("pathlib", "os.system"),
        ("posix", "system"),
        ("runpy", "run_path"),
        ("timeit", "timeit"),
        ("torch", "hub.load"),
        ("torch", "load"),
        ("torch", "os.system"),
        ("torch._utils", "os.system"),
        ("torch.hub", "load"),
        ("torch.jit", "load"),
        ("torch.nn.modules.conv", "Conv2d"),
        ("torch.serialization", "load"),
        ("torch.serialization", "os.systemStorage"),
        ("torch.storage", "_load_from_bytes"),
        ("types", "FunctionType"),
        ("webbrowser", "open"),
        ("weights_convert.reader", "_StandIn"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(
    tmp_path: Path, write: Callable[..., Path], module: str, name: str, protocol: int
) -> None:
    with pytest.raises(UnsafeCheckpointError, match="it asks for"):
        read_checkpoint(write(tmp_path / "a.pth", calling(module, name, protocol)))


@pytest.mark.parametrize(
    "opcodes",
    [
        b"(X\x01\x00\x00\x00xios\nsystem\n.",  # INST
        b"(cos\nsystem\nX\x01\x00\x00\x00xo.",  # OBJ
        b"cos\nsystem\n)\x81.",  # NEWOBJ
        b"cos\nsystem\n)}\x92.",  # NEWOBJ_EX
    ],
)
def test_every_opcode_that_makes_objects_is_refused(tmp_path: Path, opcodes: bytes) -> None:
    with pytest.raises(UnsafeCheckpointError, match=r"os\.system"):
        read_checkpoint(write_zip(tmp_path / "a.pth", b"\x80\x04" + opcodes))


def test_names_registered_by_the_program_are_refused(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    copyreg.add_extension(__name__, "make_marker", 200)
    try:
        call = pickle.dumps(Call(make_marker, str(marker)))
        pickle.loads(call)  # now the program has it at hand
        assert marker.exists() and b"\x82\xc8" in call
        marker.unlink()
        with pytest.raises(UnsafeCheckpointError, match="make_marker"):
            read_checkpoint(write_zip(tmp_path / "a.pth", call))
    finally:
        copyreg.remove_extension(__name__, "make_marker", 200)
    assert not marker.exists()


def test_a_name_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(UnsafeCheckpointError) as caught:
        read_checkpoint(write_zip(tmp_path / "a.pth", calling("evil\x1b[2J", "new\nline")))
    assert str(caught.value).isprintable()


INERT = [
    ("mmengine.config", "Config"),
    ("builtins", "getattr"),
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
]


@pytest.mark.parametrize(("module", "name"), INERT)
def test_what_is_set_on_a_class_is_not_kept(tmp_path: Path, module: str, name: str) -> None:
    changed = pickle.dumps((None, {"__call__": 1, "append": 1, "marked": 1}), protocol=2)[2:-1]
    found = f"c{module}\n{name}\n".encode()
    path = write_zip(tmp_path / "a.pth", b"\x80\x02" + found + changed + b"b.")
    with pytest.raises(ConversionError, match="expected a state dict, found"):
        read_checkpoint(path)
    good = {"meta": collections.OrderedDict(), "a": torch.ones(1)}
    assert list(read_checkpoint(save(good, tmp_path / "b.pth"))) == ["a"]
    import weights_convert.reader as reader

    assert not any(hasattr(value, "marked") for value in vars(reader).values())
    assert not hasattr(collections.OrderedDict, "marked")


class Changed:
    """Pickles as an OrderedDict that has attributes of its own."""

    def __reduce__(self) -> Any:
        attributes = dict.fromkeys(("__class__", "get", "items", "keys"))
        return collections.OrderedDict, (), attributes, None, iter([("a", torch.ones(1))])


def test_a_state_dict_cannot_be_given_methods(tmp_path: Path) -> None:
    path = save({"state_dict": Changed()}, tmp_path / "a.pth")
    assert_same(read_checkpoint(path), {"a": torch.ones(1)})


def test_a_stand_in_takes_whatever_is_done_to_it(tmp_path: Path) -> None:
    opcodes = (
        b"cmmengine\nThing\n(X\x01\x00\x00\x00x}}tR"  # as a metaclass
        b"(K\x01K\x02e"  # APPENDS
        b"(K\x01K\x02u"  # SETITEMS
        b"(K\x01\x90"  # ADDITEMS
        b"}X\x09\x00\x00\x00__class__K\x01sb"  # BUILD
        b")R"  # REDUCE
        b"0}."
    )
    with pytest.raises(ConversionError, match="none or an empty one"):
        read_checkpoint(write_zip(tmp_path / "a.pth", b"\x80\x04" + opcodes))


EXHAUSTING = {
    "a tuple in a tuple, and so on, as a key": b"}" + b")" + b"\x85" * 10**6 + b"K\x01s.",
    "lists likewise": b"}X\x01\x00\x00\x00a" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"s.",
    "a place among two thousand million objects": b"}r\xff\xff\xff\x7f.",
    "a number of as many bytes": b"\x8b\xff\xff\xff\x7fabc.",
    "a text of twice as many": b"\x8d\xff\xff\xff\xff\x00\x00\x00\x00ab.",
    "digits": b"I" + b"9" * 10**5 + b"\n.",
    "marks": b"(" * 10**5 + b".",
}
READ_ALL = """
import pathlib, resource, sys
from weights_convert.reader import read_checkpoint
# Above what libraries reserve, which is more the more processors there are.
reserved = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
limit = reserved * resource.getpagesize() + (3 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for name in sys.argv[1:]:
    try:
        read_checkpoint(pathlib.Path(name))
    except ValueError as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's")
def test_what_would_exhaust_the_machine_is_an_error(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{write.__name__} {name}.pth", b"\x80\x04" + opcodes)
        for name, opcodes in EXHAUSTING.items()
        for write in (write_zip, write_legacy)
    ]
    # In a process of its own: the worst of these end it.
    done = run_python("-c", READ_ALL, *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["ConversionError"] * len(paths)


# Tensors that lie


class Reference:
    """Pickles as a persistent id."""

    def __init__(self, pid: object) -> None:
        self.pid = pid


class Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return obj.pid if isinstance(obj, Reference) else None


def with_storage(path: Path, pid: object, offset: int, size: object, stride: object) -> Path:
    rebuild = torch._utils._rebuild_tensor_v2
    call = Call(rebuild, Reference(pid), offset, size, stride, False, collections.OrderedDict())
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"a": call})
    return write_zip(path, buffer.getvalue(), data_0=bytes(16))


def test_a_tensor_of_our_making_is_read(tmp_path: Path) -> None:
    pid = ("storage", torch.FloatStorage, "0", "cuda:7", 4)
    path = with_storage(tmp_path / "a.pth", pid, 0, (2, 2), (2, 1))
    assert_same(read_checkpoint(path), {"a": torch.zeros(2, 2)})


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (-1, (1,), (1,)),
        (0, (-1,), (1,)),
        (3, (2,), (-1,)),
        (0, (2,), (10**9,)),
        (0, (10**9,), (0,)),
        (0, (2**62, 4), (1, 1)),
        (2**70, (1,), (1,)),
        (0, "11", (1, 1)),
        (0, None, None),
    ],
)
def test_a_view_beyond_its_storage_is_refused(
    tmp_path: Path, offset: int, size: object, stride: object
) -> None:
    pid = ("storage", torch.FloatStorage, "0", "cpu", 4)
    with pytest.raises(ConversionError, match=r"damaged|found a view"):
        read_checkpoint(with_storage(tmp_path / "a.pth", pid, offset, size, stride))


@pytest.mark.parametrize(
    "pid",
    [
        ("storage", torch.FloatStorage, "0", "cpu", 400),
        ("storage", torch.FloatStorage, "0", "cpu", 3),
        ("storage", torch.FloatStorage, "0", "cpu", -4),
        ("storage", torch.FloatStorage, "0", "cpu", 2**80),
        ("storage", torch.FloatStorage, "../data.pkl", "cpu", 4),
        ("storage", torch.FloatStorage, "/etc/passwd", "cpu", 4),
        ("storage", torch.FloatStorage, "0", "cpu", 4, ("view", 0, 4)),
        ("storage", "FloatStorage2", "0", "cpu", 4),
        ("storage", torch.FloatStorage, 0, "cpu", 4),
        ("module", torch.FloatStorage, "file.py", "source"),
        ("storage",),
        "0",
        [],
    ],
)
def test_a_storage_that_is_not_there_is_refused(tmp_path: Path, pid: object) -> None:
    with pytest.raises(ConversionError):
        read_checkpoint(with_storage(tmp_path / "a.pth", pid, 0, (1,), (1,)))


@pytest.mark.parametrize("form", FORMATS)
def test_tensors_that_are_not_plain_are_refused_by_name(tmp_path: Path, form: str) -> None:
    path = save({"a": torch.eye(3).to_sparse()}, tmp_path / "a.pth", form)
    with pytest.raises(ConversionError, match=r"expected plain tensors.*_rebuild_sparse_tensor"):
        read_checkpoint(path)


# Files that are no checkpoints


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\n <!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), r"begins with b'\\x89PNG"),
        (b"cposix\nsystem\n(S'true'\ntR.", "begins with b'cposix"),
        (pickle.dumps({"a": 1}), "a pickle of another program"),
        (bytes(257) + b"ustar" + bytes(300), "tar archive"),
        (struct.pack("<Q", 10**6) + b'{"a": {}}', "damaged or cut short, as a safetensors"),
        (b"PK\x03\x04" + bytes(40), "damaged or cut short"),
    ],
)
def test_the_message_says_what_was_found(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=rf"a\.pth.*{found}"):
        read_checkpoint(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"cannot read .*a\.pth: No such file"):
        read_checkpoint(tmp_path / "a.pth")
    with pytest.raises(ConversionError, match="cannot read"):
        read_checkpoint(tmp_path)


def test_a_zip_of_something_else_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("word/document.xml", "")
    with pytest.raises(ConversionError, match=r"expected data\.pkl in .*found word/document\.xml"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.pth", pickle.dumps({}), constants_pkl=b"")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    with pytest.raises(ConversionError, match="TorchScript"):
        read_checkpoint(path)


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10**6))
    with pytest.raises(ConversionError, match="compressed"):
        read_checkpoint(tmp_path / "a.pth")


def test_numbers_of_another_byte_order_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.pth", pickle.dumps({}), byteorder=b"other")
    with pytest.raises(ConversionError, match="-endian"):
        read_checkpoint(path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, form: str) -> None:
    path = save({f"entry{i}": torch.randn(20) for i in range(5)}, tmp_path / "a.pth", form)
    whole = path.read_bytes()
    for size in range(1, len(whole), 23):
        path.write_bytes(whole[:size])
        with pytest.raises(ConversionError):
            read_checkpoint(path)


def test_a_damaged_number_is_noticed(tmp_path: Path) -> None:
    path = save({"a": torch.full((100,), 3.0)}, tmp_path / "a.pth")
    whole = bytearray(path.read_bytes())
    whole[whole.index(struct.pack("<2f", 3, 3)) + 40] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ConversionError, match="damaged: its checksum differs"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("contents", "found"),
    [
        ({}, "none or an empty one"),
        ([1, 2], "expected a state dict, found list"),
        (torch.ones(2), "found a single tensor"),
        ({"other": {"a": torch.ones(1)}}, "found a dict as 'other'"),
        ({"a": torch.ones(1), "epoch": 3}, "found int as 'epoch'"),
        ({"state_dict": {"a": np.ones(3)}}, "found an object as 'a'"),
        ({"state_dict": {1: torch.ones(1)}}, "expected names of tensors, found int"),
        ({"state_dict": {"a\x1b\n": torch.ones(1)}}, r"expected names of tensors, found 'a\\x1b"),
    ],
)
def test_contents_that_are_no_state_dict_are_named(
    tmp_path: Path, contents: object, found: str
) -> None:
    with pytest.raises(ConversionError, match=found):
        read_checkpoint(save(contents, tmp_path / "a.pth"))
