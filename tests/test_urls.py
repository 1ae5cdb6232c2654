"""Promises about URLs: what paths can do they can, outputs appear whole or not at all, and nobody meets fsspec who gave none."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import soundfile
from batch_helpers import checksums, temporary_files, write_recording, write_tree

from tsmgan.batch.plan import is_pattern
from tsmgan.cli import run
from tsmgan.storage import names
from tsmgan.storage.atomic import NAME

fsspec = pytest.importorskip("fsspec")
TSMGAN = [sys.executable, "-m", "tsmgan"]


@pytest.fixture
def temporary(folder, monkeypatch):
    """Where copies are kept for a while."""
    from tsmgan.storage import remote

    (folder / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
    remote._tidy_up.cache_clear()
    return folder / "temporary"


@pytest.fixture
def memory(temporary):
    """The file system behind memory://, with one recording in it."""
    file_system = fsspec.filesystem("memory")
    write_recording(Path("take.wav"))
    file_system.pipe_file("/in/take.wav", Path("take.wav").read_bytes())
    yield file_system
    file_system.store.clear()
    file_system.pseudo_dirs[:] = [""]


@pytest.fixture
def shelf(folder, monkeypatch):
    """The folder behind shelf://, with a tree in it. Programs that are started know the scheme; this process does not."""
    from shelf import write_plugin

    write_plugin(folder / "plugin")
    (folder / "temporary").mkdir()
    monkeypatch.setenv("SHELF", str(folder / "shelf"))
    monkeypatch.setenv("TMPDIR", str(folder / "temporary"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "plugin"), *filter(None, sys.path)]))
    write_tree(folder / "shelf/in", 6)
    return folder / "shelf"


def stretch(*arguments: str, expect: int = 0) -> str:
    """Run a batch as a program, and return what it says."""
    result = subprocess.run([*TSMGAN, "stretch", *arguments, "--jobs", "1"], capture_output=True, text=True)
    assert result.returncode == expect, result.stderr
    return result.stderr


def manifest(shelf) -> list[dict]:
    return [entry for entry in map(json.loads, (shelf / "out/manifest.jsonl").read_text().splitlines()) if "started" not in entry]


def test_a_recording_behind_a_url_becomes_what_it_becomes_as_a_file(memory, temporary):
    assert run(["stretch", "take.wav", "-r", "1.3", "-o", "here.flac", "-q"]) == 0
    assert run(["stretch", "memory://in/take.wav", "-r", "1.3", "-o", "memory://out/there.flac", "-q"]) == 0
    assert memory.cat_file("/out/there.flac") == Path("here.flac").read_bytes()
    assert run(["stretch", "memory://in/take.wav", "-d", "1", "-o", "here.wav", "-q"]) == 0
    assert soundfile.info("here.wav").frames == 8000
    assert not temporary_files(temporary), "a copy was left"


def test_the_output_goes_beside_the_url_or_into_the_folder_behind_one(memory):
    assert run(["stretch", "memory://in/take.wav", "-r", "2", "-q"]) == 0
    assert run(["stretch", "take.wav", "-r", "2", "-o", "memory://out/", "-q"]) == 0
    assert run(["stretch", "memory://in/take.wav", "-r", "2", "-o", ".", "-q"]) == 0
    assert memory.cat_file("/in/take@2.wav") == memory.cat_file("/out/take@2.wav") == Path("take@2.wav").read_bytes()


