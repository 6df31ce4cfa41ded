"""The Chinese edition says what the English one says: each page is held against the other, section by section."""

import re
import shutil

import pytest
import translation
from translation import Page, all_pages, fingerprint, main, message_files, problems, problems_with_messages
from translation_checks import problems_with_terms

from common import UserError
from common.paths import REPOSITORY


@pytest.mark.parametrize("page", all_pages(), ids=str)
def test_a_chinese_page_is_in_step_with_the_english_one(page):
    assert not page.chinese.exists() or problems(page, translation.read_terms()) == []


@pytest.mark.parametrize("path", message_files(), ids=lambda path: path.parent.name)
def test_the_chinese_messages_are_chinese_and_say_the_same_numbers(path):
    assert problems_with_messages(path, translation.read_terms()) == []


def test_every_page_is_there_once_the_chinese_readme_is():
    assert not translation.is_whole() or translation.missing() == []


def test_the_table_of_terms_does_not_contradict_itself():
    assert problems_with_terms(translation.read_terms()) == []


# ---- The checks themselves: each must name its kind of fault, with file and section ----------------------------------

ENGLISH = """# Course 05 · DataLoader

*How do samples become batches?* [Practice](../README.md#practice) comes later.

**Before this:** [Course 01](../Course01-Dataset/notes.md#2-the-smallest-data-set), and a look at
[Deep residual learning for the recognition of images](https://arxiv.org/abs/1512.03385).

## 1. Setup

The lesson uses 1,000 pictures in 16 batches, 87.5 % of them drawn. Two of the three colours suffice.

```python
import torch  # for all
```

```text
1000 pictures
```

## 2. Count the batches

A **batch** is a list of samples, and `len(loader)` counts them: $\\lceil n / b \\rceil$. See [above](#1-setup).

```math
\\text{batches} = 16
```

*Predict, then look:* how many?

<details>
<summary>Look</summary>

![Samples become batches](figures/pipeline.png)

</details>

| argument | it decides |
| --- | --- |
| `shuffle` | a new order each epoch |

## Your turn

1. Counting batches (predict, 4 min)
2. The size of each batch (write, 8 min)

# Second reading

For later.
"""

CHINESE = """# Course 05 · DataLoader
[English](notes.md)
<!-- english: FINGERPRINT -->

*样本是怎样变成批次的？*[练习](../README.zh-CN.md#练习) 以后再做。

**前置课程：** [Course 01](../Course01-Dataset/notes.zh-CN.md#2-最小的数据集)，再看一眼
[Deep residual learning for the recognition of images](https://arxiv.org/abs/1512.03385)。

## 1. 准备工作
<!-- english: FINGERPRINT -->

本课把 1000 张图片分成 16 个批次，其中 87.5% 是绘制的。3 种颜色中两种就够了。

```python
import torch  # for all
```

```text
1000 pictures
```

## 2. 数一数批次
<!-- english: FINGERPRINT -->

**批次 (batch)** 是一组样本，`len(loader)` 数出批次的个数： $\\lceil n / b \\rceil$。见 [上文](#1-准备工作)。

```math
\\text{batches} = 16
```

*先猜再看：* 有多少个？

<details>
<summary>看结果</summary>

![样本变成批次](figures/pipeline.png)

</details>

| 参数 | 它决定什么 |
| --- | --- |
| `shuffle` | 每个 epoch 的新顺序 |

## 轮到你了
<!-- english: FINGERPRINT -->

1. 数批次（predict，4 分钟）
2. 每个批次的大小（write，8 分钟）

# 第二遍阅读

以后再读。
"""

TERMS = [
    {"english": "batch", "chinese": "批次", "forbidden": ["批量", "批处理"], "unless": ["批处理文件"], "first": True},
    {"english": "Predict, then look", "chinese": "先猜再看"},
    {"english": "Look (fold)", "chinese": "看结果"},
    {"english": "Your turn", "chinese": "轮到你了"},
    {"english": "epoch", "keep": True, "forbidden": ["纪元"]},
]


