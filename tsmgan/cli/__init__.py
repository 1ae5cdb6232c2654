"""The command line: one file a command, one place where an exception becomes a message and an exit code.

The command `export-onnx` is the function `export_onnx` in `tsmgan/cli/export_onnx.py`; a new command is such a file and a line
in COMMANDS. Files are imported when their command is asked for, and import whatever is heavy inside their function.

Exit codes: 0 done, 1 the task failed, 2 the command was wrong, 3 some recordings of a batch failed, 130 Ctrl-C, 141 nobody reads the
output pipe, 143 terminated.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import signal
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from tsmgan import __version__, stopping
from tsmgan.cli import console, streams
from tsmgan.errors import TsmganError, UsageError

COMMANDS = {
    "stretch": "Recordings",
    "fit": "Recordings",
    "map": "Recordings",
    "info": "Recordings",
    "manifest": "Recordings",
    "models": "Models",
    "train": "Models",
    "export-onnx": "Models",
    "evaluate": "Measures",
    "compare": "Measures",
    "listen": "Measures",
    "plot": "Measures",
    "benchmark": "Measures",
}
"""Every command in the order of the help, and the panel that it stands in there. Those whose file is missing do not exist."""
ENDS_AT_ONCE = ("stretch", "map", "info", "models")
"""Commands that a signal may end anywhere, since unfinished outputs are all that they leave; the rest unwind."""


class CommandFiles(TyperGroup):
    """A group that finds its commands in the files of this package."""

    _is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in COMMANDS if _exists(name)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS or not _exists(cmd_name):
            return None
        if cmd_name not in ENDS_AT_ONCE and not self._is_listing:
            stopping.unwind()
        function = getattr(importlib.import_module(f"{__name__}.{_function(cmd_name)}"), _function(cmd_name))
        if self._is_listing:
            return TyperCommand(cmd_name, help=inspect.getdoc(function), rich_help_panel=COMMANDS[cmd_name], rich_markup_mode="rich")
        holder = typer.Typer(add_completion=False, rich_markup_mode="rich")
        settings = {"help_option_names": ["-h", "--help"]}
        holder.command(cmd_name, rich_help_panel=COMMANDS[cmd_name], no_args_is_help=False, context_settings=settings)(function)
        command: Any = typer.main.get_command(holder)
        for option in command.params:
            if getattr(option, "is_flag", False):
                option.metavar = ""  # `--force <bool>` reads as if a value were wanted
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            from tsmgan.cli.suggestions import for_command

            raise UsageError(for_command(args, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        # The list shows the first sentence of each command; to read the options of all of them takes longer than everything else.
        self._is_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_listing = False

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Typer would make 1 of it; other filters end like this when nobody reads on (`| head`).
            raise stopping.Stopped(int(getattr(signal, "SIGPIPE", 13))) from None


def _function(command: str) -> str:
    return command.replace("-", "_")


def _exists(command: str) -> bool:
    return importlib.util.find_spec(f"{__name__}.{_function(command)}") is not None


app = typer.Typer(
    cls=CommandFiles,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tsmgan {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def tsmgan(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    debug: bool = typer.Option(False, "--debug", help="Show a traceback with an error; also as TSMGAN_DEBUG=1."),
) -> None:
    """Change the speed of a recording and keep its voice.

    [bold]Examples[/bold]

    [cyan]tsmgan stretch talk.wav --rate 1.5[/cyan]                [dim]faster: writes talk@1.5.wav[/dim]

    [cyan]tsmgan stretch song.flac --duration 3:30 -o out.mp3[/cyan]  [dim]to a length, in another format[/dim]

    [cyan]ffmpeg -i film.mp4 -f wav - | tsmgan stretch - --rate 0.8 -o slow.flac[/cyan]
    """


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """--debug is understood anywhere before a lone `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [argument for argument in arguments[:end] if argument != "--debug"] + arguments[end:]
    return rest, len(rest) < len(arguments) or os.environ.get("TSMGAN_DEBUG", "0") not in ("", "0")


def _require_words_to_complete() -> None:
    """Raise UsageError where a shell's request for completion, which comes in the environment, is none that can be answered."""
    asked = os.environ.get("_TSMGAN_COMPLETE")
    if not asked:
        return
    if not re.fullmatch("(source|complete)_(bash|zsh|fish|powershell|pwsh)", asked):
        raise UsageError(f"_TSMGAN_COMPLETE is {asked[:40]!r}, which no shell asks for; unset it.")
    if asked == "complete_bash" and not ("COMP_WORDS" in os.environ and re.fullmatch("[0-9]{1,9}", os.environ.get("COMP_CWORD", ""))):
        raise UsageError("_TSMGAN_COMPLETE asks for completion, and COMP_WORDS and COMP_CWORD do not say of what; unset it.")


def run(arguments: list[str]) -> int:
    """Run one command line, without the program's name, and return its exit code; errors have been printed then."""
    arguments, debug = _take_debug(arguments)
    command = typer.main.get_command(app)
    try:
        _require_words_to_complete()
        result = command.main(arguments or ["--help"], prog_name="tsmgan", standalone_mode=False)
        stopping.check()
        if sys.stdout is not None:
            sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except stopping.Stopped as stop:
        return _stopped(stop)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        try:
            stopping.check()
        except stopping.Stopped as stop:  # a library has made an error of it
            return _stopped(stop)
        if isinstance(error, BrokenPipeError):
            return _stopped(stopping.Stopped(int(getattr(signal, "SIGPIPE", 13))))
        if isinstance(error, streams.OutputError):
            _discard_output()
            console.error(f"Standard output cannot be written: {error.strerror}.")
            return 1
        if debug and not hasattr(error, "format_message"):
            raise
        if isinstance(error, TsmganError):
            console.error(str(error))
            return error.exit_code
        return _unexpected(error)


def _stopped(stop: stopping.Stopped) -> int:
    if stop.is_broken_pipe:
        _discard_output()
    else:
        console.say(stop.message, "yellow")
    return stop.exit_code


def _discard_output() -> None:
    # The interpreter must not flush to it again.
    sys.stdout = open(os.devnull, "w")


def _unexpected(error: Exception) -> int:
    """Wrong arguments as Typer finds them, a lack of memory, a missing package, or a mistake of this program."""
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "tsmgan"
        if hasattr(error, "option_name") and hasattr(error, "possibilities") and context is not None:
            from tsmgan.cli.suggestions import for_option

            options = [name for option in context.command.params if not getattr(option, "hidden", False) for name in option.opts]
            console.error(for_option(error.option_name, options, path))
            return 2
        message = error.format_message().strip().rstrip(".")
        console.error(f"{message}; see `{path} --help`.")
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, MemoryError):
        console.error("There is not enough memory; close other programs or work on a shorter recording.")
    elif isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("tsmgan"):
        from tsmgan.cli.suggestions import for_package

        console.error(for_package(error.name))
    else:
        text = " ".join(str(error).split())
        console.error(f"Internal error ({type(error).__name__}: {text}); run again with --debug and report what it shows.")
    return 1


def main() -> NoReturn:
    """Entry point of the installed program."""
    streams.prepare()
    columns = os.environ.get("COLUMNS", "").strip()
    if columns and not (columns.isdecimal() and 20 <= int(columns[:9]) <= 1000):  # nothing would be shown, or help takes minutes
        del os.environ["COLUMNS"]
    os.environ["MPLBACKEND"] = "agg"  # pictures go to files, and matplotlib refuses to start with a name that it does not know
    # No stage multiplies matrices in NumPy; threads for it would only take memory.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with stopping.handled():
        code = run(sys.argv[1:])
        try:
            sys.stdout.flush()
        except OSError:  # the reason has been told
            _discard_output()
    sys.exit(code)
