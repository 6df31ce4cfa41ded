"""Which run test.py takes unasked, and what a run says of itself."""

import os

import pytest
from lessons import load_module, script_of

from common import UserError, checkpoint
from common.checkpoint import BEST, LAST
from trainer import runs
from trainer.records import read_record
from trainer.report import describe

LESSON = "Course19-TrainGPU"
train = load_module(script_of(LESSON))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pictures):
    """What stands in the last and in the best checkpoint of a small run that is finished: 48 pictures, 12 held out."""
    out = tmp_path_factory.mktemp("finished") / "run"
    options = ["--data", pictures, "--model", "lenet", "--epochs", 2, "--val-split", 0.25, "--device", "cpu"]
    assert train.main([str(word) for word in [*options, "--out", out]]) == 0
    return checkpoint.load(out / LAST), checkpoint.load(out / BEST)


@pytest.fixture
def make_run(finished, course_home):
    """Writes the checkpoints of a run of a kind, the next one newer than the one before."""

    def make_run(kind):
        last, best = ({**contents, "options": dict(contents["options"])} for contents in finished)
        folder = course_home / "checkpoints" / LESSON / f"run-{len(made) + 1:03}"
        folder.mkdir(parents=True)
        if "trial" in kind:
            last["options"]["limit"] = best["options"]["limit"] = 20
        if "limit of all" in kind:
            last["options"]["limit"] = best["options"]["limit"] = 48
        if "unfinished" in kind:
            del last["test"]
        checkpoint.save(folder / BEST, best)
        if "best alone" not in kind:
            checkpoint.save(folder / LAST, last)
        if "damaged" in kind:
            (folder / LAST).write_bytes((folder / LAST).read_bytes()[:-100])
        if "not begun" in kind:
            (folder / BEST).unlink()
        made.append(folder)
        for path in folder.iterdir():
            os.utime(path, (1000 + len(made), 1000 + len(made)))
        return folder

    made = []
    return make_run


@pytest.mark.parametrize(
    ("kinds", "taken", "says"),
    [
        ([], None, []),
        (["finished"], 1, []),
        (["finished", "finished"], 2, []),
        (["finished", "limit of all"], 2, []),
        (["finished", "trial"], 1, ["run-002 is newer, but a quick trial (--limit 20). To take it, add"]),
        (["finished", "unfinished"], 1, ["run-002 is newer, but not finished. To take it, add"]),
        (["finished", "damaged"], 1, ["run-002 is newer, but damaged. To take it, add"]),
        (["finished", "unfinished", "trial"], 1, ["run-003 is newer, but a quick trial (--limit 20). To take it, add"]),
        (["trial", "unfinished", "finished"], 3, []),
        (["finished", "not begun"], 1, []),
        (["finished", "best alone"], 2, []),
        (["trial"], 1, ["run-001 is a quick trial (--limit 20)"]),
        (["trial", "trial"], 2, ["run-002 is a quick trial (--limit 20)"]),
        (["unfinished"], 1, ["run-001 is not finished"]),
        (["unfinished", "trial"], 1, ["run-001 is not finished", "run-002 is newer, but a quick trial"]),
        (["unfinished trial", "trial"], 2, ["run-002 is a quick trial"]),
        (["damaged"], 1, ["run-001 is damaged"]),
    ],
)
def test_the_newest_run_is_the_newest_that_is_finished_and_knows_all_pictures(kinds, taken, says, make_run):
    folders = [make_run(kind) for kind in kinds]
    best, note = runs.newest_best(LESSON)
    assert best == (folders[taken - 1] / BEST if taken else None)
    assert all(words in note for words in says) and len(note) > 0 if says else note == ""
    assert ("newer" in note) == bool(folders and f"--checkpoint {folders[-1] / BEST}" in note)


def test_of_two_runs_side_by_side_the_newest_is_the_one_that_ended_last(make_run):
    folders = [make_run("finished"), make_run("finished")]
    os.utime(folders[0] / LAST, (2000, 2000))  # its best epoch was long before
    assert runs.newest_best(LESSON)[0].parent == folders[0]


def test_a_record_counts_the_pictures_that_were_trained_on(finished, tmp_path, pictures):
    last, best = finished
    checkpoint.save(tmp_path / LAST, last)
    checkpoint.save(tmp_path / BEST, best)
    accuracy = f"{last['test']['accuracy']:.2%}"
    expected = f"trained on 36 pictures of {pictures}; {accuracy} right on 16 test pictures"
    assert str(read_record(tmp_path / BEST)) == str(read_record(tmp_path / LAST)) == expected

    (tmp_path / LAST).unlink()
    accuracy = f"{best['history'][best['epoch'] - 1]['accuracy/val']:.2%}"
    expected = f"trained on 36 pictures of {pictures}; {accuracy} right on 12 validation pictures"
    assert str(read_record(tmp_path / BEST)) == expected, "the test pictures have not been measured yet"

    best["options"] = best["options"] | {"limit": 20}
    checkpoint.save(tmp_path / BEST, best)
    assert (record := read_record(tmp_path / BEST)).pictures == 15 and record.limit == 20


@pytest.mark.parametrize(
    ("data", "says"),
    [("drawn", "drawn pictures"), ("cifar10", "photographs of CIFAR-10"), ("/\0", "pictures"), ("x", "pictures")],
)
def test_a_record_says_what_kind_of_pictures_they_were(data, says, finished, tmp_path):
    checkpoint.save(tmp_path / LAST, finished[0] | {"data": data})
    assert f"trained on 36 {says}; " in str(read_record(tmp_path / LAST))


@pytest.mark.parametrize(("number", "trained_on"), [("48", None), (48, 48)])
def test_a_record_of_strange_values_says_less_and_does_no_harm(number, trained_on, finished, tmp_path):
    strange = {"limit": "many", "val_split": "half", "pretrained": 5}
    contents = {
        **finished[0],
        "options": finished[0]["options"] | strange,
        "pictures": {"training": {"number": number}},
    }
    checkpoint.save(tmp_path / LAST, {key: value for key, value in contents.items() if key != "test"})
    record = read_record(tmp_path / LAST)
    assert (record.pictures, record.limit, record.pretrained) == (trained_on, None, None)
    assert "right on the validation pictures" in str(record)


def test_weights_alone_have_no_record(finished, tmp_path):
    checkpoint.save(tmp_path / BEST, finished[0]["state_dict"])
    with pytest.raises(UserError, match="no training to go on with"):
        read_record(tmp_path / BEST)


@pytest.mark.parametrize(
    ("epoch", "epochs", "seconds", "said"), [(1, 10, 4.2, "4.2"), (10, 10, 11.2, "11"), (99, 99, 999.4, "999")]
)
def test_the_line_of_an_epoch_fits_80_columns_however_slow_the_machine(epoch, epochs, seconds, said):
    row = {"epoch": epoch, "seconds": seconds, "loss/train": 2.126, "accuracy/train": 0.2308}
    line = describe(row | {"loss/val": 1.921, "accuracy/val": 0.3060}, epochs, is_best=True)
    assert len(line) <= 80
    assert line.endswith(f"  {said} s  best")
