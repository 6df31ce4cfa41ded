"""common/download.py against a server on this computer: no test touches the network."""

import dataclasses
import errno
import hashlib
import io
import multiprocessing
import os
import random
import re
import sys
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from common import download as dl
from common.paths import data_dir

NOISE = random.Random(0).randbytes(40_000)  # does not compress, even seven times in a row: gzip looks 32 kB back
CIFAR_FILES = [f"cifar-10-batches-py/{name}" for name in dl.DATA_SETS["cifar10"].needs]
BEE_FILES = [f"hymenoptera_data/{part}/{kind}/1.jpg" for part in ("train", "val") for kind in ("ants", "bees")]


def make_tar(names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(NOISE)
            file.addfile(member, io.BytesIO(NOISE))
    return buffer.getvalue()


def make_zip(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, NOISE)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `content`, with the fault that the path names: /good, /cut, /slow …. `requests` keeps (path, Range)."""

    daemon_threads = True

    def __init__(self):
        self.content, self.requests = b"", []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, behaviour):
        return f"http://127.0.0.1:{self.server_port}/{behaviour}"

    def asked(self):
        return [f"{path} {wanted}".strip() for path, wanted in self.requests]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content, fault = self.server.content, self.path.strip("/")
        wanted = self.headers.get("Range", "")
        self.server.requests.append((fault, wanted))
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        if fault == "missing":
            return self.send_error(404)
        if fault == "416" and wanted:
            return self.send_error(416)
        if fault == "portal":
            content, start, wanted = b"<html>please log in</html>", 0, ""
        if fault == "wrong":
            content = bytes(len(content))
        if fault == "norange":
            start, wanted = 0, ""
        self.send_response(206 if wanted else 200)
        if wanted:
            begins = start + 7 if fault == "elsewhere" else start
            self.send_header("Content-Range", f"bytes {begins}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if fault == "cut":
            body = body[: len(body) // 2]
        step = 2_000 if fault == "slow" else len(body)
        try:
            for i in range(0, len(body), step or 1):
                self.wfile.write(body[i : i + step])
                time.sleep(0.01 if fault == "slow" else 0)
        except OSError:
            pass  # the client left in the middle, as it should with a slow source

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def offer(server, monkeypatch, tmp_path):
    """offer(*behaviours, name=, content=): these are now the sources of the data set, with this archive behind them."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(dl, "TIMEOUT", 2.0)

    def offer(*behaviours, name="cifar10", content=None):
        server.content = content or (make_tar(CIFAR_FILES) if name == "cifar10" else make_zip(BEE_FILES))
        spec = dataclasses.replace(
            dl.DATA_SETS[name],
            size=len(server.content),
            sha256=hashlib.sha256(server.content).hexdigest(),
            sources=tuple(server.url(behaviour) for behaviour in behaviours),
        )
        monkeypatch.setitem(dl.DATA_SETS, name, spec)
        data_dir().mkdir(exist_ok=True)
        return data_dir() / spec.archive, data_dir() / f"{spec.archive}.part"

    return offer


def run(name="cifar10"):
    return dl.main([name])


def assert_complete(files=CIFAR_FILES):
    assert [file for file in files if (data_dir() / file).read_bytes() != NOISE] == []
    left = {path.name for path in data_dir().iterdir()} - {files[0].split("/")[0]}
    assert {name for name in left if not name.endswith(".lock")} == set()  # no archive, no .part, no working folder


def assert_nothing_unpacked():
    assert [path for path in data_dir().iterdir() if path.is_dir()] == []


def test_download_puts_cifar10_into_the_data_folder_and_says_that_the_archive_is_gone(offer, capsys):
    offer("good")
    assert run() == 0
    assert_complete()
    shown = capsys.readouterr()
    assert "cifar-10-python.tar.gz is no longer needed and was removed" in shown.out
    assert shown.err == ""  # standard error is no terminal here: no bar, no carriage returns


def test_download_asks_for_the_names_that_torchvision_reads():
    cifar = pytest.importorskip("torchvision").datasets.CIFAR10
    spec = dl.DATA_SETS["cifar10"]
    names = [name for name, _ in cifar.train_list + cifar.test_list] + [cifar.meta["filename"]]
    assert (spec.folder, spec.archive, sorted(spec.needs)) == (cifar.base_folder, cifar.filename, sorted(names))
    assert cifar.url == spec.sources[-1]


def test_download_unpacks_hymenoptera_and_returns_its_folder(offer):
    offer("good", name="hymenoptera")
    assert dl.download("hymenoptera") == data_dir() / "hymenoptera_data"
    assert_complete(BEE_FILES)


def test_download_shows_a_bar_with_bytes_on_a_terminal(offer, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    offer("good")
    assert run() == 0
    assert re.search(r"cifar-10-python.tar.gz: 100%.*\d+k/\d+k", sys.stderr.getvalue())


def test_download_resumes_where_it_stopped(offer, server):
    _, part = offer("good")
    part.write_bytes(server.content[:100_000])
    assert run() == 0
    assert server.asked() == ["good bytes=100000-"]
    assert_complete()


@pytest.mark.parametrize(
    ("behaviour", "asked"),
    [("norange", ["norange bytes=100000-"]), ("416", ["416 bytes=100000-", "416"])],
)
def test_download_starts_over_where_a_server_cannot_resume(offer, server, behaviour, asked):
    _, part = offer(behaviour)
    part.write_bytes(server.content[:100_000])
    assert run() == 0
    assert server.asked() == asked  # and no more: a wrong file would have been fetched a second time
    assert_complete()


def test_download_starts_over_where_the_part_is_too_long(offer, server):
    _, part = offer("good")
    part.write_bytes(server.content + b"more")
    assert run() == 0
    assert server.asked() == ["good"]
    assert_complete()


def test_download_starts_over_at_the_same_source_where_the_older_bytes_were_wrong(offer, server):
    _, part = offer("good")
    part.write_bytes(bytes(100_000))
    assert run() == 0
    assert server.asked() == ["good bytes=100000-", "good"]
    assert_complete()


def test_download_fetches_nothing_where_the_part_was_complete(offer, server):
    _, part = offer("good")
    part.write_bytes(server.content)
    assert run() == 0
    assert server.asked() == []
    assert_complete()


def test_download_keeps_its_bytes_where_a_server_resumes_at_another_place(offer, server, capsys):
    _, part = offer("elsewhere", "good")
    part.write_bytes(server.content[:100_000])
    assert run() == 0
    assert server.asked() == ["elsewhere bytes=100000-", "good bytes=100000-"]
    assert "offers bytes from 100007 on" in capsys.readouterr().out
    assert_complete()


@pytest.mark.parametrize(
    ("behaviour", "line"),
    [("missing", "HTTP Error 404"), ("wrong", "the wrong file, deleted"), ("portal", "offers bytes from 0 on of 26")],
)
def test_download_says_why_a_source_is_of_no_use_and_tries_the_next(offer, server, capsys, behaviour, line):
    offer(behaviour, "good")
    assert run() == 0
    assert server.asked() == [behaviour, "good"]  # the second is asked for the whole file: nothing wrong was kept
    lines = [shown for shown in capsys.readouterr().out.splitlines() if line in shown]
    assert len(lines) == 1
    assert lines[0].endswith("trying the next source")
    assert_complete()


def test_download_leaves_a_dead_host_for_the_next_source(offer, server, monkeypatch, capsys):
    offer("good")
    spec = dl.DATA_SETS["cifar10"]
    dead = "http://127.0.0.1:1/archive"  # nothing listens on port 1
    monkeypatch.setitem(dl.DATA_SETS, "cifar10", dataclasses.replace(spec, sources=(dead, *spec.sources)))
    assert run() == 0
    assert "127.0.0.1:1: <urlopen error" in capsys.readouterr().out
    assert_complete()


def test_download_goes_on_at_the_next_source_where_a_connection_was_cut(offer, server, capsys):
    offer("cut", "good")
    assert run() == 0
    assert server.asked() == ["cut", f"good bytes={len(server.content) // 2}-"]
    assert "bytes too early" in capsys.readouterr().out
    assert_complete()


def test_download_leaves_a_slow_source_and_keeps_its_bytes(offer, server, monkeypatch, capsys):
    monkeypatch.setattr(dl, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(dl, "SLOW_RATE", 1e6)
    offer("slow", "good")
    assert run() == 0
    assert [path for path, _ in server.requests] == ["slow", "good"]
    kept = int(server.requests[1][1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < kept < len(server.content)
    assert "too slow" in capsys.readouterr().out
    assert_complete()


def test_download_lets_the_last_source_be_slow(offer, server, monkeypatch):
    monkeypatch.setattr(dl, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(dl, "SLOW_RATE", 1e6)
    offer("slow")
    assert run() == 0
    assert server.asked() == ["slow"]
    assert_complete()


@pytest.mark.parametrize("evil", ["../evil", "/tmp/evil-download-test", "..\\evil", "C:/evil"])
def test_download_refuses_a_zip_that_leads_out_of_its_folder(offer, capsys, evil):
    offer("good", name="hymenoptera", content=make_zip([*BEE_FILES, evil]))
    assert run("hymenoptera") == 2
    assert "leads out of the folder" in capsys.readouterr().err
    assert_nothing_unpacked()


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python is older than 3.11.4")
def test_download_refuses_a_tar_that_leads_out_of_its_folder(offer, capsys):
    offer("good", content=make_tar([*CIFAR_FILES, "../evil"]))
    assert run() == 2
    assert "cannot be unpacked" in capsys.readouterr().err
    assert not (data_dir() / "evil").exists()
    assert_nothing_unpacked()


def test_download_never_shows_half_a_data_set(offer, server, monkeypatch, capsys):
    archive, _ = offer("good")
    (data_dir() / "cifar-10-batches-py.unpacking" / "cifar-10-batches-py").mkdir(parents=True)  # of a killed process
    seen = []

    def fails_midway(self, path, **options):
        for member in self.getmembers()[:3]:
            self.extract(member, path, **options)
        seen.append((data_dir() / "cifar-10-batches-py").exists())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(dl.tarfile.TarFile, "extractall", fails_midway)
        assert run() == 2
    assert seen == [False]
    assert_nothing_unpacked()
    assert capsys.readouterr().err.splitlines() == [f"cifar10: cannot write in {data_dir()}: No space left on device"]
    assert archive.exists()  # so that the next try needs no network
    assert run() == 0
    assert server.asked() == ["good"]
    assert_complete()


def test_download_uses_an_archive_that_was_put_there_by_hand(offer, server):
    archive, _ = offer("missing")
    archive.write_bytes(server.content)
    assert run() == 0
    assert server.asked() == []
    assert_complete()


def test_download_fetches_anew_where_the_archive_put_there_by_hand_is_wrong(offer, server, capsys):
    archive, _ = offer("good")
    archive.write_bytes(server.content[:1000])
    assert run() == 0
    assert f"not the published file: 1000 bytes instead of {len(server.content)}" in capsys.readouterr().out
    assert_complete()


def test_download_says_already_there_and_asks_no_server(offer, server, capsys):
    offer("good")
    assert (run(), run()) == (0, 0)
    assert server.asked() == ["good"]
    assert capsys.readouterr().out.splitlines()[-1] == f"already there: {data_dir() / 'cifar-10-batches-py'}"


def test_download_does_not_take_half_a_data_set_for_a_whole_one(offer, capsys):
    offer("good")
    assert run() == 0
    (data_dir() / "cifar-10-batches-py" / "data_batch_3").unlink()
    assert run() == 2
    assert "lacks data_batch_3: delete that folder" in capsys.readouterr().err


def test_download_says_how_to_do_it_by_hand_where_every_source_fails(offer, server, capsys):
    archive, _ = offer("missing", "cut")
    assert run() == 2
    shown = capsys.readouterr()
    for needed in (str(archive.parent), archive.name, server.url("cut"), "python -m common.download cifar10"):
        assert needed in shown.err
    assert "HTTP Error 404" in shown.err
    assert "Traceback" not in shown.out + shown.err


def test_download_raises_its_own_error_for_a_script_that_calls_it(offer):
    offer("missing")
    with pytest.raises(dl.DownloadError, match="no source worked") as raised:
        dl.download("cifar10")
    assert isinstance(raised.value, RuntimeError)


def test_download_says_in_one_line_that_it_may_not_write(offer, capsys):
    offer("good")
    data_dir().rmdir()
    data_dir().write_text("a file where the folder should be")
    assert run() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cifar10: cannot write in {data_dir()}: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_download_says_in_one_line_that_the_disk_is_full_and_tries_no_further_source(offer, server, capsys):
    _, part = offer("good", "good")
    part.symlink_to("/dev/full")
    assert run() == 2
    assert capsys.readouterr().err.splitlines() == [f"cifar10: cannot write in {data_dir()}: No space left on device"]
    assert server.asked() == ["good"]


def test_download_says_after_ctrl_c_how_much_it_keeps(offer, server, monkeypatch, capsys):
    _, part = offer("good")
    chunks = dl._chunks

    def interrupted(*args):
        yield next(chunks(*args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dl, "_chunks", interrupted)
        patch.setattr(dl, "CHUNK", 100_000)
        assert run() == 130
    kept = part.stat().st_size
    assert 0 < kept <= 100_000
    assert capsys.readouterr().err == f"\nstopped; the same command goes on from {kept / 1e6:.1f} MB\n"
    assert run() == 0
    assert server.asked() == ["good", f"good bytes={kept}-"]


def test_download_leaves_the_field_to_a_process_that_is_at_it(offer, server, capsys):
    archive, _ = offer("good")
    lock = archive.with_name(f"{archive.name}.lock")
    with FileLock(lock):
        assert run() == 2
    assert str(lock) in capsys.readouterr().err
    assert server.asked() == []
    assert run() == 0


def hold(lock, is_held):
    with FileLock(lock):
        is_held.set()
        time.sleep(60)


def test_download_is_not_blocked_by_a_process_that_was_killed(offer):
    archive, _ = offer("good")
    processes = multiprocessing.get_context("spawn")
    is_held = processes.Event()
    process = processes.Process(target=hold, args=(archive.with_name(f"{archive.name}.lock"), is_held))
    process.start()
    try:
        assert is_held.wait(60)
        assert run() == 2
    finally:
        process.kill()
        process.join()
    assert run() == 0
    assert_complete()
