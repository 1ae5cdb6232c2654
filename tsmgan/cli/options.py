"""The options that commands take, each declared once. A command's function names them: `def plot(source: Source, rate: Rate = "1")`.

`tsmgan stretch` has many options, so its help sorts them into panels; what it shares with other commands is declared for both.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tsmgan.cli.numbers import number

HOW_FAST, HOW_HIGH, INPUT, SOUND, OUTPUT, SPEED, MESSAGES = "How fast", "How high", "Input", "Sound", "Output", "Speed", "Messages"
RAW_PANEL = "Raw samples (pipes, .raw, .pcm)"
BATCH_PANEL = "Many recordings"
FOLLOWERS = "What moves with the sound"


def _model_names(incomplete: str) -> list[str]:
    """For the shell's completion of --model."""
    from tsmgan.models import list_models

    return [model.name for model in list_models() if model.name.startswith(incomplete)]


# Of several commands.

Source = Annotated[str, typer.Argument(metavar="INPUT", help="Recording; - reads WAV from a pipe.", show_default=False)]
Rate = Annotated[str, typer.Option("--rate", "-r", metavar="R", help="Speed: 1.5 is faster, 0.8 slower; also a fraction, 90/120.")]
ComparedRate = Annotated[
    str | None,
    typer.Option("--rate", "-r", metavar="R", help="Speed: 1.5 is faster, 0.8 slower; also a fraction, 90/120.", show_default=False),
]
ComparedPitch = Annotated[
    str | None,
    typer.Option("--pitch", "-p", metavar="P", help="Semitones higher or lower: +2, -0.5, or a ratio, 3/2.", show_default=False),
]
Start = Annotated[str | None, typer.Option("--start", metavar="TIME", help="Where to begin, 90 or 1:30.5. Default: 0.", show_default=False)]


def _model(panel: str | None = None) -> Any:
    return typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        help="One of `tsmgan models`, a model folder, or an exported ONNX file.",
        rich_help_panel=panel,
        autocompletion=_model_names,
    )


def _force(panel: str | None = None) -> Any:
    return typer.Option("--force", "-f", help="Overwrite an existing output.", rich_help_panel=panel)


def _device(panel: str | None = None) -> Any:
    return typer.Option(
        "--device", metavar="DEVICE", help="auto, cpu, cuda, directml or coreml: what the network runs on.", rich_help_panel=panel
    )


def _threads(panel: str | None = None) -> Any:
    return typer.Option("--threads", metavar="N", help="Of the network on the CPU. Default: 1.", rich_help_panel=panel, show_default=False)


def _quiet(panel: str | None = None) -> Any:
    return typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=panel)


Model = Annotated[str, _model()]
Force = Annotated[bool, _force()]
Device = Annotated[str, _device()]
Threads = Annotated[int | None, _threads()]
Quiet = Annotated[bool, _quiet()]
TimeLimit = Annotated[
    float,
    typer.Option(
        "--time-limit", parser=number(0.1), metavar="SECONDS", help="Seconds that a method other than tsmgan may take for one file."
    ),
]

