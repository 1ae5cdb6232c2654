"""Where -o points to."""

from __future__ import annotations

import os
from pathlib import Path

from tsmgan.errors import AudioError
from tsmgan.storage.places import names_folder


def made_folder(output: str | None) -> Path | None:
    """What -o names, as a path; a folder that is named as one (`new/`) is made.

    Raises:
        AudioError: it cannot be made.
    """
    if output is None:
        return None
    if names_folder(output):
        try:
            os.makedirs(output, exist_ok=True)
        except OSError as error:
            raise AudioError(f"The folder {output} cannot be made: {error.strerror or error}; choose another with -o.") from None
    return Path(output)
