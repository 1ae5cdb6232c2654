"""Kernels: loops over arrays that numba compiles once, and that later processes run without numba.

Importing numba takes a third of a second, and reading kernels from numba's own cache takes longer still. That is more than stretching a
short recording takes. So the machine code that numba makes is kept in a small file. A later process needs only llvmlite's linker to put it
into memory, and calls it through ctypes, without the interpreter's lock. It is the code that numba would run, so results are equal bit for
bit. `docs/start-up.md` has the figures.

A kernel fills arrays that its caller made. It returns nothing, allocates nothing and raises nothing, because it is compiled without numba's
memory management and without wrappers for Python. Compiling those would make a first run slower.

A file is used only if it is whole (a checksum), is not a link, can be written or replaced only by this user and the system's user, and was
made from the same code, by the same numba, for the same processor. Otherwise the kernel is compiled again. Where the internals of numba or
of the linker are not as expected, numba's dispatcher does the work as usual.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import hashlib
import itertools
import json
import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from tsmgan.errors import TsmganError

FORMAT = "tsmgan kernel 1"
"""Version of the files' format. It is part of the key, so files of another version are never used."""
LARGEST_BYTES = 1 << 24
"""Size of the largest file that is read."""
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CHECKSUM_BYTES = hashlib.sha256().digest_size
_C_TYPES = {"f4": ctypes.c_float, "f8": ctypes.c_double, "i8": ctypes.c_int64}
"""The C type in which a number is passed, by its NumPy type."""
_LLVM_TYPES = {ctypes.c_float: "float", ctypes.c_double: "double", ctypes.c_int64: "i64", ctypes.c_void_p: "pointer"}
_CONTIGUOUS, _ALIGNED, _WRITEABLE = 0x1, 0x100, 0x400
"""Bits of an array's `flags.num`, as in NumPy's `ndarraytypes.h`."""
_SUCCESS = (0, -2)
"""Status codes of numba's functions without an error: for a result, and for None."""

partner: Callable[[Kernel], bool] | None = None
"""Called before a kernel is compiled. True means that another process has just compiled it and written its file."""
seconds_compiling = 0.0
"""Seconds that this process has compiled kernels, or has waited for other processes to compile them."""
_only: tuple[str, ...] | None = None
_numbers = itertools.count()
_lock = threading.RLock()
_building = threading.local()


class Helper:
    """A function that kernels call. For Python and for other numba functions it is an ordinary numba function."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.function, self.options = function, options

    def __call__(self, *arguments: Any) -> Any:
        return self.dispatcher(*arguments)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The function as an ordinary numba function."""
        return _numba().njit(cache=True, nogil=True, **self.options)(self.function)

    @functools.cached_property
    def lean_dispatcher(self) -> Any:
        """The function without Python wrappers and without memory management, for machine code that is kept."""
        lean: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
        return _numba().njit(nogil=True, **lean, **self.options)(self.function)

    @property
    def _numba_type_(self) -> Any:
        # numba reads this attribute of every global that a function names.
        return (self.lean_dispatcher if getattr(_building, "lean", False) else self.dispatcher)._numba_type_