@pytest.fixture
def edition(tmp_path, monkeypatch):
    """A course of two lessons and a README in both languages, without a fault; the page of Course 05."""
    monkeypatch.setattr(translation, "REPOSITORY", tmp_path)
    pages = {
        "Course05-DataLoader/notes": (ENGLISH, CHINESE),
        "Course01-Dataset/notes": (
            "# Course 01\n\n## 2. The smallest data set\n",
            "# Course 01\n<!-- english: FINGERPRINT -->\n\n## 2. 最小的数据集\n<!-- english: FINGERPRINT -->\n",
        ),
        "README": (
            "[中文](README.zh-CN.md)\n\n# PyTorch\n\n## Practice\n\n## Results\n",
            "[English](README.md)\n\n# PyTorch 教程\n<!-- english: FINGERPRINT -->\n\n"
            "## 练习\n<!-- english: FINGERPRINT -->\n\n## 结果\n<!-- english: FINGERPRINT -->\n",
        ),
        "FROM-THE-VIDEOS": ("# Videos\n", "# 视频\n<!-- english: FINGERPRINT -->\n"),
    }
    for name, (english, chinese) in pages.items():
        path = tmp_path / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(english, encoding="utf-8")
        sections = re.split(r"^(?=## )", re.sub(r"^\[中文\].*\n", "", english), flags=re.MULTILINE)
        for section in sections:  # worked out here by hand, from the definition
            chinese = chinese.replace("FINGERPRINT", fingerprint(section), 1)
        Page(path).chinese.write_text(chinese, encoding="utf-8")
    figure = tmp_path / "Course05-DataLoader" / "figures" / "pipeline.png"
    figure.parent.mkdir()
    figure.touch()
    return Page(tmp_path / "Course05-DataLoader" / "notes.md")


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text, f"the fault cannot be planted: {old!r} is not there"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_edition_in_step_has_no_problems(edition):
    assert [problem for page in all_pages() for problem in problems(page, TERMS)] == []
    assert translation.missing() == []