# Of `tsmgan stretch`.

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT...",
        help="Recording or URL; - reads WAV from a pipe. Several, a folder or a pattern make a batch.",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        help="File, folder/, URL, or - for a pipe. Default: beside the input, with the rate in its name.",
        show_default=False,
    ),
]
Rates = Annotated[
    str | None,
    typer.Option(
        "--rate",
        "-r",
        metavar="R",
        help="Speed: 1.5 is faster, 0.8 slower; also 90/120, or several: 0.9,1,1.1.",
        rich_help_panel=HOW_FAST,
    ),
]
Duration = Annotated[
    str | None,
    typer.Option("--duration", "-d", metavar="TIME", help="Length to reach: 90, 1:30.5 or 1:02:03.25.", rich_help_panel=HOW_FAST),
]
TimeMapFile = Annotated[
    str | None,
    typer.Option(
        "--time-map",
        "-t",
        metavar="CSV",
        help="Lines of `input second, output second`, counted from --start.",
        rich_help_panel=HOW_FAST,
    ),
]
Markers = Annotated[
    str | None,
    typer.Option(
        "--markers",
        metavar="CSV",
        help="Where points of the input must land: lines of `1:02.5, 0:58.0`; semicolons and 00:01:02,500 will do.",
        rich_help_panel=HOW_FAST,
    ),
]
Bpm = Annotated[
    str | None,
    typer.Option(
        "--bpm",
        metavar="[FROM:]TO",
        help="Beats per minute to reach, 80, or from one tempo to another, 92:80. Several make a practice set: 92:60,70,80.",
        rich_help_panel=HOW_FAST,
    ),
]
PauseText = Annotated[
    str | None,
    typer.Option(
        "--pauses",
        metavar="KEEP|first",
        help="Share of their length that pauses of speech keep, 0 to 1; first: to the same length, pauses give way before words do.",
        rich_help_panel=HOW_FAST,
        show_default=False,
    ),
]
SlotsFile = Annotated[
    str | None,
    typer.Option(
        "--slots",
        metavar="FILE",
        help="Captions (.srt, .vtt, .ass, .csv) with the times at which the lines of the recording shall be heard, or a folder of them.",
        rich_help_panel=HOW_FAST,
        show_default=False,
    ),
]
CaptionsFile = Annotated[
    str | None,
    typer.Option(
        "--captions",
        metavar="FILE",
        help="The recording's own captions, for --slots, or a folder of them. Default: those beside it.",
        rich_help_panel=HOW_FAST,
        show_default=False,
    ),
]


def _slowest(panel: str | None = None) -> Any:
    return typer.Option(
        "--slowest", metavar="R", help="Least rate of words in a slot. Default: 0.8.", rich_help_panel=panel, show_default=False
    )


def _fastest(panel: str | None = None) -> Any:
    return typer.Option(
        "--fastest", metavar="R", help="Greatest rate of words in a slot. Default: 1.6.", rich_help_panel=panel, show_default=False
    )


def _free_time(panel: str | None = None) -> Any:
    return typer.Option(
        "--free-time",
        metavar="TIME",
        help="How long a line may run on after its slot. Default: until the next one begins.",
        rich_help_panel=panel,
        show_default=False,
    )


def _report(panel: str | None = None) -> Any:
    return typer.Option(
        "--report",
        metavar="FILE",
        help="Write what became of each line, as .csv or .json; an ending alone: beside the output.",
        rich_help_panel=panel,
        show_default=False,
    )


