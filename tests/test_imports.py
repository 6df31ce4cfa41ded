"""Which module imports which: no helper the machinery of the capstone, none itself in a circle."""

import ast
import graphlib
from pathlib import Path

from common.paths import REPOSITORY

PACKAGES = ("common", "trainer", "practice")
MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in (REPOSITORY / package).glob("*.py")
}


def imported_from(source: str) -> set[str]:
    """The modules of the course that a source imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
    return {name for name in found if name.split(".")[0] in PACKAGES}


def imports(path: Path) -> set[str]:
    return imported_from(path.read_text(encoding="utf-8"))


def test_common_imports_nothing_of_the_trainer():
    used = {name: {other for other in imports(path) if other.startswith("trainer")} for name, path in MODULES.items()}
    assert {name: others for name, others in used.items() if name.startswith("common") and others} == {}


def test_practice_imports_nothing_of_the_trainer_and_nobody_else_imports_practice():
    used = {name: {other.split(".")[0] for other in imports(path)} for name, path in MODULES.items()}
    assert {name for name, others in used.items() if name.startswith("practice") and "trainer" in others} == set()
    assert {name for name, others in used.items() if not name.startswith("practice") and "practice" in others} == set()
    lessons = {
        path.name for path in REPOSITORY.glob("Course*/*.py") if any(n.startswith("practice") for n in imports(path))
    }
    assert lessons == {"exercises.py", "solutions.py"}


def test_no_module_imports_itself_through_others():
    graph = {name: imports(path) - {name} for name, path in MODULES.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # CycleError that names the circle, if there is one
    assert order.index("common.paths") < order.index("common.data") < order.index("trainer.options")


def test_only_the_process_group_knows_of_distributed_training():
    users = {name for name, path in MODULES.items() if "torch.distributed" in path.read_text(encoding="utf-8")}
    assert users == {"trainer.distributed"}


def test_only_the_checkpoint_module_knows_its_file_names():
    users = {name for name, path in MODULES.items() if '"best.pt"' in path.read_text(encoding="utf-8")}
    assert users == {"common.checkpoint"}
    assert not any('"best.pt"' in path.read_text(encoding="utf-8") for path in REPOSITORY.glob("Course[12]*/t*t.py"))


def test_the_check_sees_every_form_of_import():
    source = (
        "from trainer import runs\ndef f():\n    import common.data as d\nfrom common.paths import home\nimport torch"
    )
    assert imported_from(source) == {"trainer.runs", "common.data", "common.paths"}