FAULTS_IN_CHINESE = [  # what stands there, the fault, the section that is named, and what is said of it
    ("87.5%", "78.5%", "1", "number 87.5% is missing"),
    ("87.5%", "78.5%", "1", "number 78.5% is not in English"),
    ("16 个", "十六个", "1", "number 16 is missing"),
    ("1000 张", "10000 张", "1", "number 1000 is missing"),
    ("1000 张", "1000 万张", "1", "number 10000000 is not in English"),
    ("两种", "4 种", "1", "number 4 is not in English"),
    ("3 种颜色", "3 种颜色（3 种）", "1", "number 3 is not in English"),
    ("87.5% 是", "87.5 是", "1", "number 87.5% is missing"),
    ("4 分钟", "5 分钟", "Your turn", "number 4 is missing"),
    ("import torch  # for all", "import torch  # 都要用", "1", "block 1 is not the English one"),
    ("```text\n1000 pictures", "```text\n1000 图片", "1", "block 2 is not the English one"),
    ("```text\n1000 pictures\n```\n", "", "1", "1 blocks of code, 2 in English"),
    ("```text\n", "```text about\n", "1", "block 2 is not the English one"),
    ("\\text{batches} = 16", "\\text{批次} = 16", "2", "block 1 is not the English one"),
    ("$\\lceil n / b \\rceil$", "$\\lfloor n / b \\rfloor$", "2", "formula $\\lceil n / b \\rceil$ is missing"),
    ("`len(loader)`", "`len(dataset)`", "2", "code `len(loader)` is missing"),
    ("`shuffle`", "shuffle", "2", "code `shuffle` is missing"),
    ("![样本变成批次](figures/pipeline.png)\n", "", "2", "figure figures/pipeline.png is missing"),
    ("figures/pipeline.png", "figures/no.png", "2", "figures/no.png leads nowhere"),
    ("![样本变成批次]", "![Samples become batches]", "2", "described in English"),
    ("](https://arxiv.org/abs/1512.03385)", "](https://arxiv.org/abs/1512.03386)", "0", "1512.03385 is missing"),
    ("notes.zh-CN.md#2-最小的数据集", "notes.md#2-the-smallest-data-set", "0", "zh-CN.md#2-最小的数据集 is missing"),
    ("#2-最小的数据集", "#2-the-smallest-data-set", "0", "zh-CN.md#2-the-smallest-data-set leads nowhere"),
    ("[上文](#1-准备工作)", "[上文](#1-setup)", "2", "link #1-准备工作 is missing"),
    ("[上文](#1-准备工作)", "上文", "2", "link #1-准备工作 is missing"),
    ("</details>\n", "", "2", "the tags are"),
    ("| `shuffle` | 每个 epoch 的新顺序 |\n", "", "2", "table rows have [2, 2] columns, in English [2, 2, 2]"),
    ("| 它决定什么 |", "| 它 | 决定什么 |", "2", "table rows have [3, 2, 2] columns"),
    ("# 第二遍阅读\n", "", "Your turn", "headings have the levels [2], in English [2, 1]"),
    ("\n以后再读。\n", "", "Your turn", "paragraphs: 3, in English 4"),
    ("2. 每个批次的大小", "和每个批次的大小", "Your turn", "list items: 1, in English 2"),
    ("以后再读。", "This part is for later, when you come back to it.", "Your turn", "left in English: “This part"),
    ("以后再读。", "以后再读。This part is for later, when you come back.", "Your turn", "left in English: “This part"),
    ("每个 epoch 的新顺序", "a new order of samples each epoch", "2", "left in English: “a new order"),
    ("**批次 (batch)** 是", "**批量 (batch)** 是批次，", "2", "批量 is not our word for “batch”: write 批次"),
    ("以后再读。", "以后运行批处理。", "Your turn", "批处理 is not our word for “batch”: write 批次"),
    ("每个 epoch 的新顺序", "每个纪元的新顺序", "2", "纪元 is not our word for “epoch”: write epoch"),
    ("*先猜再看：*", "*先想后看：*", "2", "“predict, then look” is 先猜再看 in our table"),
    ("<summary>看结果", "<summary>看", "2", "“look” is 看结果 in our table"),
    ("## 轮到你了", "## 该你了", "Your turn", "“your turn” is 轮到你了 in our table"),
    ("批次 (batch)", "批次", "0", "say once what it is in English, 批次（batch）"),
    ("是一组样本，", "是一组样本,", "2", "line 26, “) 是一组样本,`…` 数出批次”: use full-width punctuation"),
    ("本课把", "本课(这一课) 把", "1", "line 13, “本课(这一课) 把"),
    ("就够了。", "就够了.", "1", "use full-width punctuation"),
    ("`len(loader)` 数出", "`len(loader)`, 数出", "2", "use full-width punctuation"),
    ("16 个批次", "16个批次", "1", "line 13, “图片分成 16个批次，其中”: put a space"),
    ("每个 epoch 的", "每个epoch 的", "2", "每个epoch 的”: put a space"),
    ("其中 87.5% 是", "其中 87.5% ，是", "1", "write full-width punctuation without the space"),
    ("个数： $", "个数：$", "2", "put a space beside the formula"),
    ("**批次 (batch)** 是", "**批次 (batch)**是", "2", "put a space outside the asterisks"),
    (
        "## 2. 数一数批次\n<!-- english: ",
        "## 2. 数一数批次\n<!-- english: 0",
        "2",
        "has changed since it was translated",
    ),
    ("## 2. 数一数批次\n<!-- english: ", "## 2. 数一数批次\n<!-- ", "2", "has no fingerprint"),
    ("## 1. 准备工作", "## 3. 准备工作", "1", "is missing, or at a different place"),
    ("## 1. 准备工作", "## 3. 准备工作", "3", "has no English section at this place"),
    ("## 轮到你了", "## 3. 多余的\n\n## 轮到你了", "3", "has no English section at this place"),
    ("## 轮到你了", "轮到你了", "Your turn", "is missing, or at a different place"),
    ("## 轮到你了", "## 自测\n\n## 轮到你了", "自测", "has no English section at this place"),
]


@pytest.mark.parametrize(("old", "new", "section", "said"), FAULTS_IN_CHINESE, ids=[f[3] for f in FAULTS_IN_CHINESE])
def test_a_fault_of_the_chinese_page_is_named_with_file_and_section(edition, old, new, section, said):
    change(edition.chinese, old, new)
    found = problems(edition, TERMS)
    named = f"Course05-DataLoader/notes.zh-CN.md, section {section}: "
    assert any(problem.startswith(named) and said in problem for problem in found), found