class Kernel(Helper):
    """A function that Python calls; its machine code is kept in a file."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(function, options)
        self._natives: dict[tuple[str | None, ...], Callable[..., None]] = {}

    def __call__(self, *arguments: Any) -> None:
        types = tuple(map(_type_name, arguments))
        if _only is not None:
            if self.function.__module__ in _only:
                self._native(types)
            return
        native = self._natives.get(types)
        if native is None:
            with _lock:
                native = self._natives.setdefault(types, self._native(types))
        native(*arguments)

    def _native(self, types: tuple[str | None, ...]) -> Callable[..., None]:
        if None in types:
            return self.dispatcher
        names = [name for name in types if name]
        try:
            key = _digest(*_environment(), json.dumps([FORMAT, names]))
            file_name = f"{self.function.__module__}.{self.function.__name__}-{key[:16]}.kernel"
            key = _digest(key, *_meaning(self))
            found = _read(file_name, key)
            if found is None:
                with _timed():
                    if partner is not None and partner(self):
                        found = _read(file_name, key)
                    symbol, code = found or _compile(self, names)
            if found is not None:
                return _linked(*found, names)
            native = _linked(symbol, code, names)
            _write(file_name, key, symbol, code)
        except Exception:  # whatever fails inside numba or the linker, numba's dispatcher still works
            return self.dispatcher
        return native


def kernel(**options: Any) -> Callable[[Callable[..., None]], Kernel]:
    """Make a Kernel of a function that fills arrays. The options are those of numba.njit that change what is computed."""
    return lambda function: Kernel(function, options)


@contextmanager
def only_compiling(modules: Sequence[str]) -> Iterator[None]:
    """A context in which calling a kernel of these modules compiles it, and no kernel runs."""
    global _only
    _only = tuple(modules)
    try:
        yield
    finally:
        _only = None


@contextmanager
def _timed() -> Iterator[None]:
    global seconds_compiling
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds_compiling += time.perf_counter() - started


def helper(**options: Any) -> Callable[[Callable[..., Any]], Helper]:
    """Make a Helper of a function that kernels call. The options are those of numba.njit that change what is computed."""
    return lambda function: Helper(function, options)


# Types and arguments


def _type_name(argument: Any) -> str | None:
    """`f4` for a number; `c8 3 C` for an array of three dimensions, where C means contiguous and A means any layout; else None."""
    if isinstance(argument, np.ndarray):
        return _array_name(argument.dtype, argument.ndim, argument.flags.num)
    if isinstance(argument, (bool, np.bool_)):
        return None
    if isinstance(argument, (int, np.int64)):
        return "i8"
    if isinstance(argument, np.float32):
        return "f4"
    return "f8" if isinstance(argument, float) else None


@functools.lru_cache(maxsize=1024)
def _array_name(dtype: np.dtype[Any], dimensions: int, flags: int) -> str | None:
    if not (flags & _ALIGNED and flags & _WRITEABLE and dtype.isnative):
        return None
    return f"{dtype.str[1:]} {dimensions} {'C' if flags & _CONTIGUOUS else 'A'}"


def _c_types(names: list[str]) -> list[Any]:
    """C types of a native function's arguments: the addresses for the result and the error, then the types of each argument."""
    types: list[Any] = [ctypes.c_void_p, ctypes.c_void_p]
    for name in names:
        if " " in name:
            # numba passes an array as owner, parent, items, bytes per item, data, shape and strides.
            sizes = [ctypes.c_int64] * (2 * int(name.split()[1]))
            types += [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, *sizes]
        else:
            types.append(_C_TYPES[name])
    return types


def _values(arguments: tuple[Any, ...]) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            yield from (None, None, argument.size, argument.itemsize, _address(argument), *argument.shape, *argument.strides)
        else:
            yield argument


def _address(array: np.ndarray) -> int:
    """Where an array's data begins. A run of frames passes a hundred arrays, and for most of them this takes a fifth of NumPy's own way."""
    if array.size and array.flags.c_contiguous:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    return int(array.ctypes.data)


# Compiling and linking


def _numba() -> Any:
    """The compiler, as a module.

    Raises:
        TsmganError: it is there and does not start; the environment can keep it from that.
    """
    try:
        import numba
    except ImportError:
        raise
    except Exception as error:
        reason = str(error).rstrip(".")
        raise TsmganError(
            f"The compiler numba does not start ({reason}); look at the environment variables whose names begin with NUMBA_."
        ) from error
    return numba


