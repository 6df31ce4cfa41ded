"""The old calls that need more than a name to be told. Each function belongs to the row of facts.toml with its name."""

import ast
import re
from collections.abc import Callable, Iterator

from common.old_calls.source import FUNCTIONS, Source, dotted, text_of

RULES: dict[str, Callable[[Source], Iterator[ast.AST]]] = {}

LOSS = re.compile(r"(loss|err|cost|nll|bce|kld)", re.IGNORECASE)
TENSOR = re.compile(r"(x|out|outputs?|logits?|preds?|predictions?|predicted|targets?|labels?|images?|inputs?|scores?)")
PATH_NAME = re.compile(r"(path|dir|root|folder|file|fname|filename)s?\d?$", re.IGNORECASE)
PATH_CALLS = {
    *("builtins.open", "PIL.Image.open", "cv2.imread", "cv2.imwrite", "numpy.load", "pandas.read_csv", "pathlib.Path"),
    *("os.listdir", "os.makedirs", "os.mkdir", "os.path.exists", "os.path.isfile", "os.path.isdir", "glob.glob"),
    *("torch.save", "torch.load", "torch.utils.tensorboard.SummaryWriter", "tensorboardX.SummaryWriter"),
}
PATH_MODULES = ("torchvision.datasets.", "os.path.join")  # and what begins so
SCHEDULERS = "torch.optim.lr_scheduler."
TAKE_AN_ARGUMENT = ("ReduceLROnPlateau", "CosineAnnealingWarmRestarts", "SequentialLR", "ChainedScheduler")
TO_TENSOR = tuple(
    f"torchvision.transforms.{name}"
    for name in ("ToTensor", "transforms.ToTensor", "v2.ToTensor", "v2.ToImage", "PILToTensor", "v2.PILToTensor")
)
COMPOSE = (
    "torchvision.transforms.Compose",
    "torchvision.transforms.v2.Compose",
    "torchvision.transforms.transforms.Compose",
)


def rule(function: Callable) -> Callable:
    """Enter a function into RULES under the row's id: cuda_guarded belongs to the row "cuda-guarded"."""
    RULES[function.__name__.replace("_", "-")] = function
    return function


def is_loss(source: Source, node: ast.AST) -> bool:
    """Whether this is surely the value of a loss: by its name, or because a loss computed it."""
    if isinstance(node, ast.Call):
        return is_loss_function(source, node.func)
    key = dotted(node)
    if key is None:
        return False
    return bool(LOSS.search(key.split(".")[-1])) or any(
        isinstance(value, ast.Call) and is_loss_function(source, value.func) for value in source.values.get(key, ())
    )


def is_loss_function(source: Source, node: ast.AST) -> bool:
    """Whether calling this computes a loss of PyTorch."""
    full = source.full_name(node) or ""
    if full.startswith("torch.nn.functional.") and (full.endswith("_loss") or "cross_entropy" in full):
        return True
    return any(
        isinstance(value, ast.Call)
        and re.fullmatch(r"torch\.nn\.(modules\.loss\.)?\w+Loss", source.full_name(value.func) or "")
        for value in source.values.get(dotted(node), ())
    )


# ---- Tensors ---------------------------------------------------------------------------------------------------------


@rule
def loss_data_0(source):
    for node in source.nodes[ast.Subscript]:
        match node:
            case ast.Subscript(value=ast.Attribute(attr="data", value=owner), slice=ast.Constant(value=0)):
                summed = any(
                    isinstance(value, ast.Call)
                    and isinstance(value.func, ast.Attribute)
                    and value.func.attr in ("sum", "mean")
                    and not value.args
                    for value in [owner, *source.values.get(dotted(owner), ())]
                )
                if is_loss(source, owner) or ("torch" in source.packages and summed):
                    yield node