FAULTS_IN_ENGLISH = [
    ("16 batches", "17 batches", "1", "number 17 is missing"),
    ("16 batches", "17 batches", "1", "number 16 is not in English"),
    ("1000 pictures", "1001 pictures", "1", "block 2 is not the English one ('1001 pictures')"),
    ("![Samples become batches](figures/pipeline.png)\n", "", "2", "figure figures/pipeline.png is not in English"),
    ("[above](#1-setup)", "above", "2", "link #1-准备工作 is not in English"),
    ("`len(loader)`", "`len(batches)`", "2", "code `len(batches)` is missing"),
    ("| `shuffle` | a new order each epoch |\n", "", "2", "in English [2, 2]"),
    ("For later.", "For now.", "Your turn", "has changed since it was translated: translate what changed"),
    ("## Your turn", "## 3. Shuffle\n\n## Your turn", "3", "is missing, or at a different place: translate it there"),
    ("## 1. Setup", "Setup", "1", "has no English section at this place"),
]


@pytest.mark.parametrize(("old", "new", "section", "said"), FAULTS_IN_ENGLISH, ids=[f[3] for f in FAULTS_IN_ENGLISH])
def test_a_change_of_the_english_page_names_what_is_to_be_done_in_the_chinese_one(edition, old, new, section, said):
    change(edition.english, old, new)
    found = problems(edition, TERMS)
    named = f"Course05-DataLoader/notes.zh-CN.md, section {section}: "
    assert any(problem.startswith(named) and said in problem for problem in found), found


def test_new_line_breaks_in_english_make_nothing_stale(edition):
    change(edition.english, "in 16 batches, 87.5 %", "in 16\nbatches, 87.5 %")
    assert problems(edition, TERMS) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3 种颜色中两种", "三种颜色中 2 种"),  # what English says in words may be a word or digits
        ("1000 张", "1,000 张"),
        ("1000 张", "0.1 万张"),
        ("87.5% 是", "87.5 % 是"),
        ("以后再读。", "以后运行批处理文件。"),  # a longer word, in which the forbidden one is fine
        ("以后再读。", "文件 pytorch.txt, data.csv 以后再读。"),
        ("以后再读。", "有 LeNet、VGG、ResNet（见后文）。"),
        ("（predict，4 分钟）", "（4 分钟，predict）"),  # a different order of words
    ],
)
def test_what_a_translator_may_do_is_no_fault(edition, old, new):
    change(edition.chinese, old, new)
    assert problems(edition, TERMS) == []


def test_while_pages_come_one_by_one_a_link_to_an_english_page_is_right_and_afterwards_wrong(edition):
    change(edition.chinese, "notes.zh-CN.md#2-最小的数据集", "notes.md#2-the-smallest-data-set")
    readme = translation.REPOSITORY / "README.zh-CN.md"
    assert len(problems(edition, TERMS)) == 2
    readme.rename(readme.with_name("later.md"))
    change(edition.chinese, "README.zh-CN.md#练习", "README.md#practice")
    assert problems(edition, TERMS) == []


def test_a_table_of_terms_that_contradicts_itself_is_named():
    table = [
        {"english": "batch", "chinese": "批次", "forbidden": ["批"]},
        {"english": "Batch", "chinese": "批"},
        {"english": "epoch"},
        {"english": "logits", "chinese": "对数几率", "keep": True},
        {"english": "kernel", "chinese": "卷积核", "forbidden": ["核"], "unless": ["卷积核"]},
    ]
    found = problems_with_terms(table)
    assert [problem.split(":")[0] for problem in found] == ["batch", "batch", "batch", "epoch", "logits"]


# ---- Messages --------------------------------------------------------------------------------------------------------

TOML = """["1"]
title = "数批次"
task = \"\"\"
CIFAR-10 有 50,000 张训练图片，每批 128 张。写出 3 个数：

batch_sizes(10, 4) 得到 [4, 4, 2]。
\"\"\"
english = "00000000"

[hints]
"len(loader) is the number of batches, not of samples." = "len(loader) 是批次的个数，不是样本的个数。"

[rows]
"the means of {} pictures in batches of 8" = "{} 张图片、每批 8 张时的均值"
"""
TASK = "CIFAR-10 has 50,000 training pictures, in batches of 128. Three numbers:\n\nbatch_sizes(10, 4) is [4, 4, 2]."