def _compile(kernel: Kernel, names: list[str]) -> tuple[str, bytes]:
    """A kernel's symbol and its machine code for arguments of these types."""
    collects = gc.isenabled()
    gc.disable()  # collections would walk over all of numba's objects, which takes a sixth of the time
    _building.lean = True
    try:
        return _machine_code(kernel, names)
    finally:
        _building.lean = False
        if collects:
            gc.enable()


def _machine_code(kernel: Kernel, names: list[str]) -> tuple[str, bytes]:
    from numba import from_dtype, types

    def numba_type(name: str) -> Any:
        dtype, *array = name.split()
        scalar: Any = from_dtype(np.dtype(dtype))
        return types.Array(scalar, int(array[0]), "C" if array[1] == "C" else "A") if array else scalar

    signature = tuple(map(numba_type, names))
    kernel.lean_dispatcher.compile(signature)
    compiled = kernel.lean_dispatcher.overloads[signature]
    if compiled.signature.return_type != types.none:
        raise TypeError(f"{kernel.function.__name__} returns a value.")
    symbol = compiled.fndesc.llvm_func_name
    expected = [_LLVM_TYPES[each] for each in _c_types(names)]
    passed = [str(each.type) for each in compiled.library.get_function(symbol).arguments]
    if [("pointer" if each.endswith("*") or each == "ptr" else each) for each in passed] != expected:
        raise TypeError(f"numba passes {passed}.")
    _, kind, content = compiled.library.serialize_using_object_code()
    if kind != "object":
        raise TypeError(f"numba keeps {kind}.")
    return symbol, bytes(content[0])


@functools.lru_cache(maxsize=1)
def _linker() -> Any:
    import llvmlite.binding as llvm

    try:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    except RuntimeError:  # newer releases do this by themselves
        pass
    return llvm.create_lljit_compiler(llvm.Target.from_default_triple().create_target_machine())


def _linked(symbol: str, code: bytes, names: list[str]) -> Callable[..., None]:
    """A function that calls machine code, which stays in memory as long as the process. Raises RuntimeError where a symbol is missing."""
    import llvmlite.binding as llvm

    library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(symbol)
    tracker = library.link(_linker(), f"kernel {next(_numbers)}")
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *_c_types(names))(tracker[symbol])
    result, error = ctypes.c_void_p(), ctypes.c_void_p()
    to_result, to_error = ctypes.addressof(result), ctypes.addressof(error)

    def call(*arguments: Any) -> None:
        if function(to_result, to_error, *_values(arguments)) not in _SUCCESS:
            raise ArithmeticError(f"The kernel {symbol} failed.")

    call.keeps = tracker, result, error  # type: ignore[attr-defined]
    return call


