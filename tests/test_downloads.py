"""Large data by name, against a real server on this machine: whole or nothing, and one line for every failure."""

import _thread
import errno
import gzip
import hashlib
import io
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets.utils
from torchvision.datasets import CIFAR10, FashionMNIST

from course_utils import data, downloads

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"fashionmnist": FashionMNIST, "cifar10": CIFAR10}
FOLDERS = {"fashionmnist": "FashionMNIST", "cifar10": "cifar-10-batches-py"}
# the archive that comes last: of FashionMNIST three others are unpacked by then
LAST = {"fashionmnist": "t10k-labels-idx1-ubyte.gz", "cifar10": "cifar-10-python.tar.gz"}
COUNTS = {True: 10, False: 4}
every_set = pytest.mark.parametrize("name", downloads.NAMES)


# --------------------------------------------------------------------------------- a server with small archives


def pictures_and_labels(name: str, train: bool) -> tuple[np.ndarray, list[int]]:
    """What the small data sets hold: noise, uint8 (N, 28, 28) or (N, 32, 32, 3)."""
    rng = np.random.default_rng([downloads.NAMES.index(name), train])
    shape = (28, 28) if name == "fashionmnist" else (32, 32, 3)
    return rng.integers(0, 256, (COUNTS[train], *shape), dtype=np.uint8), rng.integers(0, 10, COUNTS[train]).tolist()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def fashion_archives(address: str) -> tuple[dict[str, bytes], dict]:
    """IDX files as .gz, and the class attributes that point to them."""
    files = {}
    for train, part in [(True, "train"), (False, "t10k")]:
        pictures, labels = pictures_and_labels("fashionmnist", train)
        images = struct.pack(">4I", 0x803, *pictures.shape) + pictures.tobytes()
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(images, mtime=0)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(struct.pack(">2I", 0x801, len(labels)) + bytes(labels))
    return files, {"mirrors": [address], "resources": [[name, md5(content)] for name, content in files.items()]}


def cifar_archives(address: str) -> tuple[dict[str, bytes], dict]:
    """A cifar-10-python.tar.gz with pickled batches, five for training, and the class attributes for it."""
    pictures, labels = pictures_and_labels("cifar10", True)
    parts = {f"data_batch_{k + 1}": (pictures[2 * k : 2 * k + 2], labels[2 * k : 2 * k + 2]) for k in range(5)}
    parts["test_batch"] = pictures_and_labels("cifar10", False)
    entries = {
        name: {"data": some.transpose(0, 3, 1, 2).reshape(len(some), -1), "labels": of_them}
        for name, (some, of_them) in parts.items()
    }
    entries["batches.meta"] = {"label_names": [f"class {k}" for k in range(10)]}
    packed = {name: pickle.dumps(entry, protocol=2) for name, entry in entries.items()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in packed.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    sums = {name: md5(content) for name, content in packed.items()}
    return {LAST["cifar10"]: buffer.getvalue()}, {
        "url": address + LAST["cifar10"],
        "tgz_md5": md5(buffer.getvalue()),
        "train_list": [[name, sums[name]] for name in packed if name.startswith("data_batch")],
        "test_list": [["test_batch", sums["test_batch"]]],
        "meta": {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]},
    }