@pytest.fixture
def messages(edition, monkeypatch):
    """The messages of the exercises of Course 05."""
    monkeypatch.setattr(translation, "english_words", lambda path, n: {"title": "Counting batches", "task": TASK})
    monkeypatch.setattr(translation, "task_fingerprint", lambda lesson, n: f"1234abc{n}")
    path = edition.english.with_name(translation.MESSAGES)
    path.write_text(TOML, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("50,000", "5,000", "exercise 1, task: number 50000 is missing"),
        ("每批 8 张", "每批 9 张", "rows, “the means of {} pictures in batches of 8”: number 8 is missing"),
        ("批次的个数，", "批量的个数，", "number of batches, no”: 批量 is not our word for “batch”: write 批次"),
        ("的个数，不是", "的个数,不是", "use full-width punctuation"),
        ("有 50,000 张", "有50,000 张", "put a space"),
        ("数批次", "Counting batches", "exercise 1, title: has no Chinese word"),
        ("{} 张图片、每批 8 张时的均值", "the means of {} pictures in batches of 8", "left in English"),
    ],
)
def test_a_fault_of_a_message_is_named(messages, old, new, said):
    assert problems_with_messages(messages, TERMS) == []
    change(messages, old, new)
    found = problems_with_messages(messages, TERMS)
    assert any("Course05-DataLoader/messages.zh-CN.toml, " in problem and said in problem for problem in found), found


def test_the_english_words_of_an_exercise_are_those_of_its_cell():
    path = REPOSITORY / "Course05-DataLoader" / translation.MESSAGES
    english = translation.english_words(path, 2)
    assert english["title"] == "The size of each batch"
    assert english["task"].startswith("`count` samples come in batches of `batch_size`.")
    assert english["task"].rstrip().endswith("No loader is needed.")
    with pytest.raises(UserError, match="no exercise 9"):
        translation.english_words(path, 9)


def test_the_words_of_the_practice_itself_are_checked_without_english(edition):
    path = edition.english.parent.parent / "practice" / translation.MESSAGES
    path.parent.mkdir()
    path.write_text('done = "完成"\nbatch = "批量"\n\n[kinds]\nwrite = "编写,修改"\n', encoding="utf-8")
    found = [problem.split(": ")[0] for problem in problems_with_messages(path, TERMS)]
    assert found == ["practice/messages.zh-CN.toml, batch", "practice/messages.zh-CN.toml, kinds write"]


# ---- The commands ----------------------------------------------------------------------------------------------------


def test_status_names_what_is_missing_and_what_is_stale(edition, capsys):
    change(edition.english, "16 batches", "17 batches")
    change(edition.english, "For later.", "For now.")
    (translation.REPOSITORY / "FROM-THE-VIDEOS.zh-CN.md").unlink()
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "FROM-THE-VIDEOS.zh-CN.md: missing",
        "Course05-DataLoader/notes.zh-CN.md: stale: 1, Your turn",
        "3 of 4 pages are there, 0 files of messages",
    ]


def test_accepting_a_section_takes_its_staleness_and_no_other(edition, capsys):
    change(edition.english, "16 batches", "16 new batches")
    change(edition.english, "For later.", "For now.")
    assert main(["accept", "Course05", "1"]) == 0
    assert [problem.split(":")[0][-9:] for problem in problems(edition, TERMS)] == ["Your turn"]
    assert main(["accept", "Course05-DataLoader/notes.zh-CN.md", "Your turn"]) == 0
    assert problems(edition, TERMS) == []


def test_accepting_a_page_adds_the_fingerprints_that_are_missing_and_nothing_else(edition):
    before = edition.chinese.read_text(encoding="utf-8")
    edition.chinese.write_text(re.sub(r"<!-- .* -->\n", "", before), encoding="utf-8")
    assert main(["accept", "Course05"]) == 0
    title, switch, comment, rest = before.split("\n", 3)
    assert edition.chinese.read_text(encoding="utf-8") == "\n".join([title, comment, switch, rest])
    assert problems(edition, TERMS) == []


def test_accepting_a_lesson_accepts_its_messages_too(messages):
    assert main(["accept", "Course05", "1"]) == 0
    assert messages.read_text(encoding="utf-8") == TOML
    assert main(["accept", "Course05"]) == 0
    assert messages.read_text(encoding="utf-8") == TOML.replace("00000000", "1234abc1")
    messages.write_text(TOML.replace('english = "00000000"\n', ""), encoding="utf-8")
    assert main(["accept", "Course05"]) == 0
    assert translation.read_toml(messages)["1"]["english"] == "1234abc1"