# What machine code depends on


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@functools.lru_cache(maxsize=1)
def _environment() -> tuple[str, ...]:
    """Versions and settings of interpreter, compiler and processor, found without importing the compiler."""
    import llvmlite
    import llvmlite.binding as llvm

    numba = find_spec("numba")
    version = Path(numba.origin or "").with_name("_version.py").read_text() if numba is not None else ""
    settings = {name: value for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_") and name != "NUMBA_CACHE_DIR"}
    processor = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_process_triple()
    return (str(sys.implementation.cache_tag), llvmlite.__version__, version, json.dumps(settings), *processor)


def _meaning(helper: Helper) -> Iterator[str]:
    """All that a function is compiled from: its instructions, its options, and the values and functions that it names."""
    yield from _code(helper.function.__code__)
    yield json.dumps({name: sorted(value) if isinstance(value, set) else value for name, value in helper.options.items()}, sort_keys=True)
    for name in helper.function.__code__.co_names:
        value = helper.function.__globals__.get(name)
        if isinstance(value, Helper):
            yield from _meaning(value)
        elif isinstance(value, (int, float, tuple, np.generic)):
            yield f"{name} {value!r}"


def _code(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:
            yield repr(constant)


# Files


def _folders() -> Iterator[Path]:
    """Folders that keep machine code, chosen as numba does: the one the user names, else beside the package, or the user's cache."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        yield Path(named) / "tsmgan"
        return
    yield Path(__file__).with_name("__pycache__")
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        yield (Path(local) if local else Path.home() / "AppData" / "Local") / "tsmgan" / "kernels"
    elif sys.platform == "darwin":
        yield Path.home() / "Library" / "Caches" / "tsmgan"
    else:
        chosen = os.environ.get("XDG_CACHE_HOME", "")
        yield (Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache") / "tsmgan"


def _read(name: str, key: str) -> tuple[str, bytes] | None:
    """Symbol and machine code of a file in one of the folders. None if no folder holds a sound file."""
    for folder in _safe_folders():
        try:
            if not _is_own_folder(folder):
                continue
            # The target of a link was written for another purpose, and opening a FIFO would block.
            with open(os.open(folder / name, os.O_RDONLY | _NO_LINKS), "rb") as file:
                if not _is_own_file(os.fstat(file.fileno())):
                    continue
                content = file.read(LARGEST_BYTES)
        except OSError:
            continue
        checksum, rest = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
        if hashlib.sha256(rest).digest() != checksum:
            continue
        head, _, code = rest.partition(b"\n")
        told = json.loads(head)
        if told["key"] == key:
            return told["symbol"], code
    return None


def _is_own_file(status: os.stat_result) -> bool:
    """Whether only this user and the system's user can have written a file."""
    if not stat.S_ISREG(status.st_mode):
        return False
    return not hasattr(os, "getuid") or (status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o022)


def _is_own_folder(folder: Path) -> bool:
    """Whether only this user and the system's user can put files into a folder, or replace the folder. It must exist.

    Raises:
        OSError: it does not.
    """
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not hasattr(os, "getuid"):
        return True  # Windows: the folders are the user's own
    if status.st_uid not in (os.getuid(), 0) or _is_open_to_others(status):
        return False
    if folder.parent == Path(__file__).parent:
        return True  # whoever can write here can change the package itself
    for above in {*folder.absolute().parents, *folder.parent.resolve().parents, folder.parent.resolve()}:
        status = os.lstat(above)
        if status.st_uid not in (os.getuid(), 0):
            return False
        if stat.S_ISDIR(status.st_mode) and not status.st_mode & stat.S_ISVTX and _is_open_to_others(status):
            return False
    return True


def _is_open_to_others(status: os.stat_result) -> bool:
    """Whether others can put files into a folder. Many systems give each user a private group, which may write."""
    return bool(status.st_mode & 0o002) or (bool(status.st_mode & 0o020) and not _is_private(status.st_gid))


@functools.lru_cache(maxsize=8)
def _is_private(group: int) -> bool:
    """Whether a group is this user's private group."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}


def _write(name: str, key: str, symbol: str, code: bytes) -> None:
    """Write machine code to the first folder that can be written, or nowhere if none can."""
    rest = json.dumps({"key": key, "symbol": symbol}).encode() + b"\n" + code
    content = hashlib.sha256(rest).digest() + rest
    for folder in _safe_folders():
        temporary = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_own_folder(folder):
                continue
            number, temporary = tempfile.mkstemp(prefix=f".{name}-", dir=folder)  # only this user may read or write it
            with open(number, "wb") as file:
                file.write(content)
            os.replace(temporary, folder / name)  # atomic, because other processes may be reading or writing the same file
            return
        except OSError:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)


def can_keep() -> bool:
    """Whether machine code can be written to any folder."""
    for folder in _safe_folders():
        existing = next((each for each in (folder, *folder.parents) if each.exists()), None)
        if existing is not None and existing.is_dir() and os.access(existing, os.W_OK):
            if existing != folder or _is_own_folder(folder):
                return True
    return False


def _safe_folders() -> Iterator[Path]:
    try:
        yield from _folders()
    except RuntimeError:  # the user has no home folder
        return