@rule
def tensor_data(source):
    if "torch" not in source.packages:
        return
    of_torch = re.compile(r"torch\.(max|min|argmax|topk|sum|mean|sigmoid|eq|sort)|torch\.nn\.functional\.\w*softmax")
    for node in source.nodes[ast.Attribute]:
        if node.attr != "data" or not isinstance(node.value, ast.Name) or source.is_module(node.value):
            continue
        if isinstance(node.up, ast.Subscript) and node.up.value is node and is_loss(source, node.value):
            continue  # loss.data[0] has a row of its own
        called = isinstance(node.up, ast.Call) and node in node.up.args and source.full_name(node.up.func)
        if (
            (called and of_torch.fullmatch(called))
            or (LOSS.search(node.value.id) and isinstance(node.ctx, ast.Load))
            or (
                TENSOR.fullmatch(node.value.id)
                and isinstance(node.up, ast.Attribute)
                and node.up.attr in ("max", "cpu", "numpy", "view_as", "topk", "argmax", "eq", "view", "item", "clone")
            )
        ):
            yield node


@rule
def tensor_of_a_size(source):
    for call in source.calls("torch.Tensor", "torch.FloatTensor", "torch.LongTensor", "torch.IntTensor"):
        match call:
            case ast.Call(args=[ast.Constant(value=int()) as size], keywords=[]) if not isinstance(size.value, bool):
                yield call


@rule
def typed_constructor(source):
    for call in source.calls(
        *(f"torch.{kind}Tensor" for kind in ("Float", "Double", "Half", "Long", "Int", "Short", "Byte"))
    ):
        match call:
            case ast.Call(args=[ast.List() | ast.ListComp() | ast.Name() | ast.Call()]):
                yield call


@rule
def type_of_a_string(source):
    for call in source.methods("type"):
        match call.args:
            case [ast.Constant(value=str(name))] if re.fullmatch(r"torch\.(cuda\.)?\w+Tensor", name):
                yield call
            case [ast.Attribute() as kind] if re.fullmatch(r"torch\.[A-Z]\w+Tensor", source.full_name(kind) or ""):
                yield call


def _guarded(source: Source, node: ast.AST) -> bool:
    """Whether the line runs only where a test about CUDA says so."""
    for above in source.above(node):
        if isinstance(above, ast.If | ast.IfExp) and re.search(r"cuda|gpu", text_of(above.test), re.IGNORECASE):
            return True
    return False


def _cuda_calls(source: Source) -> Iterator[ast.Call]:
    if "torch" in source.packages or "torchvision" in source.packages:
        yield from (call for call in source.methods("cuda") if len(call.args) <= 1)


@rule
def cuda(source):
    yield from (call for call in _cuda_calls(source) if not _guarded(source, call))


@rule
def cuda_guarded(source):
    yield from (call for call in _cuda_calls(source) if _guarded(source, call))


@rule
def legacy_function(source):
    for node in source.classes("torch.autograd.Function", "torch.autograd.function.Function"):
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "forward" and not method.decorator_list:
                yield method


@rule
def byte_index(source):
    for node in source.nodes[ast.Subscript]:
        if (
            isinstance(node.slice, ast.Call)
            and isinstance(node.slice.func, ast.Attribute)
            and node.slice.func.attr == "byte"
        ):
            yield node


@rule
def byte_mask(source):
    for call in source.methods("masked_fill", "masked_fill_", "masked_select"):
        match call.args:
            case [ast.Call(func=ast.Attribute(attr="byte")), *_]:
                yield call


def _factor_first(source: Source, name: str) -> Iterator[ast.AST]:
    """x.add_(0.1, y): the factor before the tensor. Without the underscore, only where it is surely a number."""
    for call in source.methods(f"{name}_", name) if "torch" in source.packages else ():
        if len(call.args) != 2:
            continue
        match call.args[0]:
            case ast.Constant(value=int() | float()) | ast.UnaryOp(op=ast.USub()):
                yield call
            case ast.Constant():
                continue  # a text: counter.add_("name", 1)
            case _ if call.func.attr.endswith("_"):
                yield call


@rule
def old_add(source):
    yield from _factor_first(source, "add")


@rule
def old_sub(source):
    yield from _factor_first(source, "sub")