Slowest = Annotated[str | None, _slowest()]
StretchSlowest = Annotated[str | None, _slowest(HOW_FAST)]
Fastest = Annotated[str | None, _fastest()]
StretchFastest = Annotated[str | None, _fastest(HOW_FAST)]
FreeTime = Annotated[str | None, _free_time()]
StretchFreeTime = Annotated[str | None, _free_time(HOW_FAST)]
Report = Annotated[str | None, _report()]
StretchReport = Annotated[str | None, _report(HOW_FAST)]
Subtitles = Annotated[
    list[str] | None,
    typer.Option(
        "--subtitles",
        metavar="FILE",
        help="Subtitles, lyrics, labels, times or a CUE sheet that move with the sound, beside the output. Repeatable.",
        rich_help_panel=FOLLOWERS,
        show_default=False,
    ),
]
WithSubtitles = Annotated[
    bool,
    typer.Option("--with-subtitles", help="Move such files that lie beside a recording and have its stem.", rich_help_panel=FOLLOWERS),
]
Pitch = Annotated[
    str | None,
    typer.Option(
        "--pitch",
        "-p",
        metavar="P",
        help="Semitones higher or lower: +2, -0.5 (50 cents), or a ratio, 3/2. Length stays, unless --rate is given too.",
        rich_help_panel=HOW_HIGH,
        show_default=False,
    ),
]
Tune = Annotated[
    str | None,
    typer.Option(
        "--tune",
        metavar="HZ:HZ",
        help="From one concert pitch to another: 440:432.",
        rich_help_panel=HOW_HIGH,
        show_default=False,
    ),
]
FormantsText = Annotated[
    str | None,
    typer.Option(
        "--formants",
        metavar="F",
        help="keep, follow (the pitch), or semitones, also without --pitch. Default: a voice's stay, an instrument's follow.",
        rich_help_panel=HOW_HIGH,
        show_default=False,
    ),
]
InputStart = Annotated[
    str | None,
    typer.Option("--start", metavar="TIME", help="Where in the input to begin: 90 or 1:30.5.", rich_help_panel=INPUT, show_default=False),
]
InputEnd = Annotated[
    str | None,
    typer.Option("--end", metavar="TIME", help="Where in the input to stop. Default: its end.", rich_help_panel=INPUT, show_default=False),
]
Track = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="The audio track of a film to stretch, and no other. Default: all, if the output can hold them.",
        rich_help_panel=INPUT,
        show_default=False,
    ),
]
Loop = Annotated[
    bool, typer.Option("--loop", help="The section repeats without a click: its end goes over into its start.", rich_help_panel=INPUT)
]
Salvage = Annotated[bool, typer.Option("--salvage", help="Use what is there of a recording that is cut short.", rich_help_panel=INPUT)]
Coherence = Annotated[
    float | None,
    typer.Option(
        parser=number(0, 1),
        metavar="0..1",
        help="Instead of the model's choice: 0 keeps tones (music), 1 keeps pulses (a voice).",
        rich_help_panel=SOUND,
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="For the generator's noise.", rich_help_panel=SOUND)]
GainText = Annotated[
    str,
    typer.Option(metavar="DB|auto", help="Louder or softer; auto: softer by just what would be cut off.", rich_help_panel=SOUND),
]
Subtype = Annotated[
    str | None,
    typer.Option(metavar="TYPE", help="PCM_16, PCM_24, FLOAT ... Default: the input's.", rich_help_panel=OUTPUT, show_default=False),
]
Bitrate = Annotated[
    float | None,
    typer.Option(
        parser=number(0),
        metavar="KBPS",
        help="Of mp3, ogg, opus, m4a ... Default: near the input's.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Raw = Annotated[bool, typer.Option("--raw", help="Pipes carry raw samples instead of WAV.", rich_help_panel=RAW_PANEL)]
RawRate = Annotated[
    int | None,
    typer.Option(metavar="HZ", help="Sample rate of raw input.", rich_help_panel=RAW_PANEL, show_default=False),
]
RawChannels = Annotated[
    int | None,
    typer.Option(metavar="N", help="Channels of raw input.", rich_help_panel=RAW_PANEL, show_default=False),
]
RawFormatName = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help="u8, s16le, s24le, s32le, f32le or f64le. Default: s16le in, the input's out.",
        rich_help_panel=RAW_PANEL,
        show_default=False,
    ),
]
FileList = Annotated[
    str | None,
    typer.Option("--list", metavar="FILE", help="Names of recordings, one a line; - reads them from a pipe.", rich_help_panel=BATCH_PANEL),
]
NameTemplate = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        help="Of outputs, with {stem}, {rate}, {pitch}, {ext}, {input_ext} and {folder}. Default: {stem}@{rate}{pitch}.{ext}",
        rich_help_panel=BATCH_PANEL,
        show_default=False,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        help="Processes, or workers of a cluster. Default: one a processor.",
        rich_help_panel=BATCH_PANEL,
        show_default=False,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ray[://HOST:PORT]",
        help="Make a batch on a Ray cluster, which reads and writes the files itself.",
        rich_help_panel=BATCH_PANEL,
        show_default=False,
    ),
]
StretchModel = Annotated[str, _model(SOUND)]
StretchForce = Annotated[bool, _force(OUTPUT)]
StretchDevice = Annotated[str, _device(SPEED)]
StretchThreads = Annotated[int | None, _threads(SPEED)]
StretchQuiet = Annotated[bool, _quiet(MESSAGES)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what is read and written.", rich_help_panel=MESSAGES)]
