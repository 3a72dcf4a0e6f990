"""Pickles as data: what a checkpoint holds, without running anything that it asks for.

A pickle is a program that may call whatever it can name. Here each name becomes one of the few
inert classes below, or the file is refused. Nothing that a pickle can reach belongs to another
module, does anything when called, or keeps what is set on it.
"""

from __future__ import annotations

import builtins
import copyreg
import pickle
import re
import sys
from collections.abc import Callable
from typing import IO, Any, ClassVar, NamedTuple

import torch

from weights_convert.errors import ConversionError, UnsafeCheckpointError

__all__ = ["Entry", "StandIn", "Storage", "Unpickler"]

STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
    "UntypedStorage": torch.uint8,  # of tensors that say themselves of which type they are
}
DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}


def _ignore(*args: object, **kwargs: object) -> None:
    """What any change that a pickle makes to an object does: nothing."""


class StandIn:
    """Takes the place of a framework's class, function or object, and does nothing."""

    __slots__ = ()
    __setstate__ = __setitem__ = append = extend = add = _ignore

    def __new__(cls, *args: object, **kwargs: object) -> StandIn:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __call__(self, *args: object, **kwargs: object) -> StandIn:
        return self


class _Dict(dict[Any, Any]):
    """A mapping of any kind that takes no attributes, such as one in place of a method."""

    __slots__ = ()
    __setstate__ = append = extend = add = _ignore

    def __init__(self, *args: object, **kwargs: object) -> None:
        for content in args:  # others are no content, such as what makes a defaultdict's values
            if isinstance(content, dict | list):
                self.update(content)


class _Unknown(_Dict):
    """Takes the place of a class of another program: at most a dict, such as a kind of OrderedDict.

    Called with arguments it could be any function, so the file is refused.
    """

    __slots__ = ()
    asked: ClassVar[str]

    def __new__(cls, *args: object, **kwargs: object) -> _Unknown:
        if args or kwargs:
            raise _unsafe(cls.asked)
        return super().__new__(cls)


class _Mention(StandIn):
    """Takes the place of a network's class or function, which may be named but not made."""

    __slots__ = ()
    asked: ClassVar[str]

    def __new__(cls, *args: object, **kwargs: object) -> _Mention:
        raise _unsafe(cls.asked)


def _unsafe(name: str) -> UnsafeCheckpointError:
    shown = ascii(name[:200])[1:-1]  # nothing that a terminal would act on
    return UnsafeCheckpointError(
        f"it asks for {shown}, which is no part of a state dict; nothing of it was run. If you "
        "trust the file, save its state dict alone with torch.save and convert that"
    )


class Storage(NamedTuple):
    """The memory of one or more tensors, still in the file."""

    kind: str  # a key of STORAGES
    key: str
    size: int  # in elements

    @property
    def nbytes(self) -> int:
        return self.size * STORAGES[self.kind].itemsize


class Entry:
    """A tensor yet to be made; called as `_rebuild_tensor_v2` would be."""

    __slots__ = ("dtype", "offset", "shape", "storage", "stride")
    __setstate__ = _ignore

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any, *rest: object) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride
        self.dtype = STORAGES[storage.kind]
        # Gradients, hooks, then what the numbers alone do not tell.
        if any(rest[2:3]):
            raise ConversionError("expected plain tensors, found a conjugated or negated one")


class _TypedEntry(Entry):
    """Called as `_rebuild_tensor_v3` would be, with the type separate from the memory."""

    __slots__ = ()

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any, *rest: object) -> None:
        _, _, dtype, *more = rest
        super().__init__(storage, offset, shape, stride, None, None, *more)
        self.dtype = DTYPES[str(dtype)]


class _Parameter:
    """Called as `_rebuild_parameter` would be; gives what it wraps."""

    __slots__ = ()
    __setstate__ = _ignore

    def __new__(cls, data: Any, *rest: object) -> Any:
        return data


class _Size:
    """Called as `torch.Size` would be; gives the tuple that it is made from."""

    __slots__ = ()
    __setstate__ = _ignore

    def __new__(cls, content: object = (), *rest: object) -> Any:
        return content


class _WithAttributes:
    """Called as `_rebuild_from_type_v2` would be; gives the tensor without its attributes."""

    __slots__ = ()
    __setstate__ = _ignore

    def __new__(cls, make: Any, kind: object, arguments: Any, *rest: object) -> Any:
        if make not in (Entry, _TypedEntry, _Parameter):
            raise ConversionError("expected plain tensors, found one of another kind")
        return make(*arguments)


_BUILDERS: dict[tuple[str, str], Any] = {
    ("collections", "Counter"): _Dict,
    ("collections", "OrderedDict"): _Dict,
    ("collections", "defaultdict"): _Dict,
    ("torch", "Size"): _Size,
    ("torch._tensor", "_rebuild_from_type_v2"): _WithAttributes,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _Parameter,
    ("torch._utils", "_rebuild_tensor"): Entry,
    ("torch._utils", "_rebuild_tensor_v2"): Entry,
    ("torch._utils", "_rebuild_tensor_v3"): _TypedEntry,
}