@rule
def view_after_permute(source):
    for call in source.methods("view"):
        match call.func.value:
            case ast.Call(func=ast.Attribute(attr="permute", value=owner)) if call.args and not source.is_module(owner):
                if not (source.full_name(call.args[0]) or "").startswith("torch."):  # view(torch.int8) is about bits
                    yield call


@rule
def one_minus_mask(source):
    for node in source.nodes[ast.BinOp]:
        match node:
            case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub(), right=ast.Call(func=ast.Attribute(attr=name))) if (
                name in ("eq", "ne", "gt", "lt", "ge", "le") and "torch" in source.packages
            ):
                yield node


# ---- Data ------------------------------------------------------------------------------------------------------------


@rule
def iterator_next(source):
    for call in source.methods("next"):
        owner = call.func.value
        values = [owner, *source.values.get(dotted(owner), ())]
        if not call.args and any(
            isinstance(value, ast.Call) and source.full_name(value.func) == "builtins.iter" for value in values
        ):
            yield call


def _old_data(source: Source, *data_sets: str) -> Iterator[ast.AST]:
    full = tuple(f"torchvision.datasets.{name}" for name in data_sets)
    for node in source.nodes[ast.Attribute]:
        if node.attr in ("train_data", "train_labels", "test_data", "test_labels") and source.made_by(
            dotted(node.value), *full
        ):
            yield node


@rule
def cifar_train_data(source):
    yield from _old_data(source, "CIFAR10", "CIFAR100", "SVHN", "STL10")


@rule
def mnist_train_data(source):
    yield from _old_data(source, "MNIST", "FashionMNIST", "KMNIST", "EMNIST")


@rule
def pickle_of_python_2(source):
    names = [node.value for node in source.nodes[ast.Constant] if isinstance(node.value, str)]
    if any(re.search(r"data_batch|cifar-10-batches|cifar-10-python", name) for name in names):
        for call in source.calls("pickle.load", "cPickle.load", "six.moves.cPickle.load"):
            if not any(keyword.arg == "encoding" for keyword in call.keywords):
                yield call


@rule
def seeds_in_workers(source):
    functions = {node.name: node for node in source.nodes[ast.FunctionDef]}
    for call in source.calls("torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader"):
        for keyword in call.keywords:
            if keyword.arg != "worker_init_fn":
                continue
            body = keyword.value.body if isinstance(keyword.value, ast.Lambda) else None
            if function := functions.get(dotted(keyword.value)):
                lines = [
                    line
                    for line in function.body
                    if not isinstance(line, ast.Expr) or not isinstance(line.value, ast.Constant)
                ]
                body = lines[0].value if len(lines) == 1 and isinstance(lines[0], ast.Expr) else None
            if isinstance(body, ast.Call) and source.full_name(body.func) == "numpy.random.seed":
                yield keyword.value


def composed(source: Source) -> Iterator[tuple[list[ast.expr], list[str]]]:
    """The transforms of each Compose([...]), and their full names."""
    for call in source.calls(*COMPOSE):
        if call.args and isinstance(call.args[0], ast.List):
            steps = call.args[0].elts
            yield steps, [source.full_name(s.func) or "" if isinstance(s, ast.Call) else "" for s in steps]


@rule
def erasing_before_to_tensor(source):
    for steps, names in composed(source):
        where = [i for i, name in enumerate(names) if name in TO_TENSOR]
        for i, name in enumerate(names):
            if name == "torchvision.transforms.RandomErasing" and where and i < where[0]:
                yield steps[i]


@rule
def normalize_before_to_tensor(source):
    for steps, names in composed(source):
        where = [i for i, name in enumerate(names) if name in TO_TENSOR]
        for i, name in enumerate(names):
            if re.fullmatch(r"torchvision\.transforms\.Normalize", name) and where and i < where[0]:
                yield steps[i]


@rule
def set_window_title(source):
    for call in source.methods("set_window_title"):
        if isinstance(call.func.value, ast.Attribute) and call.func.value.attr == "canvas":
            yield call


@rule
def tqdm_star(source):
    for node in source.nodes[ast.ImportFrom]:
        if node.module == "tqdm" and node.names[0].name == "*":
            yield node