def test_links_lead_to_chinese_pages_and_what_stands_in_code_stays(edition):
    right = edition.chinese.read_text(encoding="utf-8").replace("以后再读。", "`[a](../README.md)`")
    wrong = right.replace("README.zh-CN.md#练习", "README.md#practice").replace("#1-准备工作", "#1-setup")
    wrong = wrong.replace("notes.zh-CN.md#2-最小的数据集", "notes.md#2-the-smallest-data-set")
    edition.chinese.write_text(wrong, encoding="utf-8")
    for _ in range(2):  # the second time, nothing is left to do
        assert main(["links", "Course05"]) == 0
        assert edition.chinese.read_text(encoding="utf-8") == right


def test_a_draft_that_is_filled_is_the_english_page_with_fingerprints(edition, capsys):
    assert main(["draft", "Course05"]) == 0
    text = capsys.readouterr().out
    assert "⟦block 3⟧" in text and "import torch" not in text
    edition.chinese.write_text(text, encoding="utf-8")
    assert main(["fill", str(edition.chinese)]) == 0
    filled = edition.chinese.read_text(encoding="utf-8")
    assert re.sub(r"<!-- .* -->\n", "", filled) == ENGLISH
    assert not any("english: " in problem for problem in translation.status())


def test_check_prints_what_is_wrong_and_returns_one(edition, monkeypatch, capsys):
    monkeypatch.setattr(translation, "read_terms", lambda: TERMS)
    assert main(["check"]) == 0
    change(edition.chinese, "16 个", "17 个")
    assert main(["check", "README"]) == 0
    capsys.readouterr()
    assert main(["check", "Course05"]) == 1
    assert "notes.zh-CN.md, section 1: number 16 is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["accept", "Course5"], "no page is called 'Course5'"),
        (["accept", "Course05", "7"], "Course05-DataLoader has no section '7': it has 0, 1, 2, Your turn"),
        (["links", "Course21"], "no page is called 'Course21'"),
        (["draft", "notes"], "no page is called 'notes'"),
        (["fill", "README.zh"], "README.zh is no Chinese page"),
        (["fill", "Course05-DataLoader/notes.zh-CN.md"], "has blocks 1, 3, not 1 to 3 in order"),
        (["check", "Course07"], "Course07-Conv/notes.zh-CN.md is not in UTF-8 (byte 0): save it"),
        (["translate"], "invalid choice: 'translate'"),
        ([], "required: COMMAND"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(edition, tmp_path, monkeypatch, capsys, command, said):
    monkeypatch.chdir(translation.REPOSITORY)
    text = "# 课\n\n⟦block 1⟧\n\n⟦block 3⟧\n"
    if command[:1] == ["fill"]:
        edition.chinese.write_text(text, encoding="utf-8")
    (tmp_path / "Course07-Conv").mkdir()
    (tmp_path / "Course07-Conv" / "notes.md").touch()
    (tmp_path / "Course07-Conv" / "notes.zh-CN.md").write_bytes("卷积".encode("gbk"))
    before = edition.chinese.read_bytes()
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1 and said in printed.err
    assert edition.chinese.read_bytes() == before


def test_a_page_that_cannot_be_paired_is_not_accepted(edition, capsys):
    change(edition.chinese, "## 轮到你了", "轮到你了")
    before = edition.chinese.read_bytes()
    assert main(["accept", "Course05"]) == 2
    assert "section Your turn: is missing" in capsys.readouterr().err
    assert edition.chinese.read_bytes() == before


def test_every_english_page_is_in_step_with_a_copy_of_itself_but_for_its_language(tmp_path, monkeypatch):
    """So that no form that the pages use is taken for a fault."""
    skipped = shutil.ignore_patterns("*.py", "*.zh-CN.*", "__pycache__")
    for folder in REPOSITORY.glob("Course[0-9][0-9]-*"):
        shutil.copytree(folder, tmp_path / folder.name, ignore=skipped)
    for name in translation.AT_THE_TOP:
        shutil.copy(REPOSITORY / name, tmp_path)
    monkeypatch.setattr(translation, "REPOSITORY", tmp_path)
    for page in all_pages():
        text = page.english.read_text(encoding="utf-8")
        page.chinese.write_text(text.replace(f"]({page.chinese.name})", f"]({page.english.name})"), encoding="utf-8")
        assert main(["accept", str(page)]) == 0
    assert main(["links"]) == 0
    found = [problem for page in all_pages() for problem in problems(page, [])]
    expected = ("left in English", "described in English", "leads nowhere")  # nothing else was copied
    assert [problem for problem in found if not any(words in problem for words in expected)] == []
