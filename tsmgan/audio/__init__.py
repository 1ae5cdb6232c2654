"""Recordings in and out: files through libsndfile, more containers through PyAV, WAV and raw samples through pipes.

Readers give blocks shaped (channels, samples) with bounded memory, writers take them. Whatever is wrong with a recording becomes
a `tsmgan.errors.AudioError` of one sentence.

    with open_reader("talk.flac") as reader, open_writer("out.flac", reader.info) as writer:
        for block in reader.blocks():
            writer.write(block)
        writer.commit()
"""

from tsmgan.audio.formats import RawFormat
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.opening import count_frames, open_reader
from tsmgan.audio.reader import Reader
from tsmgan.audio.samples import Clipping
from tsmgan.audio.writer import Writer, open_writer

__all__ = ["AudioInfo", "Clipping", "RawFormat", "Reader", "Writer", "count_frames", "open_reader", "open_writer"]
