"""Text files whose bytes stay as they are: encodings, byte order marks and line ends are read past and written back."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass

from tsmgan.errors import AudioError, UsageError
from tsmgan.storage.names import is_url

MOST_BYTES = 64 << 20
"""The longest subtitle files have a few megabytes."""
WESTERN_BONUS = 0.15
"""By so much messier a text may look in Windows-1252 than in the best encoding and is still taken for it."""
MARKS = (
    (codecs.BOM_UTF8, "latin-1"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, and the encoding that their text is edited in. The mark of UTF-32 begins as that of UTF-16 does."""


@dataclass(frozen=True)
class TextFile:
    """A text file that can be written back byte for byte.

    Times consist of ASCII characters. In UTF-8 and in every 8-bit encoding these stand for themselves, so such text is edited as
    Latin-1, in which each byte is one character: nothing is lost, whatever the encoding is, and even where it is broken.
    """

    name: str
    text: str
    """To be edited: times and marks of the format are legible, other characters may not be. Line ends are as they were."""
    mark: bytes
    """The byte order mark; empty without one."""
    codec: str

    def encoded(self, text: str) -> bytes:
        """An edited text as bytes of this file."""
        return self.mark + text.encode(self.codec, "surrogatepass" if self.codec.startswith("utf") else "strict")

    def legible(self) -> str:
        """The text as a person reads it. UTF-8 is recognised; another 8-bit encoding is guessed from the letters that it makes."""
        if self.codec != "latin-1":
            return self.text
        content = self.text.encode("latin-1")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return _guessed(content)


def _guessed(content: bytes) -> str:
    """Text of an 8-bit encoding. Short texts fit several alphabets of Latin letters; Western Europe's is then the likeliest."""
    from charset_normalizer import from_bytes

    matches = from_bytes(content)
    best = matches.best()
    western = [match for match in matches if "cp1252" in match.could_be_from_charset]
    if best is None or any(match.chaos <= best.chaos + WESTERN_BONUS for match in western):
        return content.decode("cp1252", "replace")
    return str(best)


def decode(name: str, content: bytes) -> TextFile:
    """Read a text file.

    Args:
        name: what messages call it.
        content: all of it.

    Raises:
        UsageError: it is no text.
    """
    mark, codec = next(((mark, codec) for mark, codec in MARKS if content.startswith(mark)), (b"", _codec(content)))
    try:
        text = content[len(mark) :].decode(codec, "surrogatepass" if codec.startswith("utf") else "strict")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(f"{name} is no text file; give subtitles, labels, a table of times or a CUE sheet.")
    return TextFile(name, text, mark, codec)


def _codec(content: bytes) -> str:
    """The encoding of text without a mark. UTF-16 is recognised by the zeros in its first characters, which are ASCII."""
    if len(content) >= 4 and len(content) % 2 == 0:
        if content[1] == content[3] == 0 and content[0] and content[2]:
            return "utf-16-le"
        if content[0] == content[2] == 0 and content[1] and content[3]:
            return "utf-16-be"
    return "latin-1"


def read(place: str) -> TextFile:
    """Read a text file from a path or URL.

    Raises:
        AudioError: it cannot be read.
        UsageError: it is no text, or absurdly long.
    """
    if is_url(place):
        from tsmgan.storage.remote import fetch

        with fetch(place) as copy:
            return decode(place, _content(copy.path, place))
    return decode(place, _content(place, place))


def _content(path: str, name: str) -> bytes:
    try:
        # A named pipe would be waited for without end.
        if os.path.exists(path) and not os.path.isfile(path):
            raise UsageError(f"{name} is no file; give a text file.")
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror or error}; check the name.") from None
    if len(content) > MOST_BYTES:
        raise UsageError(f"{name} has more than {MOST_BYTES >> 20} MB, which no file of subtitles or labels has; check the name.")
    return content
