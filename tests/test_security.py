"""Promises to people who stretch what strangers sent them: nothing leaves the output folder, nothing is fetched, no model runs wild."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from batch_helpers import checksums, write_recording, write_tree

import tsmgan
from tsmgan.cli import run
from tsmgan.errors import ModelError
from tsmgan.models import find_model

TSMGAN = [sys.executable, "-m", "tsmgan"]


@pytest.fixture
def model(folder):
    """A copy of the default model's folder."""
    shutil.copytree(find_model().path, folder / "model")
    return folder / "model"


def test_a_stretch_keeps_no_number_of_this_machine_and_reports_nothing(folder):
    write_recording(folder / "talk.wav")
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home/cache")}
    (folder / "home").mkdir()
    result = subprocess.run([*TSMGAN, "stretch", "talk.wav", "-r", "2"], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    kept = [path.relative_to(folder / "home") for path in (folder / "home").rglob("*") if path.is_file()]
    assert [path for path in kept if "tsmgan" not in path.parts] == []  # compiled kernels may lie there


def test_links_in_the_output_folder_that_lead_out_of_it_are_not_followed(folder, capsys):
    write_tree(folder / "in", 3)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/precious.wav").write_text("precious")
    (folder / "out").mkdir()
    (folder / "out/a").symlink_to(folder / "elsewhere")
    (folder / "out/take 0@2.wav").symlink_to(folder / "elsewhere/precious.wav")
    assert run(["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1", "--force"]) == 3
    assert capsys.readouterr().err.count("symbolic link that leads out of out") == 3
    assert os.listdir("elsewhere") == ["precious.wav"] and (folder / "elsewhere/precious.wav").read_text() == "precious"


def test_an_output_folder_may_itself_be_a_link_and_hold_links_within(folder):
    write_tree(folder / "in", 3)
    (folder / "real/b").mkdir(parents=True)
    (folder / "real/a").symlink_to("b")
    (folder / "out").symlink_to("real")
    assert run(["stretch", "in", "-o", "out", "--rate", "2", "--jobs", "1", "-q"]) == 0
    assert checksums(folder / "real").keys() == {"take 0@2.wav", "b/take 1@2.wav", "b/b/take 2@2.wav"}


def test_a_manifest_that_is_a_link_is_not_followed(folder, capsys):
    write_tree(folder / "in", 1)
    (folder / "precious.txt").write_text("precious")
    (folder / "out").mkdir()
    (folder / "out/manifest.jsonl").symlink_to("../precious.txt")
    assert run(["stretch", "in", "-o", "out", "--rate", "2"]) == 1
    assert "symbolic link" in capsys.readouterr().err and (folder / "precious.txt").read_text() == "precious"


def test_folders_behind_links_are_not_searched_for_recordings(folder):
    write_tree(folder / "in", 1)
    (folder / "in/round").symlink_to(folder / "in")
    assert run(["stretch", "in", "-o", "out", "--rate", "2", "-q"]) == 0
    assert len(checksums(folder / "out")) == 1


WATCH = """
import os, socket, sys
def watch(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.")):
        family = arguments[1] if event == "socket.__new__" else getattr(arguments[0], "family", None)
        with open(os.environ["SEEN"], "a") as file:
            file.write("local\\n" if family == socket.AF_UNIX else f"{event} {arguments}\\n")
with open(os.environ["SEEN"], "a") as file:
    file.write("watching\\n")
sys.addaudithook(watch)
"""


@pytest.fixture
def watched(folder):
    """The environment in which every Python process writes down what it does with sockets, and a function that tells it."""
    (folder / "watch").mkdir()
    (folder / "watch/sitecustomize.py").write_text(WATCH)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "watch"), *sys.path[1:]]), "SEEN": str(folder / "seen")}
    return environment, lambda: (folder / "seen").read_text().split("\n")


@pytest.mark.parametrize("source, allowed", [("in/take 0.wav", {"watching"}), ("in", {"watching", "local"})])
def test_a_stretch_opens_no_socket_and_a_batch_none_beyond_its_own_processes(folder, watched, source, allowed):
    environment, seen = watched
    write_tree(folder / "in", 2)
    (folder / "out").mkdir()
    subprocess.run([*TSMGAN, "stretch", source, "-o", "out", "--rate", "2", "-q"], env=environment, check=True)
    lines = {line for line in seen() if line}
    assert "watching" in lines and lines <= allowed


