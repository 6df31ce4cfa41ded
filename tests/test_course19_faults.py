"""Course 19, broken on purpose: signals, kill -9, full disks, flipped bits and bombs, in real processes.

Whatever happens to a run, --resume ends with the very weights of a run to which nothing happened.
"""

import contextlib
import errno
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from children import DEADLINE, ROOT, TEST, TRAIN, Server, wait_for
from PIL import Image
from strange_checkpoints import claiming, compressed
from test_course19_train import everything, scalars

from common import UserError, checkpoint
from trainer import runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the trials need processes that fork, and Unix signals"),
]
SOON = 10  # seconds within which a signal has to end a run
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("children"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def noisy_pictures(tmp_path_factory):
    """Two classes of 60 + 19 small pictures, with some in the wrong folder: no accuracy is 0 or 1, nor a round number.

    With --val-split 0.25: 90 pictures to train on, 30 to validate and 38 to test with.
    """
    root = tmp_path_factory.mktemp("noisy_pictures")
    generator = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 19)):
        for label, name in enumerate(("blue", "red")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = generator.integers(0, 200, (32, 32, 3), dtype=np.uint8)
                image[:, :, 2 - 2 * (label ^ (i % 5 == 0))] += 55
                Image.fromarray(image).save(folder / f"{i}.png")
    return root


def options(data, *more):
    """Four epochs of 12 steps (the last has two pictures) and one batch of validation; a checkpoint each third step."""
    return ["--data", data, "--epochs", 4, "--batch-size", 8, "--val-split", 0.25, "--save-every", 3, *more]


STEPS, VALIDATION = 12, 1


@pytest.fixture(scope="session")
def reference_run(tmp_path_factory, noisy_pictures):
    """The run to which nothing happens: typed as anybody would type it, with all that it printed."""
    out = tmp_path_factory.mktemp("reference") / "run"
    command = [sys.executable, TRAIN, *options(noisy_pictures, "--out", out)]
    done = subprocess.run([str(c) for c in command], capture_output=True, encoding="utf-8", timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    (out.parent / "out").write_text(done.stdout)
    (out.parent / "err").write_text(done.stderr)
    return out


def same_as(reference_run, out):
    """Whether a run left what the undisturbed one left: files, weights, optimizer, history and TensorBoard's values."""
    assert {p.name for p in out.iterdir()} == {p.name for p in reference_run.iterdir()}, "no leftovers"
    for name in ("last.pt", "best.pt", "previous.pt"):
        assert everything(out / name) == everything(reference_run / name)
    assert scalars(out / "logs") == scalars(reference_run / "logs"), "one value a step, the same ones"
    return True


def one_line(text):
    """The one clear line on standard error: no traceback, nothing more."""
    assert text.strip().count("\n") == 0 and text.startswith(("train.py: ", "test.py: ", "\ntrain.py: ")), text
    return text


def position(out):
    """How many steps the newest checkpoint of a run stands at."""
    saved = runs.load_newest(out)
    return saved["epoch"] * STEPS + saved["unfinished"]["steps"]


# ---- Signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_a_signal_while_training_saves_and_a_second_one_stops_at_once(
    signum, code, server, noisy_pictures, reference_run, tmp_path
):
    out = tmp_path / "run"
    child = server.start(*options(noisy_pictures, "--out", out), first={"note_steps": {"hold_at": 17}})
    wait_for(lambda: len(child.steps) == 17, "step 17")
    child.signal(signum)
    child.go_on()
    assert child.wait(SOON) == code
    assert "all is saved; go on with the next step: " in one_line(child.err)
    assert child.err.endswith(f"/train.py --resume {out}\n")
    assert position(out) == 16, "17 batches are one validation and 16 steps"

    before = (out / "last.pt").read_bytes()
    child = server.start("--resume", out, first={"note_steps": {"hold_at": 2}})  # a step that does not end in time
    wait_for(lambda: len(child.steps) == 2, "two steps")
    child.signal(signum)
    with pytest.raises(AssertionError, match="waited"):
        child.wait(0.3)  # patient: it waits for the end of the step
    child.signal(signum)
    assert child.wait(SOON) == code
    assert "go on after the last checkpoint: " in one_line(child.err)
    assert (out / "last.pt").read_bytes() == before
    assert server.run("--resume", out).code == 0 and same_as(reference_run, out)


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_a_signal_while_thousands_of_pictures_are_read_stops_at_once(signum, code, server, tmp_path):
    many = tmp_path / "many"
    Image.effect_noise((900, 900), 80).save(tmp_path / "noise.png")  # 15 ms to decode: a minute for all of them
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        (many / folder).mkdir(parents=True)
        for i in range(1000):
            (many / folder / f"{i}.png").hardlink_to(tmp_path / "noise.png")
    child = server.start("--data", many, "--out", tmp_path / "run").until("device: ")
    child.signal(signum)
    assert child.wait(SOON) == code
    assert one_line(child.err) == f"\ntrain.py: stopped by {signum.name}\n"
    assert not (tmp_path / "run").exists()


def test_a_signal_during_a_long_validation_stops_at_once_and_nothing_is_lost(
    server, noisy_pictures, reference_run, tmp_path
):
    out = tmp_path / "run"
    child = server.start(*options(noisy_pictures, "--out", out), first={"note_steps": {"hold_at": 2 * STEPS + 2}})
    wait_for(lambda: child.steps.endswith("v") and child.steps.count("v") == 2, "the second validation")
    child.signal(signal.SIGTERM)
    assert child.wait(SOON) == 143
    assert "stopped by SIGTERM; go on after the last checkpoint: " in one_line(child.err)
    assert position(out) == 2 * STEPS
    assert server.run("--resume", out).code == 0 and same_as(reference_run, out)


# ---- kill -9 ---------------------------------------------------------------------------------------------------------


def test_a_run_killed_at_eight_random_moments_equals_one_that_never_was(
    server, noisy_pictures, reference_run, tmp_path
):
    """Every other time while a checkpoint is being written: as soon as its temporary file is seen."""
    out, dice, stood = tmp_path / "run", random.Random(5), 0
    printed = ""
    for moment in range(8):
        argv = options(noisy_pictures, "--out", out) if moment == 0 else ["--resume", out]
        child = server.start(*argv, first={"note_steps": {}})
        steps = dice.randint(4, 7)
        wait_for(lambda child=child, steps=steps: child.steps.count("t") >= steps, f"{steps} steps")
        if moment % 2:
            wait_for(lambda: list(out.glob(".*.*.pt")) or child.ended(), "a temporary file")  # noqa: B023
        if not child.ended():
            child.kill()
        done, saved = stood + child.steps.count("t"), position(out)
        assert stood < saved <= done <= saved + 3, "nothing before the last checkpoint is ever lost"
        stood, printed = saved, printed + child.out
    child = server.run("--resume", out)
    assert child.code == 0 and same_as(reference_run, out)
    seconds = scalars_with_seconds(out / "logs")["seconds"]
    assert [step for step, _ in seconds] == [1, 2, 3, 4], "no hole, and nothing twice"


def scalars_with_seconds(logs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(logs), {"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def test_a_run_killed_between_any_two_operations_on_its_files_equals_one_that_never_was(
    server, noisy_pictures, reference_run, tmp_path
):
    out = tmp_path / "run"
    # The first: an epoch is logged, but not yet saved. It will be logged again.
    moments = [("open", ".last.", 11), ("open", ".last.", 8), ("os.rename", "last.pt", 3), ("os.rename", "last.pt", 4)]
    moments += [("os.rename", "best.pt", 1), ("os.remove", ".last.", 2), ("open", "events.out", 1)]
    for number, (event, name, count) in enumerate(moments):
        argv = ["--resume", out] if number else options(noisy_pictures, "--out", out)
        child = server.run(*argv, first={"die_before": {"event": event, "name": name, "count": count}})
        assert child.code == -signal.SIGKILL, f"{event} {name}: {child.err}"
        assert position(out) >= 0, "there is always a checkpoint to go on from"
    assert server.run("--resume", out).code == 0 and same_as(reference_run, out)


def test_a_finished_run_has_nothing_to_do_and_is_left_as_it_is(server, reference_run):
    def files():
        return {
            p: (p.read_bytes(), p.stat().st_mtime_ns)
            for p in reference_run.rglob("*")
            if p.is_file() and p.name != ".lock"
        }

    before = files()
    child = server.run("--resume", reference_run)
    assert child.code == 0 and child.out.startswith("nothing to do") and child.err == ""
    assert files() == before


# ---- Two runs never share a folder -----------------------------------------------------------------------------------


def start_at_the_same_moment(server, count, go, *argv, **kwargs):
    first = {"hold_before_claiming": {"go": str(go)}}
    children = [server.start(*argv, first=first, **kwargs) for _ in range(count)]
    for child in children:
        child.until("here")
    go.touch()
    return [(child.wait(), child) for child in children]


def test_three_runs_started_at_the_same_moment_get_three_folders(server, noisy_pictures, reference_run, tmp_path):
    ended = start_at_the_same_moment(server, 3, tmp_path / "go", *options(noisy_pictures), COURSE_HOME=tmp_path)
    assert [code for code, _ in ended] == [0, 0, 0]
    for name in ("run-001", "run-002", "run-003"):
        out, logs = (tmp_path / kind / "Course19-TrainGPU" / name for kind in ("checkpoints", "logs"))
        assert everything(out / "last.pt") == everything(reference_run / "last.pt")
        assert scalars(logs) == scalars(reference_run / "logs")
        assert len(list(logs.iterdir())) == 1


def test_of_two_runs_started_with_the_same_folder_one_is_refused(server, noisy_pictures, reference_run, tmp_path):
    out = tmp_path / "run"
    (_, lost), (_, won) = sorted(
        start_at_the_same_moment(server, 2, tmp_path / "go", *options(noisy_pictures, "--out", out)),
        key=lambda e: -e[0],
    )
    assert (lost.wait(), won.wait()) == (2, 0)
    assert re.search("another process is training in|holds a run", one_line(lost.err))
    assert same_as(reference_run, out)


def test_a_run_that_is_being_trained_is_not_resumed_and_passed_over(server, noisy_pictures, reference_run, tmp_path):
    folder = tmp_path / "checkpoints/Course19-TrainGPU"
    for name in ("run-001", "run-002"):
        child = server.start(*options(noisy_pictures), COURSE_HOME=tmp_path, first={"note_steps": {"hold_at": 5}})
        wait_for(lambda child=child: len(child.steps) == 5, "five steps")
        if name == "run-001":
            child.signal(signal.SIGTERM)
            child.go_on()
            assert child.wait() == 143
    refused = server.run("--resume", folder / "run-002")
    assert refused.code == 2 and "another process is training in" in one_line(refused.err)
    passed = server.run("--resume", COURSE_HOME=tmp_path)
    assert passed.code == 0 and "run-001 after epoch 0 of 4 and 5 steps" in passed.out
    child.go_on()
    assert child.wait() == 0
    for name in ("run-001", "run-002"):
        assert everything(folder / name / "last.pt") == everything(reference_run / "last.pt")


# ---- Damaged checkpoints ---------------------------------------------------------------------------------------------


def structure(data):
    """The bytes of a checkpoint that are no weights: names, sizes and sums of the archive, and the pickle in it."""
    parts = [m.start() for m in re.finditer(b"PK\x03\x04", data)]
    return [i for start in parts for i in range(start, start + 128)] + list(
        range(data.rindex(b"PK\x01\x02") - 6000, len(data))
    )


def damaged_copies(data):
    """300 times a single flipped bit, half of them in the archive's own structure; zeroed blocks; 20 cuts."""
    dice, fragile = random.Random(7), structure(data)
    for n in range(300):
        at = dice.choice(fragile) if n % 2 else dice.randrange(len(data))
        copy = bytearray(data)
        copy[at] ^= 1 << dice.randrange(8)
        yield "flipped", bytes(copy)
    for block in range(0, len(data) - 4096, 65536):
        yield "zeroed", data[:block] + bytes(4096) + data[block + 4096 :]
    for cut in range(20):
        yield "cut", data[: dice.randrange(len(data)) if cut else len(data) - 1]


def test_a_damaged_checkpoint_is_refused_or_the_damage_does_not_matter(reference_run, tmp_path):
    data, original, path = (
        (reference_run / "last.pt").read_bytes(),
        everything(reference_run / "last.pt"),
        tmp_path / "damaged.pt",
    )
    harmless = {"flipped": 0, "zeroed": 0, "cut": 0}
    for kind, damaged in damaged_copies(data):
        path.write_bytes(damaged)
        try:
            checkpoint.load(path)
        except UserError as refused:
            assert "\n" not in str(refused)
            continue
        assert everything(path) == original
        harmless[kind] += 1
    assert harmless["flipped"] < 150 and harmless["zeroed"] == harmless["cut"] == 0
    print(harmless)


def test_no_bit_of_the_archives_own_notes_can_be_wrong_and_the_weights_load_as_others(tmp_path):
    """In such a place a bit turned the weights, for torch.load(), into a folder, and it returned what lay in memory."""
    path = tmp_path / "small.pt"
    checkpoint.save(path, {"state_dict": {"weight": torch.arange(6.0)}, "epoch": 3, "options": {"seed": None}})
    data, original = path.read_bytes(), str(checkpoint.load(path))
    weights = data.index(torch.arange(6.0).numpy().tobytes())
    listed = data.rindex(b"PK\x01\x02", 0, data.rindex(b"/data/0"))  # where the list of contents names the weights
    for at in [*range(weights - 128, weights), *range(listed, listed + 64), *range(len(data) - 22, len(data))]:
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            path.write_bytes(damaged)
            with contextlib.suppress(UserError):
                assert str(checkpoint.load(path)) == original, f"bit {bit} of byte {at}"


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(server, noisy_pictures, reference_run, tmp_path):
    out = tmp_path / "run"
    child = server.run(
        *options(noisy_pictures, "--out", out), first={"die_before": {"event": "open", "name": ".last.", "count": 12}}
    )
    assert child.code == -signal.SIGKILL
    data = (out / "last.pt").read_bytes()
    (out / "last.pt").write_bytes(data[:200_000] + bytes(4096) + data[204_096:])
    child = server.run("--resume", out)
    assert child.code == 0 and same_as(reference_run, out)
    warnings = child.err.splitlines()
    assert len(warnings) == 2 and "last.pt is damaged" in warnings[0] and "previous.pt" in warnings[1]


def test_a_checkpoint_that_unpacks_to_gigabytes_is_refused_in_little_memory(
    server, noisy_pictures, reference_run, tmp_path
):
    good, picture = checkpoint.load(reference_run / "best.pt"), noisy_pictures / "test/red/0.png"
    normal = server.run("--checkpoint", reference_run / "best.pt", picture, program=TEST, COURSE_HOME=tmp_path)
    assert normal.code == 0
    compressed(2600 * 2**20)(tmp_path / "bomb.pt", good)
    assert (tmp_path / "bomb.pt").stat().st_size < 20 * 2**20
    torch.save({"classifier.3.weight": torch.zeros(1, 1).expand(700_000_000, 1)}, tmp_path / "expanded.pt")
    claiming(700_000_000, 1)(tmp_path / "claim.pt", good)
    with (tmp_path / "huge.pt").open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(2600 * 2**20)  # takes no room on the disk
    for name in ("bomb", "expanded", "claim", "huge"):
        child = server.run("--checkpoint", tmp_path / f"{name}.pt", picture, program=TEST, COURSE_HOME=tmp_path)
        assert child.code == 2 and f"{name}.pt" in one_line(child.err)
        assert child.peak < normal.peak + 100, "MB"


# ---- Full and forbidden disks ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root on Linux may mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk, leave=0):
    """Write to the disk until it is full, then make that many bytes free again."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(0, file.tell() - leave))


def test_a_full_disk_is_said_before_the_training_and_leaves_nothing_half_written(
    server, noisy_pictures, small_disk, reference_run
):
    fill(small_disk, leave=300_000)
    child = server.run(*options(noisy_pictures, "--out", small_disk / "run"))
    assert child.code == 2 and "No space left on device): free some space" in one_line(child.err)
    assert "epoch" not in child.out and {p.name for p in (small_disk / "run").iterdir()} <= {".lock"}
    (small_disk / "filler").unlink()
    assert server.run(*options(noisy_pictures, "--out", small_disk / "run")).code == 0 and same_as(
        reference_run, small_disk / "run"
    )


@pytest.mark.parametrize("full", ["checkpoints", "TensorBoard"])
def test_a_disk_that_fills_up_while_training_costs_nothing(
    full, server, noisy_pictures, small_disk, reference_run, tmp_path
):
    out, logs = ((small_disk if full == name else tmp_path) / name for name in ("checkpoints", "TensorBoard"))
    child = server.start(
        *options(noisy_pictures, "--out", out, "--logdir", logs), first={"note_steps": {"hold_at": 20}}
    )
    wait_for(lambda: len(child.steps) == 20, "20 steps")
    before = (out / "last.pt").read_bytes()
    fill(small_disk)
    child.go_on()
    assert child.wait() == 2
    assert "No space left on device" in one_line(child.err)
    if full == "checkpoints":
        assert (out / "last.pt").read_bytes() == before
    assert not list(out.glob(".*.*.pt"))
    again = server.run("--resume", out, "--logdir", logs)  # still full
    assert again.code == 2 and "No space left on device" in one_line(again.err)
    (small_disk / "filler").unlink()
    assert server.run("--resume", out, "--logdir", logs).code == 0
    assert everything(out / "last.pt") | {"options": 0} == everything(reference_run / "last.pt") | {"options": 0}
    assert everything(out / "best.pt")["state_dict"] == everything(reference_run / "best.pt")["state_dict"]
    assert scalars(logs) == scalars(reference_run / "logs")


def test_a_limit_on_the_size_of_files_is_like_a_full_disk(server, noisy_pictures, reference_run, tmp_path):
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux changes the limits of a running process")
    out = tmp_path / "run"
    child = server.start(*options(noisy_pictures, "--out", out), first={"note_steps": {"hold_at": 20}})
    wait_for(lambda: len(child.steps) == 20, "20 steps")
    before = (out / "last.pt").read_bytes()
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    child.go_on()
    assert child.wait() == 2 and "cannot write" in one_line(child.err)
    assert (out / "last.pt").read_bytes() == before
    limit = {"limit_file_size": {"size": 200}}
    child = server.run(
        "--resume", out, "--logdir", tmp_path / "logs", first=limit
    )  # now TensorBoard's file comes first
    assert child.code == 2 and "File too large" in one_line(child.err)
    assert server.run("--resume", out).code == 0 and same_as(reference_run, out)


@pytest.mark.parametrize("forbidden", ["--out", "--logdir", "COURSE_HOME"])
def test_a_folder_that_may_not_be_written_to_is_said_before_the_training(forbidden, server, noisy_pictures, tmp_path):
    locked, home = tmp_path / "locked", tmp_path / "home"
    locked.mkdir(mode=0o555)
    home.mkdir()
    if sys.platform != "linux" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    more = [] if forbidden == "COURSE_HOME" else [forbidden, locked]
    first = {"without_capabilities": {}} if sys.platform == "linux" else None
    child = server.run(*options(noisy_pictures, *more), first=first, COURSE_HOME=home if more else locked)
    assert child.code == 2 and "Permission denied" in one_line(child.err) and "locked" in child.err
    assert "epoch" not in child.out and not list(locked.iterdir())


# ---- Logs ------------------------------------------------------------------------------------------------------------


def test_what_it_prints_into_a_file_is_short_and_has_no_progress_bars(reference_run):
    out, err = ((reference_run.parent / name).read_bytes() for name in ("out", "err"))
    assert err == b"" and b"\r" not in out and b"\x1b" not in out
    assert len(out) < 4 * 5000
    assert sum(line.startswith(b"epoch ") for line in out.splitlines()) == 4


# ---- Numbers that are not finite -------------------------------------------------------------------------------------


def test_a_rate_that_is_too_large_stops_the_run_and_all_that_was_saved_is_finite(server, noisy_pictures, tmp_path):
    more = ["--recipe", "classic", "--lr", "1e30", "--out", tmp_path / "run"]
    child = server.run(*options(noisy_pictures, *more))
    assert child.code == 2
    assert "the loss is not finite at step 2 of epoch 1 (learning rate 1e+30)" in one_line(child.err)
    assert finite(tmp_path / "run/last.pt")


def test_weights_that_explode_in_the_last_step_with_a_finite_loss_are_not_saved(server, noisy_pictures, tmp_path):
    out, huge = tmp_path / "run", ["--lr", "1e20", "--weight-decay", "1e20"]  # their product is infinite in float32
    child = server.run(*options(noisy_pictures, "--recipe", "classic", "--batch-size", 90, *huge, "--out", out))
    assert child.code == 2 and "the weights are no longer finite" in one_line(child.err)
    assert finite(out / "last.pt") and not (out / "best.pt").exists()


def finite(path):
    return all(value.isfinite().all() for value in checkpoint.load(path)["state_dict"].values())


def test_a_checkpoint_with_a_nan_in_it_classifies_nothing(server, noisy_pictures, reference_run, tmp_path):
    contents = checkpoint.load(reference_run / "best.pt")
    contents["state_dict"]["classifier.3.bias"][0] = torch.nan
    checkpoint.save(tmp_path / "nan.pt", contents)
    child = server.run("--checkpoint", tmp_path / "nan.pt", noisy_pictures / "test/red/0.png", program=TEST)
    assert child.code == 2 and "classifier.3.bias holds NaN" in one_line(child.err)


# ---- Pictures --------------------------------------------------------------------------------------------------------


SIDE = 30_000  # 900 million pixels: 2.7 GB as red, green and blue


def png_bomb(path):
    """Half a megabyte, and really a picture: black, one bit a pixel."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    pixels = zlib.compress(bytes(SIDE * (1 + SIDE // 8)), 1)  # each row has a filter byte in front
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def sparse_bomb(path, header):
    """A header and the 112 MB of black pixels that it promises, which take no room on the disk."""
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + SIDE * SIDE // 8)


def tiff_header():
    """One bit a pixel, not compressed, a single strip that begins right after this header."""
    fields = [(256, SIDE), (257, SIDE), (258, 1), (259, 1), (262, 1), (273, 122), (277, 1), (278, SIDE)]
    fields.append((279, SIDE * SIDE // 8))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)


def test_picture_bombs_are_refused_in_little_memory(server, noisy_pictures, reference_run, tmp_path):
    png_bomb(tmp_path / "bomb.png")
    sparse_bomb(tmp_path / "bomb.ppm", b"P4\n%d %d\n" % (SIDE, SIDE))
    sparse_bomb(tmp_path / "bomb.tif", tiff_header())
    bombs = [tmp_path / f"bomb.{kind}" for kind in ("png", "ppm", "tif")]
    small = server.run(
        "--checkpoint", reference_run / "best.pt", noisy_pictures / "test/red/0.png", program=TEST, COURSE_HOME=tmp_path
    )
    child = server.run("--checkpoint", reference_run / "best.pt", *bombs, program=TEST, COURSE_HOME=tmp_path)
    assert small.code == 0 and child.code == 2
    lines = child.err.splitlines()
    assert len(lines) == 3
    assert all(f"{bomb} is too large" in line for bomb, line in zip(bombs, lines, strict=True))
    assert child.peak < small.peak + 100, "MB"

    shutil.copytree(noisy_pictures, tmp_path / "data")
    bombs[0].rename(tmp_path / "data/train/red/bomb.png")
    child = server.run(*options(tmp_path / "data", "--out", tmp_path / "run"))
    assert child.code == 2 and "bomb.png is too large" in one_line(child.err)
    assert child.peak < small.peak + 100 and not (tmp_path / "run").exists()


def test_photographs_of_a_hundred_megapixels_are_classified(server, reference_run, tmp_path):
    noise = Image.merge("RGB", [Image.effect_noise((1200, 840), 60) for _ in range(3)])
    noise.resize((12_000, 8_400)).save(tmp_path / "large.jpg", quality=85)
    for name in ("other.jpg", "third.jpg"):
        (tmp_path / name).hardlink_to(tmp_path / "large.jpg")
    pictures = [tmp_path / name for name in ("large.jpg", "other.jpg", "third.jpg")]
    kwargs = {"program": TEST, "COURSE_HOME": tmp_path}
    one, three = (server.run("--checkpoint", reference_run / "best.pt", *pictures[:n], **kwargs) for n in (1, 3))
    assert one.code == three.code == 0 and one.err == three.err == ""
    assert three.peak < one.peak + 100, "MB: of each picture, only what the network sees is kept"


# ---- Several processes -----------------------------------------------------------------------------------------------


def test_two_and_three_processes_learn_what_one_does_and_count_each_picture_once(server, noisy_pictures, tmp_path):
    classic = ["--recipe", "classic", "--batch-size", 64, "--lr", 0.1]  # batches of 64 and of 26; no BatchNorm
    one = server.run(*options(noisy_pictures, *classic, "--out", tmp_path / "1"), first={"note_counts": {}})
    assert one.code == 0
    alone = checkpoint.load(tmp_path / "1/last.pt")
    for count in (2, 3):
        out = tmp_path / str(count)
        ranks = server.start_together(
            count, *options(noisy_pictures, *classic, "--out", out), first={"note_counts": {}}
        )
        assert [rank.wait() for rank in ranks] == [0] * count, ranks[0].err
        assert not any(rank.err for rank in ranks) and not any(rank.out for rank in ranks[1:])
        assert len(ranks[0].out.splitlines()) == len(one.out.splitlines())
        assert len(list((out / "logs").glob("events*"))) == 1 and {p.name for p in out.iterdir()} == {
            p.name for p in (tmp_path / "1").iterdir()
        }
        together = checkpoint.load(out / "last.pt")
        for a, b in zip(alone["history"], together["history"], strict=True):
            assert a["loss/train"] == pytest.approx(b["loss/train"], rel=1e-5)
            assert a["loss/val"] == pytest.approx(b["loss/val"], rel=1e-5)
        for rank in ranks:
            counts = (rank.place / "counts").read_text().split()
            assert counts == ["90", "30"] * 4 + ["38"], "no picture is left out or counted twice"
        assert together["test"] == pytest.approx(alone["test"], rel=1e-5)


def test_of_several_processes_one_decodes_the_pictures_for_all(server, noisy_pictures, tmp_path):
    classic = ["--recipe", "classic", "--batch-size", 64, "--epochs", 1]
    ranks = server.start_together(
        2, *options(noisy_pictures, *classic, "--out", tmp_path / "run"), first={"note_reads": {}}
    )
    assert [rank.wait() for rank in ranks] == [0, 0], ranks[0].err
    assert len((ranks[0].place / "reads").read_text().splitlines()) == 2 * (60 + 19)
    assert not (ranks[1].place / "reads").exists()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--data", "no/such/folder"], "there is no data folder"),
        (["--colour", "red"], "unrecognized arguments"),
        (["--batch-size", "88"], "the last step of an epoch has 2 pictures, too few to share"),
    ],
)
def test_an_error_of_three_processes_is_one_line_and_nobody_waits(argv, says, server, noisy_pictures, tmp_path):
    ranks = server.start_together(3, *options(noisy_pictures, *argv), COURSE_HOME=tmp_path)
    assert [rank.wait() for rank in ranks] == [2, 2, 2]
    assert says in one_line("".join(rank.err for rank in ranks))
    assert not list(tmp_path.rglob("*.pt"))


def test_a_full_disk_stops_all_processes_with_one_line(server, noisy_pictures, small_disk):
    ranks = server.start_together(
        2, *options(noisy_pictures, "--out", small_disk / "run"), first={"note_steps": {"hold_at": 20}}
    )
    for rank in ranks:
        wait_for(lambda rank=rank: len(rank.steps) == 20, "20 steps")
    fill(small_disk)
    for rank in ranks:
        rank.go_on()
    assert [rank.wait(30) for rank in ranks] == [2, 2]
    assert "No space left on device" in one_line("".join(rank.err for rank in ranks))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_torchrun_does_not_kill_the_process_that_is_to_say_why(tmp_path):
    """torchrun ends all when the first one fails. Here the one that speaks is two seconds behind."""
    code = "import os, time\ntime.sleep(2 * (os.environ.get('LOCAL_RANK') == '0'))\n"
    code += (ROOT / "tests/every_process/sitecustomize.py").read_text()
    (tmp_path / "sitecustomize.py").write_text(code)
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    run = Torchrun(tmp_path / "run", 2, "--colour", "red", PYTHONPATH=path)
    assert run.ended(run.ranks()) != 0
    assert len(run.own_lines) == 1 and "unrecognized arguments: --colour red" in run.own_lines[0]


class Torchrun:
    """The real one, with its ranks."""

    def __init__(self, folder, count, *argv, **environment):
        self.folder = folder
        folder.mkdir()
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, TRAIN]
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            kwargs = {"stdout": out, "stderr": err, "start_new_session": True, "cwd": ROOT}
            kwargs["env"] = os.environ | environment
            self.process = subprocess.Popen([str(c) for c in (*command, *argv)], **kwargs)

    def ranks(self):
        """The numbers of the processes that train."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return sorted(found)

    def until(self, text, count=1):
        out = self.folder / "out"
        wait_for(lambda: out.read_text().count(text) >= count or self.process.poll() is not None, text)
        assert out.read_text().count(text) >= count, (self.folder / "err").read_text()

    def ended(self, ranks):
        """Its exit code, when all its processes are gone too."""
        code = self.process.wait(30)
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ranks), "the end of all ranks", 5)
        return code

    @property
    def own_lines(self):
        """What the program said on standard error; torchrun has a lot to say itself."""
        return [line for line in (self.folder / "err").read_text().splitlines() if line.startswith("train.py: ")]


@pytest.mark.skipif(sys.platform != "linux", reason="finds torchrun's processes in /proc")
def test_a_killed_rank_ends_all_and_the_run_goes_on_with_other_numbers_of_processes(server, noisy_pictures, tmp_path):
    out, classic = tmp_path / "run", ["--recipe", "classic", "--lr", 0.03, "--epochs", 30, "--batch-size", 9]
    run = Torchrun(tmp_path / "first", 2, *options(noisy_pictures, *classic, "--out", out))
    run.until("epoch ", 3)  # steps have 9 pictures here, for three processes cannot share the two of STEPS' last one
    refused = server.run("--resume", out)
    assert refused.code == 2 and "another process is training in" in one_line(refused.err)
    ranks = run.ranks()
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    assert run.ended(ranks) != 0
    stood = runs.load_newest(out)["epoch"]

    run = Torchrun(tmp_path / "second", 3, "--resume", out)
    run.until("epoch ", 3)
    ranks = run.ranks()
    assert len(ranks) == 3 and runs.load_newest(out)["epoch"] > stood
    run.process.terminate()
    assert run.ended(ranks) != 0
    assert len(run.own_lines) == 1 and "stopped by SIGTERM; all is saved" in run.own_lines[0]
    stood = runs.load_newest(out)["epoch"]

    child = server.run("--resume", out)
    assert child.code == 0 and f"resuming {out} after epoch {stood} of 30" in child.out
    undisturbed = server.run(*options(noisy_pictures, *classic, "--out", tmp_path / "alone"))
    assert undisturbed.code == 0
    ours, theirs = (checkpoint.load(folder / "last.pt") for folder in (out, tmp_path / "alone"))
    for a, b in zip(ours["history"], theirs["history"], strict=True):
        assert a["loss/train"] == pytest.approx(b["loss/train"], rel=5e-3)
    log, other = scalars(out / "logs"), scalars(tmp_path / "alone/logs")
    assert {tag: [step for step, _ in values] for tag, values in log.items()} == {
        tag: [step for step, _ in values] for tag, values in other.items()
    }