# Anything of these packages becomes a stand-in.
_FRAMEWORK_MODULE = re.compile(
    r"(accelerate|addict|attr|box|deepspeed|detectron2|easydict|fvcore|hydra|lightning"
    r"|lightning_fabric|lightning_utilities|ml_collections|mmaction|mmcls|mmcv|mmdeploy|mmdet"
    r"|mmengine|mmpose|mmpretrain|mmseg|mmyolo|munch|omegaconf|pandas|pydantic|pytorch_lightning"
    r"|timm|torchmetrics|transformers|xtcocotools|yacs|yapf|torch\.(amp|cuda\.amp|optim))(\.\w+)*"
)
# A dotted name has to be a member of a class, as `HistoryBuffer.min` is and `os.system` is not.
_FRAMEWORK_NAME = re.compile(r"\w+|_*[A-Z]\w*(\.\w+)+")
# These are mappings, whose content counts: the state dict may be one, or lie in one.
_FRAMEWORK_DICT = re.compile(r"\w*Dict|Munch|CfgNode")
_NUMPY_MODULE = re.compile(r"numpy(\.(_?core|random)\.\w+|\.dtypes|\.ma|\.ma\.core|\.rec)?")
_NETWORK_MODULE = re.compile(r"torch\.nn(\.\w+)*|torch\._C\._nn")
# So do these. Bytes, sets and methods are written as calls of builtins and `_codecs`.
_HARMLESS = {
    "_codecs": {"encode"},
    "_io": {"BytesIO", "StringIO"},
    "argparse": {"Namespace"},
    "array": {"_array_reconstructor", "array"},
    "builtins": {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr"}
    | {"int", "list", "long", "object", "range", "set", "slice", "str", "tuple", "unicode"}
    | {"xrange", "Ellipsis", "NotImplemented"}
    | {name for name in vars(builtins) if name.endswith(("Error", "Exception"))},
    "collections": {"ChainMap", "IterableUserDict", "UserDict", "UserList", "UserString", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Context", "Decimal"},
    "fractions": {"Fraction"},
    "functools": {"partial"},
    "http": {"HTTPMethod", "HTTPStatus"},
    "ipaddress": {f"IPv{n}{kind}" for n in (4, 6) for kind in ("Address", "Interface", "Network")},
    "logging": {"getLogger"},
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"},
    "random": {"Random"},
    "re": {"RegexFlag", "_compile"},
    "signal": {"Signals"},
    "time": {"struct_time"},
    "torch": {"Generator", "Tensor", "device"}
    | {
        name
        for name, value in vars(torch).items()
        if isinstance(value, torch.layout | torch.memory_format | torch.qscheme)
    },
    "torch._C": {"Generator"},
    "torch.nn.parameter": {"Buffer", "Parameter"},
    "torch.serialization": {"_get_layout"},
    "torch.torch_version": {"TorchVersion"},
    "types": {"SimpleNamespace"},
    "uuid": {"SafeUUID", "UUID"},
    "zoneinfo": {"ZoneInfo"},
}
_HARMLESS["pathlib._local"] = _HARMLESS["pathlib"]  # as Python 3.13 has them
# As protocol 2 has them.
_RENAMED = {"__builtin__": "builtins", "exceptions": "builtins", "UserDict": "collections"}


_DEEPEST = 100  # of tuples in tuples; Python computes the hash of a deeper one until it crashes


def _counted(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def load_tuple(unpickler: Unpickler) -> None:
        load(unpickler)
        unpickler.count_depth()

    return load_tuple


# The one in Python, because the one in C takes memory for as many objects as a pickle announces.
class Unpickler(pickle._Unpickler):
    """Knows no names but those above.

    Attributes:
        storages: the storages that tensors use, by key.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, Storage] = {}
        self._nested: dict[int, tuple[int, object]] = {}  # tuples with tuples in them, by identity

    dispatch = pickle._Unpickler.dispatch | {
        code[0]: _counted(pickle._Unpickler.dispatch[code[0]])
        for code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
    }

    def count_depth(self) -> None:
        """Refuses tuples in tuples in tuples without end."""
        made = self.stack[-1]  # type: ignore[attr-defined]
        inner = [self._nested.get(id(item), (1,))[0] for item in made if type(item) is tuple]
        if inner:
            depth = max(inner) + 1
            if depth > _DEEPEST:
                raise ConversionError("expected plain data, found tuples in tuples without end")
            self._nested[id(made)] = (depth, made)

    def load(self) -> Any:
        """The next object of the file, in which each tensor is an `Entry`.

        Raises:
            UnsafeCheckpointError: it asks for anything other than data.
            ConversionError: tensors that are not plain.
        """
        # Names that the program registered for opcodes EXT1 to EXT4 must come by find_class too.
        copyreg.clear_extension_cache()
        try:
            return super().load()
        finally:
            copyreg.clear_extension_cache()

    def find_class(self, module: str, name: str) -> Any:
        module = _RENAMED.get(module, module)
        if (module, name) in _BUILDERS:
            return _BUILDERS[module, name]
        if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGES:
            return name
        if module == "torch" and name in DTYPES:
            return name
        if name in _HARMLESS.get(module, ()):
            return StandIn
        if _FRAMEWORK_MODULE.fullmatch(module) and _FRAMEWORK_NAME.fullmatch(name):
            return _Dict if _FRAMEWORK_DICT.fullmatch(name) else StandIn
        if _NUMPY_MODULE.fullmatch(module) and "." not in name:
            return StandIn
        asked = f"{module}.{name}"
        if module.startswith("torch.") and name.startswith("_rebuild_"):
            raise ConversionError(
                f"expected plain tensors, found sparse, quantised or other ones ({asked[:200]!a})"
            )
        if _NETWORK_MODULE.fullmatch(module):
            return type("Mention", (_Mention,), {"asked": asked, "__slots__": ()})
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names or package in ("numpy", "torch"):
            raise _unsafe(asked)
        return type("Unknown", (_Unknown,), {"asked": asked, "__slots__": ()})

    def persistent_load(self, pid: Any) -> Storage:
        match pid:
            case ("storage", str(kind), str(key), _, int(size), *view) if kind in STORAGES:
                if size >= 0 and view in ([], [None]):
                    storage = Storage(kind, key, size)
                    self.storages.setdefault(key, storage)
                    return storage
        raise ConversionError("expected the storage of a plain tensor, found another reference")