def test_the_watch_for_sockets_sees_one(folder, watched):
    environment, seen = watched
    subprocess.run([sys.executable, "-c", "import socket; socket.socket(socket.AF_INET)"], env=environment, check=True)
    assert any(line.startswith("socket.__new__") for line in seen())


def test_neither_a_playlist_nor_a_file_named_like_an_address_is_fetched(folder):
    pytest.importorskip("av")
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    address = f"127.0.0.1:{server.getsockname()[1]}"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://{address}/a.ts\n#EXT-X-ENDLIST\n"
    Path("list.m4a").write_text(playlist)
    Path("list.m3u8").write_bytes(playlist.encode() + b"\xff\xfe")
    place = Path("http:") / address
    place.mkdir(parents=True)
    (place / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\xff" + bytes(100))
    visitors = []

    def listen() -> None:
        try:
            while True:
                visitors.append(server.accept())
        except OSError:
            pass

    for name in ("list.m4a", "list.m3u8", f"http://{address}/song.m4a"):
        listener = threading.Thread(target=listen)
        listener.start()
        assert run(["stretch", name, "--rate", "2", "-o", "out.wav"]) == 1
        listener.join()
    server.close()
    assert not visitors


def test_a_model_that_names_a_file_elsewhere_is_refused(model):
    onnx = pytest.importorskip("onnx")
    content = onnx.load(model / "generator.onnx")
    tensor = content.graph.initializer[0]
    np.zeros(10**6, np.float32).tofile("secret.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    (model / "generator.onnx").write_bytes(content.SerializeToString())
    with pytest.raises(ModelError, match="another file"):
        tsmgan.Stretcher(24000, rate=2, model=str(model))


def test_an_enormous_model_is_not_even_opened(model):
    with open(model / "generator.onnx", "r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelError, match="more than any generator"):
        tsmgan.Stretcher(24000, rate=2, model=str(model))


@pytest.mark.parametrize("damage", [b"", b"\x08\x07", b"hello", os.urandom(1000)])
def test_a_damaged_model_is_refused(model, damage):
    (model / "generator.onnx").write_bytes(damage)
    with pytest.raises(ModelError):
        tsmgan.Stretcher(24000, rate=2, model=str(model))


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": 10**9},
        {"noise": -1},
        {"noise": "4"},
        {"noise": None},
        {"context": 10**9},
        {"context": -5},
        {"context": 1.5},
        {"features": {}},
    ],
)
def test_a_config_with_absurd_sizes_is_refused_before_anything_is_allocated(model, changes):
    config = json.loads((model / "config.json").read_text())
    config["generator"] |= changes
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        tsmgan.Stretcher(24000, rate=2, model=str(model))


@pytest.mark.parametrize("text", ["[" * 100000, "{}", "[]", '{"format": 2, "generator": []}', "\0", " " * (1 << 21)])
def test_a_config_that_is_no_config_is_refused(model, text):
    (model / "config.json").write_text(text)
    with pytest.raises(ModelError):
        find_model(str(model))


@pytest.mark.parametrize("name", ["..", ".", "../models/handmade", "handmade/../handmade", "", "a\0b"])
def test_a_models_name_is_no_path_into_the_shipped_ones(folder, name):
    with pytest.raises(ModelError):
        find_model(name)


def test_a_model_that_gives_no_numbers_is_told_from_a_bad_recording(model):
    onnx = pytest.importorskip("onnx")
    content = onnx.load(model / "generator.onnx")
    for tensor in content.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.raw_data:
            tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, "<f4").tobytes()
    (model / "generator.onnx").write_bytes(content.SerializeToString())
    with pytest.raises(ModelError, match="finite"):
        tsmgan.stretch(np.zeros(24000, np.float32), 24000, 0.5, model=str(model))  # at fast rates the network is not asked


def test_a_recording_that_claims_to_be_enormous_takes_no_memory_for_it(folder):
    write_recording(folder / "in.wav")
    data = bytearray((folder / "in.wav").read_bytes())
    data[40:44] = (0x7EFFFFFF).to_bytes(4, "little")
    (folder / "in.wav").write_bytes(data)
    limited = f"import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 30,) * 2); from tsmgan.cli import run; sys.exit(run({['stretch', 'in.wav', '--rate', '0.05', '--salvage', '-q']!r}))"  # noqa: E501
    assert subprocess.run([sys.executable, "-c", limited]).returncode == 0
    assert soundfile.info("in@0.05.wav").frames == 80000