def test_info_describes_what_is_behind_a_url(memory, capsys):
    assert run(["info", "memory://in/take.wav", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["name"], facts["frames"], facts["samplerate"]) == ("memory://in/take.wav", 4000, 8000)


def test_a_file_url_is_a_path(folder):
    write_recording(folder / "two words.wav")
    assert run(["stretch", f"file://{folder}/two%20words.wav", "-r", "2", "-o", f"file://localhost{folder}/out.wav", "-q"]) == 0
    assert soundfile.info("out.wav").frames == 2000


def test_what_is_behind_a_url_is_replaced_only_with_force(memory, capsys):
    memory.pipe_file("/out.wav", b"precious")
    command = ["stretch", "take.wav", "-r", "2", "-o", "memory://out.wav", "-q"]
    assert run(command) == 1 and "exists already" in capsys.readouterr().err and memory.cat_file("/out.wav") == b"precious"
    assert run([*command, "--force"]) == 0 and memory.size("/out.wav") == Path("take.wav").stat().st_size - 4000


def test_an_output_that_somebody_else_put_there_meanwhile_is_kept(memory, monkeypatch, capsys):
    put_file = type(memory).put_file

    def put_and_lose(self, here, there, **options):
        put_file(self, here, there, **options)
        self.pipe_file("/out.wav", b"precious")

    monkeypatch.setattr(type(memory), "put_file", put_and_lose)
    assert run(["stretch", "take.wav", "-r", "2", "-o", "memory://out.wav", "-q"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert memory.cat_file("/out.wav") == b"precious" and set(memory.find("/")) == {"/in/take.wav", "/out.wav"}


def test_an_output_has_another_name_until_its_last_byte_is_there(memory, monkeypatch):
    seen, put_file = [], type(memory).put_file

    def put_and_look(self, here, there, **options):
        put_file(self, here, there, **options)
        seen.append((there, self.exists("/out/take@2.wav")))

    monkeypatch.setattr(type(memory), "put_file", put_and_look)
    assert run(["stretch", "take.wav", "-r", "2", "-o", "memory://out/take@2.wav", "-q"]) == 0
    ((name, was_there),) = seen
    assert NAME.fullmatch(name.rpartition("/")[2]) and not was_there and set(memory.find("/out")) == {"/out/take@2.wav"}


def test_object_stores_get_whole_objects_at_once_and_refuse_taken_names_themselves(memory, monkeypatch):
    from tsmgan.storage import remote

    monkeypatch.setattr(remote, "OBJECT_STORES", {"memory"})
    seen, put_file = [], type(memory).put_file

    def put_and_look(self, here, there, mode="overwrite", **options):
        seen.append((there, mode))
        put_file(self, here, there, **options)

    monkeypatch.setattr(type(memory), "put_file", put_and_look)
    for options in ([], ["--force"]):
        assert run(["stretch", "take.wav", "-r", "2", "-o", "memory://out/take.wav", "-q", *options]) == 0
    assert seen == [("/out/take.wav", "create"), ("/out/take.wav", "overwrite")]


@pytest.mark.parametrize("step", ["put_file", "mv"])
def test_a_connection_that_breaks_leaves_one_sentence_and_no_output(memory, temporary, monkeypatch, capsys, step):
    def breaks(self, here, there, *rest, **options):
        self.pipe_file(there, b"half of i")
        raise ConnectionResetError("connection reset")

    monkeypatch.setattr(type(memory), step, breaks)
    if step == "mv":
        monkeypatch.setattr(type(memory), step, lambda self, here, there: (_ for _ in ()).throw(ConnectionResetError("connection reset")))
    assert run(["stretch", "take.wav", "-r", "2", "-o", "memory://out/take.wav", "-q"]) == 1
    shown = capsys.readouterr().err
    assert "memory://out/take.wav cannot be written (ConnectionResetError: connection reset)" in shown and shown.count("\n") == 1
    assert set(memory.find("/")) == {"/in/take.wav"} and not temporary_files(temporary)


def test_a_recording_that_is_fetched_in_part_is_not_stretched(memory, temporary, monkeypatch, capsys):
    monkeypatch.setattr(type(memory), "get_file", lambda self, there, here: Path(here).write_bytes(self.cat_file(there)[:3000]))
    assert run(["stretch", "memory://in/take.wav", "-r", "2", "-o", "out.wav", "-q"]) == 1
    assert "broke off after 3000 of 8044 bytes" in capsys.readouterr().err
    assert not Path("out.wav").exists() and not temporary_files(temporary)


def test_a_damaged_recording_behind_a_url_is_called_by_its_url(memory, temporary, capsys):
    memory.pipe_file("/in/bad.wav", b"Dear diary,\n" * 50)
    assert run(["stretch", "memory://in/bad.wav", "-r", "2", "-o", "out.wav"]) == 1
    assert "memory://in/bad.wav is a text file" in capsys.readouterr().err and not temporary_files(temporary)


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["memory://in/none.wav"], 1, "memory://in/none.wav does not exist"),
        (["memory://in/none*.wav", "-o", "out"], 1, "No recording fits memory://in/none*.wav"),
        (["memory://in/none/", "-o", "out"], 1, "folder without recordings"),
        (["memory://in", "-o", "memory://in/"], 2, "among the inputs"),
        (["memory://in"], 2, "for the outputs with -o"),
        (["memory://in/take.wav", "-o", "memory://in/take.wav"], 2, "is the input itself"),
        (["memory://in/take.wav", "-o", "memory://out/take.xyz"], 2, "cannot write files that end in .xyz"),
        (["memory://in/take.raw"], 2, "has no header"),
        (["nonesuch://in/take.wav"], 2, "no kind of URL that fsspec knows"),
        (["take.wav", "-o", "nonesuch://out.wav"], 2, "no kind of URL that fsspec knows"),
        (["take.wav", "-o", "https://example.org/out.wav"], 2, "a web address, which is only read"),
        (["memory://in", "-o", "https://example.org/out"], 2, "a web address, which is only read"),
        (["file://elsewhere/take.wav"], 2, "no file of this machine"),
        (["--list", "memory://nowhere.txt", "-o", "out"], 1, "memory://nowhere.txt does not exist"),
    ],
)
def test_a_wrong_url_is_one_sentence(memory, capsys, arguments, code, words):
    before = set(memory.find("/"))
    assert run(["stretch", *arguments, "-r", "2"]) == code
    shown = capsys.readouterr().err
    assert words in shown and shown.count("\n") == 1 and set(memory.find("/")) == before


