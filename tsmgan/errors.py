"""Every error that a user can cause or meet, each with the exit code it gives the command line.

A message is one sentence that says what is wrong and what to do; `tsmgan.cli` prints it, nothing else does.
"""


class TsmganError(Exception):
    """The task failed (exit code 1)."""

    exit_code = 1


class UsageError(TsmganError, ValueError):
    """An argument cannot be right, whatever the files hold (exit code 2)."""

    exit_code = 2


class AudioError(TsmganError, OSError):
    """A recording cannot be read or written."""


class ModelError(TsmganError):
    """A model folder is missing, incomplete or of another architecture."""