# ---- Paths -----------------------------------------------------------------------------------------------------------


def _path_strings(source: Source) -> Iterator[ast.Constant]:
    """The strings that are surely paths: given to what opens files, or called a path."""
    for node in source.nodes[ast.Constant]:
        if not isinstance(node.value, str) or re.match("software|hkey|system", node.value, re.IGNORECASE):
            continue  # a key of Windows' registry
        if "\\" not in node.value and not re.search(r"[\t\a\b\r\f\v]", node.value):
            continue
        up = node.up
        if isinstance(up, ast.BinOp | ast.JoinedStr):
            up = up.up
        is_path = (
            isinstance(up, ast.Call)
            and (
                (source.full_name(up.func) or "") in PATH_CALLS
                or (source.full_name(up.func) or "").startswith(PATH_MODULES)
            )
            or isinstance(up, ast.keyword)
            and PATH_NAME.search(up.arg or "")
            or isinstance(up, ast.Assign)
            and PATH_NAME.search((dotted(up.targets[0]) or "").split(".")[-1])
        )
        of_re = any(
            isinstance(above, ast.Call) and (source.full_name(above.func) or "").startswith("re.")
            for above in source.above(node)
        )
        if (is_path or re.match(r"(\.\.?|[A-Za-z]:)\\{1,2}\w[\w. -]+(\\|$|\.)", node.value)) and not of_re:
            yield node


@rule
def backslash_path(source):
    for node in _path_strings(source):
        if re.search(r"\w\\\w|^\.\.?\\", node.value) and not re.search(r"[\t\a\b\r\f\v]", node.value):
            yield node


@rule
def tab_in_path(source):
    for node in _path_strings(source):
        if re.search(r"[\w.][\t\a\b\r\f\v]\w", node.value):
            yield node


# ---- Networks, losses and schedulers ---------------------------------------------------------------------------------


@rule
def super_with_arguments(source):
    for call in source.calls("builtins.super"):
        inside = next((above for above in source.above(call) if isinstance(above, ast.ClassDef)), None)
        if len(call.args) == 2 and inside and dotted(call.args[0]) == inside.name and dotted(call.args[1]) == "self":
            yield call


@rule
def functional_dropout(source):
    for call in source.calls("torch.nn.functional.dropout", "torch.nn.functional.dropout2d"):
        inside = any(isinstance(above, ast.ClassDef) for above in source.above(call))
        if inside and len(call.args) < 3 and not {given.arg for given in call.keywords} & {"training", None}:
            yield call


@rule
def add_graph(source):
    if "torch" not in source.packages:
        return
    for call in source.methods("add_graph"):
        withs = [above for above in source.above(call) if isinstance(above, ast.With)]
        silenced = any("warnings.catch_warnings" in text_of(item) for above in withs for item in above.items)
        if not silenced and not any(source.calls("warnings.filterwarnings", "warnings.simplefilter")):
            yield call


def _is_scheduler(source: Source, node: ast.AST, but: tuple[str, ...] = ()) -> bool:
    key = dotted(node)
    return source.made_by(key, SCHEDULERS) and not source.made_by(key, *(SCHEDULERS + name for name in but))


@rule
def scheduler_step_epoch(source):
    counted = re.compile(r"(self\.)?(\w*epoch\w*|ep|e|i|it|iters?|iteration|step|t)( *[+-] *\w+)?|\d+", re.IGNORECASE)
    for call in source.methods("step"):
        with_epoch = len(call.args) == 1 and counted.fullmatch(text_of(call.args[0]))
        if with_epoch and _is_scheduler(source, call.func.value, TAKE_AN_ARGUMENT):
            yield call


@rule
def scheduler_get_lr(source):
    for call in source.methods("get_lr"):
        inside = any(isinstance(above, ast.ClassDef) for above in source.above(call))
        if not inside and (
            _is_scheduler(source, call.func.value)
            or (SCHEDULERS in str(source.imports) or "torch" in source.packages)
            and re.search("sched", dotted(call.func.value) or "", re.IGNORECASE)
        ):
            yield call