@pytest.mark.parametrize("scheme, package", [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs"), ("sftp", "paramiko"), ("https", "aiohttp")])
def test_a_missing_package_is_named(folder, monkeypatch, capsys, scheme, package):
    from fsspec.registry import _registry, known_implementations

    for name in (package, known_implementations[scheme]["class"].rpartition(".")[0]):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(_registry, scheme, raising=False)
    assert run(["stretch", f"{scheme}://place/take.wav", "-r", "2", "-o", "out.wav"]) == 2
    assert f"needs the package {package}; install it with `pip install {package}`." in capsys.readouterr().err


def test_without_fsspec_the_extra_is_named(folder, monkeypatch, capsys):
    from tsmgan.storage import remote

    remote._file_system.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert run(["stretch", "memory://take.wav", "-r", "2", "-o", "out.wav"]) == 2
    assert 'pip install "tsmgan[urls]"' in capsys.readouterr().err


def test_whoever_gives_no_url_does_not_meet_fsspec(folder):
    (folder / "poison").mkdir()
    (folder / "poison/fsspec.py").write_text("open('met', 'w').close()\nraise ImportError('poison')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "poison"), *filter(None, sys.path)])}
    write_tree(folder / "in", 2)
    for command in (["in/take 0.wav", "-o", "single.wav"], ["in", "-o", "out", "--jobs", "1"], ["--list", "list.txt", "-o", "listed"]):
        (folder / "list.txt").write_text("in/take 0.wav\n")
        subprocess.run([*TSMGAN, "stretch", *command, "-r", "2", "-q"], env=environment, check=True)
    assert not Path("met").exists()
    assert subprocess.run([*TSMGAN, "info", "memory://x.wav"], env=environment, capture_output=True).returncode == 2
    assert Path("met").exists()


def test_drives_and_existing_files_are_no_urls_and_web_queries_no_patterns(folder):
    assert not any(map(names.is_url, ["C:\\talks\\a.wav", "C:/talks/a.wav", "c://talks", "a.wav", "-", "://x", "a b://c", "in/s3://x"]))
    assert all(map(names.is_url, ["s3://bucket/a.wav", "gs://b", "abfs://c@d/e.wav", "git+ssh://x"]))
    (folder / "s3:/bucket").mkdir(parents=True)
    (folder / "s3:/bucket/a.wav").touch()
    assert not names.is_url("s3://bucket/a.wav") and not is_pattern("https://x/a.wav?b=[c]") and is_pattern("s3://other/*.wav")


@pytest.mark.parametrize(
    "url, parent, stem, suffix, child",
    [
        ("s3://bucket/a/b.wav", "s3://bucket/a", "b", ".wav", "s3://bucket/a/b.wav/x/y"),
        ("memory://b.wav", "memory://", "b", ".wav", "memory://b.wav/x/y"),
        ("memory:///b", "memory://", "b", "", "memory:///b/x/y"),
        ("https://host/b.wav?c=d.e/f", "https://host", "b", ".wav", None),
        ("memory://", "memory://", "", "", "memory://x/y"),
        ("s3://bucket/", "s3://bucket", "", "", "s3://bucket/x/y"),
        ("a/b.wav", "a", "b", ".wav", os.path.join("a/b.wav", "x", "y")),
        ("b.wav", ".", "b", ".wav", os.path.join("b.wav", "x", "y")),
    ],
)
def test_urls_are_taken_apart_as_paths_are(url, parent, stem, suffix, child):
    assert (names.parent(url), names.stem(url), names.suffix(url)) == (parent, stem, suffix)
    assert child is None or names.join(url, "x/y") == child


def test_a_folder_behind_a_url_is_mirrored_and_a_second_run_does_only_what_is_missing_or_changed(folder, shelf):
    command = ["shelf://in", "-o", "shelf://out", "--rate", "0.8,1.25"]
    assert stretch(*command).startswith("12 of 12 made in ")
    assert run(["stretch", "shelf/in", "-o", "local", "--rate", "0.8,1.25", "--jobs", "2", "-q"]) == 0
    assert checksums(shelf / "out") == checksums(folder / "local") and len(manifest(shelf)) == 12
    entries = {entry["output"]: entry for entry in manifest(shelf)}
    assert {output: entry["sha256"] for output, entry in entries.items()} == checksums(shelf / "out")
    assert entries["a/take 1@0.8.wav"]["input"] == "shelf://in/a/take 1.wav" and not temporary_files(folder)
    assert "12 were there already" in stretch(*command)
    write_recording(shelf / "in/take 0.wav", seed=99)
    (shelf / "out/a/take 1@0.8.wav").unlink()
    (shelf / "in/bad.wav").write_text("Dear diary,\n" * 50)
    assert "shelf://in/bad.wav is a text file" in stretch(*command, expect=3)
    again = [entry["output"] for entry in manifest(shelf)[12:] if entry["error"] is None]
    assert sorted(again) == ["a/take 1@0.8.wav", "take 0@0.8.wav", "take 0@1.25.wav"]


def test_patterns_and_lists_may_be_urls_and_outputs_among_the_inputs_are_left_out(folder, shelf):
    for _ in range(2):
        stretch("shelf://in/**/take [15].wav", "-o", "globbed", "--rate", "2")
        stretch("shelf://in", "-o", "shelf://in/out", "--rate", "2")
    assert checksums(folder / "globbed").keys() == {"a/take 1@2.wav", "a/b/take 5@2.wav"}
    assert len(checksums(shelf / "in/out")) == 6
    (shelf / "list.txt").write_text("# takes\nshelf://in/a/take 1.wav\nshelf://in/a/b/take 2.wav\n")
    stretch("--list", "shelf://list.txt", "-o", "listed", "--rate", "2")
    assert checksums(folder / "listed").keys() == {"take 1@2.wav", "b/take 2@2.wav"}


def test_a_file_of_somebody_else_behind_a_url_is_kept_without_force(shelf):
    (shelf / "out").mkdir()
    (shelf / "out/take 0@2.wav").write_text("precious")
    for _ in range(2):
        assert "exists already" in stretch("shelf://in", "-o", "shelf://out", "--rate", "2", expect=3)
        assert (shelf / "out/take 0@2.wav").read_text() == "precious"
    stretch("shelf://in", "-o", "shelf://out", "--rate", "2", "--force")
    assert soundfile.info(shelf / "out/take 0@2.wav").frames == 2000


def test_a_batch_to_urls_that_is_killed_again_and_again_ends_with_the_outputs_of_an_undisturbed_one(folder, shelf):
    write_tree(shelf / "in", 24, frames=24000)
    batch = [*TSMGAN, "stretch", "shelf://in", "-o", "shelf://out", "--rate", "1.3", "--jobs", "2", "-q"]
    assert run(["stretch", "shelf/in", "-o", "reference", "--rate", "1.3", "-q"]) == 0
    expected, chance = checksums(folder / "reference"), random.Random(os.urandom(2))
    for _ in range(4):
        process = subprocess.Popen(batch, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(chance.uniform(0.6, 2.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert checksums(shelf / "out").items() <= expected.items(), "a partial output has a final name"
    assert subprocess.run(batch).returncode == 0
    assert checksums(shelf / "out") == expected
    # Servers have no locks: what is unfinished there is anybody's until it is a day old.
    for path in temporary_files(shelf):
        os.utime(path, (1, 1))
    assert subprocess.run(batch).returncode == 0 and not temporary_files(shelf)
    for path in temporary_files(folder / "temporary"):
        os.utime(path, (1, 1))
    stretch("shelf://in/take 0.wav", "-o", "out.wav", "-r", "2")
    assert not temporary_files(folder / "temporary"), "copies of dead processes should go when another one starts"


@pytest.mark.parametrize("ending", ["m4a", "mkv", "mp4"])
def test_a_media_output_behind_a_url_is_the_one_that_a_path_gets_and_is_never_half_there(memory, temporary, ending):
    pytest.importorskip("av")
    from tsmgan import TimeMap, stretch_file
    from tsmgan.errors import AudioError

    assert run(["stretch", "take.wav", "--rate", "1.25", "-o", f"here.{ending}", "-q"]) == 0
    assert run(["stretch", "memory://in/take.wav", "--rate", "1.25", "-o", f"memory://out/there.{ending}", "-q"]) == 0
    Path(f"there.{ending}").write_bytes(memory.cat_file(f"/out/there.{ending}"))
    here, there = ([*_blocks(f"{name}.{ending}")] for name in ("here", "there"))
    assert len(here) == len(there) and all((a == b).all() for a, b in zip(here, there))

    before = memory.cat_file(f"/out/there.{ending}")
    assert run(["stretch", "take.wav", "--rate", "2", "-o", f"memory://out/there.{ending}", "-q"]) == 1
    assert memory.cat_file(f"/out/there.{ending}") == before and os.listdir(temporary) == []
    Path("cut.wav").write_bytes(Path("take.wav").read_bytes()[:-1000])
    with pytest.raises(AudioError, match="cut"):
        stretch_file("cut.wav", f"memory://out/cut.{ending}", time_map=TimeMap.from_rate(2))
    assert not memory.exists(f"/out/cut.{ending}") and os.listdir(temporary) == []


def _blocks(place: str):
    from tsmgan.audio import open_reader

    with open_reader(place) as reader:
        yield from reader.blocks()
