"""Promises of files that appear together."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tsmgan.errors import AudioError
from tsmgan.storage.together import publish_together, require_all_free


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def fail() -> None:
    raise AudioError("no luck")


def test_all_files_are_there_when_what_they_belong_to_is(folder):
    order = []
    publish_together({"a.srt": b"one", "b.vtt": b"two"}, lambda: order.extend(names(folder)), replace=False)
    assert order == names(folder) == ["a.srt", "b.vtt"] and Path("a.srt").read_bytes() == b"one"


@pytest.mark.parametrize("existing", [None, b"precious"])
def test_none_of_them_is_left_when_it_cannot_be_published_and_what_was_replaced_is_back(folder, existing):
    if existing is not None:
        Path("a.srt").write_bytes(existing)
    with pytest.raises(AudioError, match="no luck"):
        publish_together({"a.srt": b"one", "b.vtt": b"two"}, fail, replace=True)
    assert names(folder) == ([] if existing is None else ["a.srt"])
    assert existing is None or Path("a.srt").read_bytes() == existing


def test_a_name_that_was_taken_meanwhile_is_left_alone_and_nothing_else_appears(folder):
    Path("b.vtt").write_bytes(b"precious")
    with pytest.raises(AudioError, match=r"b\.vtt exists already"):
        publish_together({"a.srt": b"one", "b.vtt": b"two"}, lambda: None, replace=False)
    assert names(folder) == ["b.vtt"] and Path("b.vtt").read_bytes() == b"precious"
    with pytest.raises(AudioError, match="exists already"):
        require_all_free(["a.srt", "b.vtt"], force=False)
    require_all_free(["a.srt", "b.vtt"], force=True)


def test_a_file_that_finds_no_room_keeps_all_of_them_away(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    published = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(AudioError, match="grew larger"):
            publish_together({"a.srt": b"one", "b.vtt": bytes(5000)}, lambda: published.append(1), replace=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(folder) == [] and not published


def test_files_behind_urls_appear_and_go_together_as_well(folder):
    pytest.importorskip("fsspec")
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe_file("/together/a.srt", b"precious")
    files = {"memory://together/a.srt": b"one", "memory://together/b.vtt": b"two"}
    with pytest.raises(AudioError, match="no luck"):
        publish_together(files, fail, replace=True)
    assert store.cat_file("/together/a.srt") == b"precious" and not store.exists("/together/b.vtt")
    publish_together(files, lambda: None, replace=True)
    assert store.cat_file("/together/a.srt") == b"one" and store.cat_file("/together/b.vtt") == b"two"
    store.rm("/together", recursive=True)