@rule
def scheduler_first(source):
    for call in source.methods("step"):
        key = dotted(call.func.value) or ""
        statement = source.statement(call)
        loop = statement.up
        if not isinstance(loop, ast.For) or statement not in loop.body or not isinstance(statement, ast.Expr):
            continue
        if not (_is_scheduler(source, call.func.value) or re.search("sched", key, re.IGNORECASE)):
            continue
        after = loop.body[loop.body.index(statement) + 1 :]
        before = loop.body[: loop.body.index(statement)]
        if not any(_trains(source, line) for line in before) and any(_trains(source, line) for line in after):
            yield call


def _trains(source: Source, statement: ast.stmt) -> bool:
    """Whether a statement holds a step of training, or calls a function of this script that does."""
    functions = {node.name: node for node in source.nodes[ast.FunctionDef]}
    for node in ast.walk(statement):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "backward":
                return True
            function = functions.get(dotted(node.func))
            if function and ".backward(" in text_of(function):
                return True
    return False


# ---- Saving ----------------------------------------------------------------------------------------------------------


@rule
def save_whole_model(source):
    for call in source.calls("torch.save"):
        if call.args and source.is_model(dotted(call.args[0])):
            yield call


@rule
def load_whole_model(source):
    saved = {text_of(call.args[1]) for call in save_whole_model(source) if len(call.args) > 1}
    for call in source.calls("torch.load"):
        if any(keyword.arg == "weights_only" for keyword in call.keywords) or not call.args:
            continue
        chained = isinstance(call.up, ast.Attribute) and call.up.attr in ("eval", "train", "parameters", "children")
        keys = [dotted(target) for target in call.up.targets] if isinstance(call.up, ast.Assign) else []
        used = any(_used_as_model(source, key, call) for key in keys if key)
        if chained or used or text_of(call.args[0]) in saved:
            yield call


def _used_as_model(source: Source, key: str, load: ast.Call) -> bool:
    if source.called.get(key, set()) & {"eval", "train", "parameters", "named_parameters", "children", "forward"}:
        others = [value for value in source.values[key] if value is not load]
        return not others  # else it was a network before, and this name holds two kinds of things
    around = source.scope(load)
    return any(source.scope(call) is around and len(source.values[key]) == 1 for call in source.calls_as_written[key])


@rule
def map_location_lambda(source):
    for call in source.calls("torch.load"):
        for keyword in call.keywords:
            match keyword:
                case ast.keyword(arg="map_location", value=ast.Lambda(args=given, body=ast.Name(id=name))) if (
                    len(given.args) == 2 and given.args[0].arg == name
                ):
                    yield keyword.value


@rule
def no_grad_without_brackets(source):
    for node in source.nodes[ast.withitem]:
        if source.full_name(node.context_expr) in ("torch.no_grad", "torch.inference_mode", "torch.enable_grad"):
            yield node.context_expr


@rule
def keys_by_number(source):
    for node in source.nodes[ast.Subscript]:
        match node:
            case ast.Subscript(
                value=ast.Call(func=ast.Attribute(attr="keys" | "values" | "items"), args=[], keywords=[]),
                slice=ast.Constant(value=int()),
            ) if not source.packages & {"pandas", "h5py"}:
                yield node


@rule
def map_by_number(source):
    for node in source.nodes[ast.Subscript]:
        if isinstance(node.value, ast.Call) and source.full_name(node.value.func) in (
            "builtins.map", "builtins.zip", "builtins.filter",
        ):  # fmt: skip
            yield node


@rule
def sampler_with_data(source):
    for node in source.classes("torch.utils.data.Sampler", "torch.utils.data.sampler.Sampler"):
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "__init__":
                given = call.args[1:] if dotted(call.func.value) else call.args
                owner = call.func.value
                is_super = isinstance(owner, ast.Call) and dotted(owner.func) == "super"
                if (
                    given
                    and (is_super or (source.full_name(owner) or "").endswith("Sampler"))
                    and any(isinstance(above, FUNCTIONS) for above in source.above(call))
                ):
                    yield call