class Answer(BaseHTTPRequestHandler):
    """Sends an archive, or what `server.trouble` says. torchvision asks twice: for redirections, then for the file."""

    def do_GET(self):
        server, name = self.server, self.path.lstrip("/")
        server.requests.append(name)
        content, trouble = server.files[name], server.trouble.get(name)
        if server.together:
            server.together.wait(timeout=100)
        if trouble == "absent":
            return self.send_error(404)
        if trouble == "silent":
            return server.over.wait(timeout=60)
        if trouble == "another file":
            content = gzip.compress(b"whole, but not what was asked for")
        elif trouble == "login page":
            content = b"<html>Please log in to this network.</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        second = server.requests.count(name) % 2 == 0
        if trouble == "cut at once":
            return None
        if trouble in ("cut", "reset", "stall", "interrupt"):
            self.wfile.write(content[: len(content) // 2])
            if trouble == "reset" and second:
                time.sleep(0.2)  # let the half be read; a reset throws away what still lies in the socket
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                socket.close(self.connection.detach())
            if trouble == "interrupt" and second:
                end = time.monotonic() + 30
                while name not in server.seen and time.monotonic() < end:
                    server.seen = [path.name for path in server.cache.rglob("*")]
                _thread.interrupt_main()
                self.wfile.write(content[len(content) // 2 : -1])
            return server.over.wait(timeout=60) if trouble == "stall" and second else None
        if second and server.before_the_end:
            server.before_the_end()
        return self.wfile.write(content)

    def log_message(self, *words):
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Quiet too: torchvision hangs up after its first question."""


@pytest.fixture
def course_data(tmp_path, monkeypatch):
    """An empty data folder, with a space and Chinese characters in its name."""
    folder = tmp_path / "my 课程"
    folder.mkdir()
    monkeypatch.setenv("COURSE_DATA", str(folder))
    return folder


@pytest.fixture
def cache(course_data):
    return course_data / "cache"


@pytest.fixture
def server(cache, monkeypatch):
    """A server of small archives on a free port; both classes of torchvision point to it, and to nothing else."""
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "*")
    running = Server(("127.0.0.1", 0), Answer)
    running.requests, running.trouble, running.files, running.attributes, running.seen = [], {}, {}, {}, []
    running.together = running.before_the_end = None
    running.over, running.cache = threading.Event(), cache
    address = f"http://127.0.0.1:{running.server_port}/"
    for name, make in [("fashionmnist", fashion_archives), ("cifar10", cifar_archives)]:
        files, running.attributes[name] = make(address)
        running.files |= files
        for attribute, value in running.attributes[name].items():
            monkeypatch.setattr(KINDS[name], attribute, value)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.over.set()
    running.shutdown()
    thread.join()
    running.server_close()


def assert_is_right(found, name: str, train: bool) -> None:
    """Every picture and label of a data set that was loaded is what the server has."""
    pictures, labels = pictures_and_labels(name, train)
    assert isinstance(found, KINDS[name]) and len(found) == len(labels) == COUNTS[train]
    for (picture, label), wanted, wanted_label in zip(found, pictures, labels, strict=True):
        assert picture.mode == ("L" if name == "fashionmnist" else "RGB")
        assert (np.asarray(picture) == wanted).all() and (label, type(label)) == (wanted_label, int)


def message_of(name: str) -> str:
    """The one line of a call that must fail; a traceback would show nothing else."""
    with pytest.raises(data.DataError) as caught:
        downloads.dataset(name)
    message = str(caught.value)
    assert "\n" not in message
    assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1
    return message


def assert_fails_cleanly(name: str, cache: Path, *words: str) -> None:
    """The message says all that matters, nothing is stored, and the timeout is the old one."""
    message = message_of(name)
    for part in (f"{name} was not downloaded", "nothing was stored", 'dataset="banknotes"', *words):
        assert part in message, message
    assert len(message) < 200
    assert list(cache.iterdir()) == []
    assert socket.getdefaulttimeout() is None


def assert_works(name: str, server: Server) -> None:
    """A call without trouble, after all."""
    server.trouble.clear()
    assert_is_right(downloads.dataset(name), name, True)
    assert [path.name for path in server.cache.iterdir()] == [FOLDERS[name]]


# ------------------------------------------------------------------------------------------------------ it works


@every_set
def test_both_parts_are_right_and_only_the_first_call_asks_the_server(name, server, cache, capsys):
    assert_is_right(downloads.dataset(name), name, True)
    shown = capsys.readouterr()
    assert f"Downloading {name} into {cache}" in shown.err and "100%" in shown.err and shown.out == ""
    archives = [archive for archive, _ in FashionMNIST.resources] if name == "fashionmnist" else [LAST[name]]
    assert server.requests == [archive for archive in archives for _ in range(2)]
    assert [path.name for path in cache.iterdir()] == [FOLDERS[name]]
    asked = len(server.requests)
    assert_is_right(downloads.dataset(name, train=False), name, False)
    assert_is_right(downloads.dataset(name, train=True), name, True)
    assert len(server.requests) == asked and capsys.readouterr() == ("", "")


@every_set
def test_a_transform_is_applied_to_the_picture(name, server):
    found = downloads.dataset(name, transform=lambda picture: np.asarray(picture).sum())
    pictures, labels = pictures_and_labels(name, True)
    assert list(found) == [(picture.sum(), label) for picture, label in zip(pictures, labels, strict=True)]


def test_both_sets_live_side_by_side(server, cache):
    for name in downloads.NAMES:
        downloads.dataset(name)
    for name in downloads.NAMES:
        assert_is_right(downloads.dataset(name, train=False), name, False)
    assert {path.name for path in cache.iterdir()} == set(FOLDERS.values())


@every_set
def test_what_torchvision_itself_downloaded_is_taken_over(name, server, cache):
    KINDS[name](cache, download=True)
    asked = len(server.requests)
    assert_is_right(downloads.dataset(name), name, True)
    assert len(server.requests) == asked


def test_a_timeout_that_somebody_set_comes_back(server):
    socket.setdefaulttimeout(77.0)
    try:
        downloads.dataset("cifar10")
        assert socket.getdefaulttimeout() == 77.0
    finally:
        socket.setdefaulttimeout(None)


def test_the_module_is_quick_to_import():
    program = (
        "import sys, course_utils.downloads as d; print(d.NAMES, {'torchvision', 'matplotlib'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert found.stdout == "('fashionmnist', 'cifar10') set()\n", found.stderr


def test_the_readme_says_where_the_data_are_kept():
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    section = text.split("## Larger data by parameter")[1].split("\n## ")[0]
    for word in (*downloads.NAMES, *(f"cache/{folder}" for folder in FOLDERS.values()), "unfinished-"):
        assert word in section


# ------------------------------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize("name", ["mnist", "FashionMNIST", "banknotes", "", None, ["cifar10"]])
def test_an_unknown_name(name, course_data, says_in_one_line):
    words = (repr(name), "fashionmnist, cifar10", '"banknotes" is shipped')
    says_in_one_line(lambda: downloads.dataset(name), ValueError, *words)
    assert list(course_data.iterdir()) == []


def test_train_and_transform_are_looked_at_before_anything_is_downloaded(course_data, says_in_one_line):
    says_in_one_line(lambda: downloads.dataset("cifar10", "test"), TypeError, "train is 'test'", "True", "False")
    says_in_one_line(lambda: downloads.dataset("cifar10", transform=3), TypeError, "transform is 3", "function")
    assert list(course_data.iterdir()) == []


def test_a_data_folder_that_is_not_there(tmp_path, monkeypatch, says_in_one_line):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "away"))
    says_in_one_line(lambda: downloads.dataset("cifar10"), data.DataError, "away", "COURSE_DATA")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------- network trouble


TROUBLE = {
    "absent": "HTTP Error 404: Not Found",
    "cut": "the connection broke off after {half} bytes of {archive}",
    "cut at once": "the connection broke off after 0 bytes of {archive}",
    "another file": "wrong checksum: another file came as {archive}",
    "login page": "wrong checksum: another file came as {archive}",
    "reset": "reset",
    "silent": "timed out",
    "stall": "timed out",
}


@every_set
@pytest.mark.parametrize("trouble", TROUBLE)
def test_whole_or_nothing(name, trouble, server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT_S", 2.0 if TROUBLE[trouble] == "timed out" else 30.0)
    server.trouble[LAST[name]] = trouble
    half = f"{len(server.files[LAST[name]]) // 2:,}"
    assert_fails_cleanly(name, cache, TROUBLE[trouble].format(archive=LAST[name], half=half))
    assert LAST[name] in server.requests
    monkeypatch.setattr(downloads, "TIMEOUT_S", 30.0)
    assert_works(name, server)


@every_set
def test_nothing_listens(name, server, cache, monkeypatch):
    with socket.socket() as free, monkeypatch.context() as changed:
        free.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address = f"http://127.0.0.1:{free.getsockname()[1]}/"
        changed.setattr(FashionMNIST, "mirrors", [address])
        changed.setattr(CIFAR10, "url", address + LAST["cifar10"])
        assert_fails_cleanly(name, cache, "refused" if os.name != "nt" else "URLError")
    assert_works(name, server)


@every_set
def test_without_a_network(name, server, cache, monkeypatch):
    def no_answer(*arguments, **options):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with monkeypatch.context() as changed:
        changed.setattr(socket, "getaddrinfo", no_answer)
        assert_fails_cleanly(name, cache, "Temporary failure in name resolution")
    assert server.requests == []
    assert_works(name, server)


def test_a_second_mirror_is_asked_when_the_first_has_nothing(server, monkeypatch):
    away = FashionMNIST.mirrors[0] + "away/"
    server.files |= {f"away/{name}": b"" for name in server.files}
    server.trouble = {f"away/{name}": "absent" for name in server.files}
    monkeypatch.setattr(FashionMNIST, "mirrors", [away, *FashionMNIST.mirrors])
    assert_is_right(downloads.dataset("fashionmnist"), "fashionmnist", True)


@every_set
def test_an_interrupt_in_the_middle_leaves_nothing(name, server, cache):
    server.trouble[LAST[name]] = "interrupt"
    with pytest.raises(KeyboardInterrupt):
        downloads.dataset(name)
    assert LAST[name] in server.seen  # half of it was there
    assert list(cache.iterdir()) == [] and socket.getdefaulttimeout() is None
    assert_works(name, server)


# ---------------------------------------------------------------------------------------------------- disk trouble


@every_set
def test_a_file_stands_where_the_folder_should_be(name, server, cache, course_data):
    cache.write_text("mine")
    message = message_of(name)
    for part in (f"{name} was not stored", f"the folder {cache} cannot be written", "a file has this name"):
        assert part in message
    assert 'dataset="banknotes"' in message
    assert cache.read_text() == "mine" and list(course_data.iterdir()) == [cache] and server.requests == []


def test_a_folder_without_the_right_to_write(server, cache, monkeypatch):
    def refuse(path, *arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as changed:
        changed.setattr(os, "mkdir", refuse)  # as root is refused nothing, and tests may run as root
        message = message_of("cifar10")
    assert f"the folder {cache} cannot be written (Permission denied)" in message and "banknotes" in message
    assert server.requests == [] and not cache.exists()
    assert_works("cifar10", server)


class FullDisk(io.FileIO):
    """A file on a disk that takes no more."""

    def write(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@every_set
@pytest.mark.parametrize("while_unpacking", [False, True])
def test_no_space_left(name, while_unpacking, server, cache, monkeypatch):
    def open_full(path, mode="r", *arguments):
        full = "w" in mode and while_unpacking != str(path).endswith(".gz")
        return FullDisk(path, "w") if full else open(path, mode, *arguments)

    # tarfile opens what it unpacks by a name of its own
    module = tarfile if name == "cifar10" and while_unpacking else torchvision.datasets.utils
    with monkeypatch.context() as changed:
        if module is tarfile:
            changed.setattr(tarfile, "bltn_open", open_full)
        else:
            changed.setattr(module, "open", open_full, raising=False)
        message = message_of(name)
    assert f"{name} was not stored" in message and "No space left on device" in message and str(cache) in message
    assert list(cache.iterdir()) == []
    assert_works(name, server)


# ------------------------------------------------------------------------------------------------- several at once


@every_set
def test_two_threads_download_once(name, server):
    with ThreadPoolExecutor(2) as threads:
        for found in threads.map(downloads.dataset, [name, name]):
            assert_is_right(found, name, True)
    assert all(server.requests.count(archive) == 2 for archive in set(server.requests))
    assert socket.getdefaulttimeout() is None


@every_set
def test_another_process_was_quicker(name, server, cache, tmp_path):
    KINDS[name](tmp_path / "theirs", download=True)
    theirs, target = tmp_path / "theirs" / FOLDERS[name], cache / FOLDERS[name]
    (theirs / "note").write_text("stored by the other process")
    server.before_the_end = lambda: theirs.exists() and theirs.rename(target)
    assert_is_right(downloads.dataset(name), name, True)
    assert (target / "note").exists() and [path.name for path in cache.iterdir()] == [FOLDERS[name]]


def test_two_processes_at_once(server, cache):
    program = """
import json, sys
from torchvision.datasets import CIFAR10
from course_utils import downloads
downloads.TIMEOUT_S = 100
for name, value in json.loads(sys.argv[1]).items():
    setattr(CIFAR10, name, value)
print(len(downloads.dataset("cifar10")))
"""
    server.together = threading.Barrier(2)  # no answer for one before the other has asked the same
    command = [sys.executable, "-c", program, json.dumps(server.attributes["cifar10"])]
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    both = [subprocess.Popen(command, **options) for _ in range(2)]
    try:
        for process in both:
            out, err = process.communicate(timeout=150)
            assert (process.returncode, out) == (0, "10\n"), err
    finally:
        for process in both:
            process.kill()
    assert len(server.requests) == 4  # both have really downloaded
    assert [path.name for path in cache.iterdir()] == [FOLDERS["cifar10"]]
    assert_is_right(downloads.dataset("cifar10"), "cifar10", True)


# ------------------------------------------------------------------------------------------------- a damaged cache


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])


def change_the_last_byte(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("damage", [Path.unlink, cut_short, change_the_last_byte, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fashionmnist", "raw/train-images-idx3-ubyte"),
        ("fashionmnist", "raw/t10k-labels-idx1-ubyte"),
        ("fashionmnist", "raw/train-labels-idx1-ubyte.gz"),
        ("cifar10", "data_batch_3"),
        ("cifar10", "test_batch"),
        ("cifar10", "batches.meta"),
    ],
)
def test_damage_is_noticed_and_the_folder_named(name, file, damage, server, cache):
    downloads.dataset(name)
    asked, folder = len(server.requests), cache / FOLDERS[name]
    damage(folder / file)
    message = message_of(name)
    assert f"{folder} is damaged ({Path(file).name} is missing or changed); delete it and call again" in message
    assert len(server.requests) == asked and (folder / file).parent.exists()  # told, and nothing else done
    folder.rename(cache.parent / "deleted")
    assert_works(name, server)


@every_set
def test_an_empty_folder_or_a_file_at_the_place_is_damage_too(name, server, cache):
    (cache / FOLDERS[name]).mkdir(parents=True)
    assert "is missing or changed" in message_of(name)
    (cache / FOLDERS[name]).rmdir()
    (cache / FOLDERS[name]).write_text("")
    assert "is missing or changed" in message_of(name)
    assert server.requests == []


def test_a_cache_that_cannot_be_read(server, cache, monkeypatch):
    downloads.dataset("cifar10")

    def refuse(*arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "data_batch_1")

    monkeypatch.setattr(torchvision.datasets.utils, "check_integrity", refuse)
    assert "it cannot be read, Permission denied" in message_of("cifar10")
