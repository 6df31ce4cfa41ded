"""What runs and is wrong. Each function here belongs to the row of facts.toml with its name.

A rule speaks only where the syntax leaves no other reading: better to miss a mistake than to accuse code that is right.
"""

import ast
import re
from collections.abc import Callable, Iterator

from common.old_calls.rules import COMPOSE, TO_TENSOR, composed
from common.old_calls.source import FUNCTIONS, Source, dotted, text_of

RULES: dict[str, Callable[[Source], Iterator[ast.AST]]] = {}

LOADERS = ("torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader")
LOOPS = (ast.For, ast.While, ast.AsyncFor)
SOFTMAX = ("torch.nn.functional.softmax", "torch.softmax")
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
WITH_WEIGHTS = re.compile(r"torch\.nn\.(Linear|Conv\w+|BatchNorm\w+|LayerNorm|Embedding|LSTM|GRU|RNN|Dropout\w*)")


def rule(function: Callable) -> Callable:
    """Enter a function into RULES under the row's id: zero_grad_missing belongs to the row "zero-grad-missing"."""
    RULES[function.__name__.replace("_", "-")] = function
    return function


# ---- Questions that several rules ask --------------------------------------------------------------------------------


def words(name: str | None) -> set[str]:
    """{"test", "loader"} for test_loader, testLoader and testloader2."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", (name or "").split(".")[-1])
    found = {part.lower() for part in parts}
    for word in set(found):
        found |= {start for start in ("train", "test", "valid", "val", "best") if word.startswith(start)}
    return found


def is_method(node: ast.AST, *names: str) -> bool:
    """Whether this calls a method of one of these names."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names


def holds(node: ast.AST, *names: str) -> bool:
    """Whether a method of one of these names is called anywhere in the node."""
    return any(is_method(inner, *names) for inner in ast.walk(node))


def looped_over(loop: ast.For) -> str | None:
    """The name of what a loop goes over: "train_loader" for `for … in enumerate(tqdm(train_loader))`."""
    node = loop.iter
    while isinstance(node, ast.Call) and node.args and not isinstance(node.func, ast.Call):
        node = node.args[0]
    return dotted(node)


def values_here(source: Source, key: str | None, node: ast.AST) -> list[ast.expr]:
    """What is assigned to a name in the function of the node."""
    scope = source.scope(node)
    return [value for value in source.values.get(key, ()) if source.scope(value) is scope]


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((given.value for given in call.keywords if given.arg == name), None)


def bodies(source: Source) -> Iterator[list[ast.stmt]]:
    """Every list of statements: of the script, of its functions, loops and branches."""
    for kind in (ast.Module, *FUNCTIONS, *LOOPS, ast.If, ast.With, ast.Try):
        for node in source.nodes[kind]:
            yield from filter(None, (node.body, getattr(node, "orelse", None)))


def expression(statement: ast.stmt) -> ast.AST | None:
    return statement.value if isinstance(statement, ast.Expr) else None


def test_loops(source: Source) -> Iterator[ast.For]:
    """The loops over test or validation pictures in which a network is called and nothing is learned."""
    for loop in source.nodes[ast.For]:
        if words(looped_over(loop)) & {"test", "val", "valid"} and not holds(loop, "backward", "step"):
            calls = [node for line in loop.body for node in ast.walk(line) if isinstance(node, ast.Call)]
            if any(source.is_model(dotted(call.func)) for call in calls):
                yield loop


# ---- Names -----------------------------------------------------------------------------------------------------------


@rule
def state_dict_assigned(source):
    for node in source.nodes[ast.Assign]:
        match node.targets[0]:
            case ast.Attribute(attr="state_dict" | "load_state_dict", value=owner):
                key = dotted(owner)
                values = source.values.get(node.value.id, []) if isinstance(node.value, ast.Name) else [node.value]
                loaded = any(
                    isinstance(value, ast.Subscript | ast.Dict | ast.DictComp)
                    or is_method(value, "state_dict")
                    or isinstance(value, ast.Call)
                    and source.full_name(value.func) in ("torch.load", "builtins.dict")
                    for value in values
                )
                if loaded and (source.is_model(key) or source.made_by(key, "torch.optim.")):
                    yield node


@rule
def train_assigned(source):
    for node in source.nodes[ast.Assign]:
        match node:
            case ast.Assign(
                targets=[ast.Attribute(attr="train" | "eval", value=owner)], value=ast.Constant(value=bool())
            ):
                if source.is_model(dotted(owner)):
                    yield node


@rule
def training_assigned(source):
    for node in source.nodes[ast.Assign]:
        match node:
            case ast.Assign(targets=[ast.Attribute(attr="training", value=owner)], value=ast.Constant(value=bool())):
                if source.is_model(dotted(owner)):
                    yield node


@rule
def method_not_called(source):
    if "torch" not in source.packages:
        return
    for node in source.nodes[ast.Expr]:
        match node.value:
            case ast.Attribute(attr="zero_grad" | "backward" | "eval" | "train", value=owner) if dotted(owner):
                yield node
            case ast.Attribute(attr="step", value=owner) if re.search("optim|sched", dotted(owner) or ""):
                yield node


@rule
def is_available_not_called(source):
    for node in source.nodes[ast.Attribute]:
        if source.full_name(node) == "torch.cuda.is_available":
            tested = getattr(node.up, "test", None) is node or isinstance(node.up, ast.BoolOp | ast.UnaryOp)
            if tested:
                yield node


def _classes_of_torch(source: Source) -> Iterator[ast.ClassDef]:
    yield from source.classes("torch.nn.Module", "torch.utils.data.Dataset", "torch.utils.data.dataset.Dataset")


@rule
def int_for_init(source):
    for node in _classes_of_torch(source):
        methods = {method.name: method for method in node.body if isinstance(method, ast.FunctionDef)}
        for name in ("__int__", "_init_", "__init", "__inti__", "__init_", "__ini__"):
            if name in methods and "__init__" not in methods:
                yield methods[name]


@rule
def len_missing(source):
    bases = {dotted(base) for node in source.nodes[ast.ClassDef] for base in node.bases}
    for node in source.nodes[ast.ClassDef]:
        names = {method.name for method in node.body if isinstance(method, ast.FunctionDef)}
        base = [source.full_name(base) for base in node.bases]
        is_data = base in (["torch.utils.data.Dataset"], ["torch.utils.data.dataset.Dataset"])
        if is_data and node.name not in bases and "__getitem__" in names and "__len__" not in names:
            yield node


@rule
def requires_grad_misspelt(source):
    for node in source.nodes[ast.Attribute]:
        if isinstance(node.ctx, ast.Store) and re.fullmatch(
            "require_grads?|requires_grads|required_grad|requires_gard|requres_grad", node.attr
        ):
            yield node


# ---- Networks --------------------------------------------------------------------------------------------------------


@rule
def layers_in_a_list(source):
    for node in source.classes("torch.nn.Module"):
        for line in [line for method in node.body if isinstance(method, FUNCTIONS) for line in ast.walk(method)]:
            match line:
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)],
                    value=ast.List(elts=[_, *_]) | ast.ListComp() as value,
                ):
                    layers = value.elts if isinstance(value, ast.List) else [value.elt]
                    names = [
                        source.full_name(layer.func) or "" if isinstance(layer, ast.Call) else "" for layer in layers
                    ]
                    if not all(re.match(r"torch\.nn\.[A-Z]", full) and full != "torch.nn.Parameter" for full in names):
                        continue
                    if not any(WITH_WEIGHTS.fullmatch(full) for full in names):
                        continue
                    text = text_of(node)
                    if not re.search(
                        rf"(ModuleList|Sequential)\(\*?self\.{name}\b|add_module|setattr|register_module", text
                    ):
                        yield line


@rule
def layer_in_forward(source):
    for node in source.classes("torch.nn.Module"):
        for method in node.body:
            if isinstance(method, FUNCTIONS) and method.name == "forward":
                for call in ast.walk(method):
                    match call:
                        case ast.Call(func=ast.Call(func=layer)) if WITH_WEIGHTS.fullmatch(
                            source.full_name(layer) or ""
                        ):
                            yield call


@rule
def reshape_the_batch(source):
    for call in source.calls("torch.reshape"):
        if len(call.args) == 2 and text_of(call.args[1]) == "(1, 1, 1, -1)":
            yield call


@rule
def flatten_the_batch(source):
    batches = set()
    for loop in source.nodes[ast.For]:
        key = looped_over(loop)
        if source.made_by(key, *LOADERS):
            targets = [loop.target] + [
                line.targets[0]
                for line in loop.body
                if isinstance(line, ast.Assign) and dotted(line.value) in {dotted(t) for t in ast.walk(loop.target)}
            ]
            for target in targets:
                if isinstance(target, ast.Tuple) and len(target.elts) == 2:
                    first = target.elts[0] if not isinstance(target.elts[1], ast.Tuple) else target.elts[1].elts[0]
                    batches.add((loop, dotted(first)))
    for call in source.calls("torch.flatten"):
        if len(call.args) == 1 and not call.keywords:
            key = dotted(call.args[0])
            if any((above, key) in batches for above in source.above(call)):
                yield call
    for node in source.classes("torch.nn.Module"):
        linear = {
            dotted(line.targets[0])
            for line in ast.walk(node)
            if isinstance(line, ast.Assign) and isinstance(line.value, ast.Call)
            and source.full_name(line.value.func) == "torch.nn.Linear"
        }  # fmt: skip
        for method in node.body:
            if isinstance(method, FUNCTIONS) and method.name == "forward":
                yield from _flattened_for(source, method, linear)


def _flattened_for(source: Source, forward: ast.FunctionDef, linear: set) -> Iterator[ast.AST]:
    """x = torch.flatten(x), and in the next statement a linear layer takes x."""
    for line, after in zip(forward.body, forward.body[1:], strict=False):
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[ast.Name()], keywords=[]) as call) if (
                source.full_name(call.func) == "torch.flatten"
            ):
                for user in ast.walk(after):
                    if (
                        isinstance(user, ast.Call)
                        and dotted(user.func) in linear
                        and user.args
                        and dotted(user.args[0]) == name
                    ):
                        yield call


# ---- Softmax and the loss --------------------------------------------------------------------------------------------


def _is_softmax(source: Source, node: ast.AST | None) -> bool:
    """Whether this computes a softmax: F.softmax(x, 1), x.softmax(1), nn.Softmax(1)(x), self.softmax(x)."""
    if not isinstance(node, ast.Call):
        return False
    if source.full_name(node.func) in SOFTMAX or is_method(node, "softmax"):
        return (
            source.full_name(node.func) in SOFTMAX
            or not source.is_module(node.func.value)
            and dotted(node.func.value) != "self"
            or (source.made_by(dotted(node.func), "torch.nn.Softmax"))
        )
    if isinstance(node.func, ast.Call):
        return source.full_name(node.func.func) == "torch.nn.Softmax"
    return source.made_by(dotted(node.func), "torch.nn.Softmax")


def _ends_in_softmax(source: Source, key: str | None) -> ast.AST | None:
    """The softmax at the end of the network of this name, if it has one."""
    if not hasattr(source, "ends"):
        source.ends = {}
    if key not in source.ends:
        source.ends[key] = None  # while it is looked for: a network may hold itself by name
        source.ends[key] = _find_end(source, key)
    return source.ends[key]


def _find_end(source: Source, key: str | None) -> ast.AST | None:
    for value in source.values.get(key, ()):
        while is_method(value, "to", "cuda", "cpu"):
            value = value.func.value
        if not isinstance(value, ast.Call):
            continue
        if source.full_name(value.func) == "torch.nn.Sequential" and value.args:
            last = value.args[-1]
            if isinstance(last, ast.Call) and source.full_name(last.func) == "torch.nn.Softmax":
                return last
        for node in source.classes("torch.nn.Module"):
            if node.name == dotted(value.func):
                for method in node.body:
                    if isinstance(method, FUNCTIONS) and method.name == "forward":
                        return _returned_softmax(source, method)
    return None


def _returned_softmax(source: Source, forward: ast.FunctionDef) -> ast.AST | None:
    returns = [node.value for node in ast.walk(forward) if isinstance(node, ast.Return)]
    if len(returns) != 1:
        return None
    value = returns[0]
    if isinstance(value, ast.Name):
        assigned = [v for v in source.values.get(value.id, ()) if source.scope(v) is forward]
        value = max(assigned, key=lambda v: v.lineno, default=None)
    if _is_softmax(source, value):
        return value
    return _ends_in_softmax(source, dotted(value.func)) if isinstance(value, ast.Call) else None


def _scored(source: Source, *losses: str) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Each call of such a loss, and what it is given first."""
    for call in source.nodes[ast.Call]:
        direct = source.full_name(call.func) in losses
        inline = isinstance(call.func, ast.Call) and source.full_name(call.func.func) in losses
        if (
            (
                call.args
                and (direct or inline or source.made_by(dotted(call.func), *losses))
                and not (
                    direct
                    and source.full_name(call.func).startswith("torch.nn.")
                    and source.full_name(call.func)[9:10].isupper()
                )
            )
            or call.args
            and _wrapped_loss(source, dotted(call.func), losses)
        ):
            yield call, call.args[0]


def _wrapped_loss(source: Source, key: str | None, losses: tuple[str, ...]) -> bool:
    """nn.CrossEntropyLoss().cuda()"""
    return any(
        is_method(value, "to", "cuda") and isinstance(value.func.value, ast.Call)
        and source.full_name(value.func.value.func) in losses
        for value in source.values.get(key, ()) if key
    )  # fmt: skip


def _softmax_before(source: Source, *losses: str) -> Iterator[ast.AST]:
    for call, outputs in _scored(source, *losses):
        if _is_softmax(source, outputs):
            yield outputs
        elif isinstance(outputs, ast.Name):
            values = values_here(source, outputs.id, call)
            if len(values) == 1 and _is_softmax(source, values[0]):
                yield values[0]
            elif values and all(isinstance(value, ast.Call) for value in values):
                found = _ends_in_softmax(source, dotted(values[-1].func))
                if found:
                    yield found
        elif isinstance(outputs, ast.Call) and (found := _ends_in_softmax(source, dotted(outputs.func))):
            yield found


@rule
def softmax_twice(source):
    yield from _softmax_before(source, "torch.nn.CrossEntropyLoss", "torch.nn.functional.cross_entropy")


@rule
def softmax_before_nll(source):
    yield from _softmax_before(source, "torch.nn.NLLLoss", "torch.nn.functional.nll_loss")


@rule
def log_of_softmax(source):
    for call in source.calls("torch.log"):
        if call.args and _is_softmax(source, call.args[0]):
            yield call
    for call in source.methods("log"):
        if _is_softmax(source, call.func.value):
            yield call


# ---- The loop --------------------------------------------------------------------------------------------------------


def _steps(source: Source) -> Iterator[ast.Call]:
    """optimizer.step()"""
    for call in source.methods("step"):
        key = dotted(call.func.value)
        if (
            source.made_by(key, "torch.optim.")
            and not source.made_by(key, "torch.optim.lr_scheduler.")
            or re.fullmatch(r"(self\.)?(optim\w*|opt)", key or "")
        ):
            yield call


@rule
def zero_grad_missing(source):
    text = source.text
    if re.search(r"zero_grad|\.grad\b.*(zero_|None)|set_to_none", text) or "torch" not in source.packages:
        return
    for call in _steps(source):
        loop = next((above for above in source.above(call) if isinstance(above, LOOPS)), None)
        if loop and any(isinstance(line, ast.Expr) and is_method(line.value, "backward") for line in ast.walk(loop)):
            yield call
            return


@rule
def zero_grad_between(source):
    for body in bodies(source):
        calls = [expression(line) for line in body]
        for i, call in enumerate(calls):
            if not is_method(call, "zero_grad"):
                continue
            owner = dotted(call.func.value)
            before = [j for j in range(i) if is_method(calls[j], "backward")]
            after = [
                j
                for j in range(i + 1, len(body))
                if is_method(calls[j], "step") and dotted(calls[j].func.value) == owner
            ]
            if not (before and after):
                continue
            between = body[before[-1] + 1 : i]
            learned = any(holds(line, "step") for line in between) or any(
                holds(line, "backward") for line in body[i : after[0]]
            )
            if not learned:
                yield call


@rule
def loss_kept(source):
    for call in source.methods("backward"):
        key = dotted(call.func.value)
        loop = next((above for above in source.above(call) if isinstance(above, LOOPS)), None)
        if not loop or not isinstance(call.func.value, ast.Name):
            continue
        if any(is_method(value, "item", "detach") for value in values_here(source, key, call)):
            continue
        for node in ast.walk(loop):
            match node:
                case ast.AugAssign(op=ast.Add(), value=ast.Name(id=name), target=target) if name == key:
                    total = dotted(target)
                case ast.Assign(
                    targets=[target], value=ast.BinOp(left=left, op=ast.Add(), right=ast.Name(id=name))
                ) if name == key and dotted(left) == dotted(target):
                    total = dotted(target)
                case ast.Expr(
                    value=ast.Call(func=ast.Attribute(attr="append", value=target), args=[ast.Name(id=name)])
                ) if name == key:
                    total = dotted(target)
                case _:
                    continue
            uses = source.called.get(total, set()) & {"backward", "detach_", "item", "detach"}
            if not uses and total != key and node.lineno > 0:
                yield node


@rule
def optimizer_before_head(source):
    for body in bodies(source):
        for i, line in enumerate(body):
            match line:
                case ast.Assign(
                    value=ast.Call(func=maker, args=[ast.Call(func=ast.Attribute(attr="parameters", value=model)), *_])
                ) if (source.full_name(maker) or "").startswith("torch.optim."):
                    key = dotted(model)
                case _:
                    continue
            rest = body[i + 1 :]
            for j, later in enumerate(rest):
                if _replaces_layer(source, later, key):
                    if not any(f"{key}.parameters()" in text_of(again) for again in rest[j + 1 :]):
                        yield line
                    break


def _replaces_layer(source: Source, line: ast.stmt, key: str | None) -> bool:
    """model.fc = nn.Linear(…), model.classifier[6] = nn.Linear(…) or model.classifier.add_module(…, nn.Linear(…))"""
    match line:
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() as target], value=ast.Call(func=layer)):
            owner = target.value if isinstance(target, ast.Subscript) else target
            made = layer
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(attr="add_module", value=owner), args=[_, ast.Call(func=made)])
        ):
            pass
        case _:
            return False
    name = dotted(owner) or ""
    return (
        bool(key)
        and (name == key or name.startswith(f"{key}."))
        and (source.full_name(made) or "").startswith("torch.nn.")
    )


@rule
def train_not_shuffled(source):
    pictures = any(
        module.startswith("torchvision.datasets") or module == "torchvision" for module in source.imports.values()
    )
    loops = [loop for loop in source.nodes[ast.For] if any(holds(line, "backward") for line in loop.body)]
    for key in {looped_over(loop) for loop in loops} - {None}:
        for call in source.values.get(key, ()):
            if not isinstance(call, ast.Call) or source.full_name(call.func) not in LOADERS:
                continue
            names = {given.arg for given in call.keywords}
            if names & {"sampler", "batch_sampler", None} or len(call.args) > 2:
                continue
            data = dotted(call.args[0] if call.args else keyword(call, "dataset"))
            shuffle = keyword(call, "shuffle")
            silent = shuffle is None or (pictures and isinstance(shuffle, ast.Constant) and shuffle.value is False)
            if silent and (words(key) | words(data)) & {"train", "training"}:
                yield call


@rule
def no_eval(source):
    text = source.text
    if not re.search(r"Dropout|BatchNorm|dropout", text) and not any(source.calls("torchvision.models.")):
        return
    if any(source.methods("eval", "train")) or not any(source.methods("backward")):
        return
    yield from test_loops(source)


@rule
def no_no_grad(source):
    if not re.search(r"no_grad|inference_mode|set_grad_enabled|volatile", source.text):
        yield from test_loops(source)


@rule
def eval_never_train(source):
    if any(source.methods("train")):
        return
    for call in source.methods("eval"):
        if source.is_model(dotted(call.func.value)) and isinstance(source.statement(call), ast.Expr):
            loops = [above for above in source.above(call) if isinstance(above, LOOPS)]
            if loops and holds(loops[-1], "backward") and source.scope(loops[-1]) is source.scope(call):
                yield call


@rule
def best_by_test(source):
    for node in source.nodes[ast.If]:
        match node.test:
            case ast.Compare(left=left, ops=[_], comparators=[right]):
                names = [dotted(left), dotted(right)]
            case _:
                continue
        best = [name for name in names if name and "best" in words(name)]
        other = [name for name in names if name and "best" not in words(name)]
        text = "\n".join(text_of(line) for line in node.body)
        if not best or not other or not re.search(r"torch\.save|\.state_dict\(", text):
            continue
        given = [
            words(dotted(argument))
            for value in values_here(source, other[0], node)
            if isinstance(value, ast.Call)
            for argument in value.args
        ]
        if ("test" in words(other[0])) or any("test" in name for name in given):
            yield node


# ---- Counting --------------------------------------------------------------------------------------------------------


def _added(source: Source, key: str | None) -> list[tuple[ast.stmt, ast.expr]]:
    """What is added up under a name: from `total += x` and `total = total + x`."""
    if not hasattr(source, "added"):
        source.added = {}
        for node in source.nodes[ast.AugAssign] + source.nodes[ast.Assign]:
            match node:
                case ast.AugAssign(target=target, op=ast.Add(), value=value):
                    source.added.setdefault(dotted(target), []).append((node, value))
                case ast.Assign(targets=[target], value=ast.BinOp(left=left, op=ast.Add(), right=right)):
                    if dotted(target) == dotted(left):
                        source.added.setdefault(dotted(target), []).append((node, right))
    return source.added.get(key, [])


def _over_batches(source: Source) -> Iterator[tuple[ast.BinOp, str]]:
    """total / len(loader): the division, and the name of the total."""
    for node in source.nodes[ast.BinOp]:
        match node:
            case ast.BinOp(op=ast.Div(), left=left, right=ast.Call(func=ast.Name(id="len"), args=[loader])):
                key = dotted(loader)
                if source.made_by(key, *LOADERS) or re.search(r"loader$", (key or "").lower()):
                    total = left
                    if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Mult):
                        total = left.left if dotted(left.left) else left.right
                    if is_method(total, "item"):
                        total = total.func.value
                    yield node, dotted(total)


def _is_count(source: Source, node: ast.expr, at: ast.AST) -> bool:
    """(outputs.argmax(1) == targets).sum(), or a name for it"""
    values = values_here(source, node.id, at) if isinstance(node, ast.Name) else [node]
    return any(
        re.search(r"(==.*|\beq\(.*)\)(\.\w+\(\))*\.sum\(\)", text_of(value)) and not _is_share(value)
        for value in values
    ) or any(re.search(r"^torch\.sum\(.*==", text_of(value)) and not _is_share(value) for value in values)


def _is_share(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)


@rule
def correct_over_batches(source):
    for node, total in _over_batches(source):
        added = _added(source, total) if total else []
        if added and all(_is_count(source, value, line) for line, value in added):
            yield node


@rule
def mean_of_accuracies(source):
    if "drop_last" in source.text:
        return
    for node, total in _over_batches(source):
        for line, value in _added(source, total) if total else []:
            values = values_here(source, value.id, line) if isinstance(value, ast.Name) else [value]
            text = " ".join(text_of(v) for v in values)
            mean = re.search(r"(==|\.eq\().*\.mean\(\)|torch\.mean\(.*==", text)
            share = any(
                _is_share(v if not is_method(v, "item") else v.func.value)
                and re.search(r"==|correct|\.eq\(", text_of(v))
                for v in values
            )
            if mean or share:
                yield node
                break


@rule
def summed_loss_drawn(source):
    for call in source.methods("add_scalar"):
        if len(call.args) < 2:
            continue
        value = call.args[1].func.value if is_method(call.args[1], "item") else call.args[1]
        key = dotted(value)
        if not key or "loss" not in key.lower() or re.search(rf"\b{re.escape(key)}\s*/", source.text):
            continue
        for line, added in _added(source, key):
            loop = next((above for above in source.above(line) if isinstance(above, ast.For)), None)
            batch = loop is not None and (
                source.made_by(looped_over(loop), *LOADERS)
                or re.search("loader|data", (looped_over(loop) or "").lower())
            )
            if batch and loop not in list(source.above(call)) and not isinstance(added, ast.BinOp):
                yield call
                break


# ---- Pictures --------------------------------------------------------------------------------------------------------


@rule
def bgr_picture(source):
    text = source.text
    for read in source.calls("cv2.imread"):
        if (
            not isinstance(read.up, ast.Assign)
            or len(read.args) > 1
            and text_of(read.args[1]) not in ("1", "cv2.IMREAD_COLOR")
        ):
            continue
        key = dotted(read.up.targets[0])
        here = values_here(source, key, read) if key else []
        if len(here) != 1 or re.search(rf"cvtColor|\b{re.escape(key)}\[|split\({re.escape(key)}\)|BGR", text):
            continue
        for call in source.nodes[ast.Call]:
            if (
                source.scope(call) is source.scope(read)
                and key in map(dotted, call.args)
                and _shows_colours(source, call, key)
            ):
                yield call


def _shows_colours(source: Source, call: ast.Call, key: str) -> bool:
    full = source.full_name(call.func) or ""
    if full in ("PIL.Image.fromarray", "matplotlib.pyplot.imshow") and dotted(call.args[0]) == key:
        return not keyword(call, "cmap")
    if isinstance(call.func, ast.Call):
        return source.full_name(call.func.func) in TO_TENSOR
    if is_method(call, "add_image"):
        return len(call.args) > 1 and dotted(call.args[1]) == key
    return source.made_by(dotted(call.func), *TO_TENSOR, *COMPOSE)


def _named_pipelines(source: Source) -> Iterator[tuple[str, ast.Call]]:
    """Each Compose with its name: of the variable, or of the key in a dictionary."""
    for call in source.calls(*COMPOSE):
        if isinstance(call.up, ast.Assign) and (key := dotted(call.up.targets[0])):
            yield key, call
        if isinstance(call.up, ast.Dict):
            at = call.up.keys[call.up.values.index(call)]
            if isinstance(at, ast.Constant) and isinstance(at.value, str):
                yield at.value, call


def _steps_of(source: Source, call: ast.Call) -> list[str] | None:
    """The full names of a pipeline's transforms; None where one of them is unknown."""
    if not call.args or not isinstance(call.args[0], ast.List):
        return None
    names = []
    for step in call.args[0].elts:
        if isinstance(step, ast.Name):
            made = [value for value in source.values.get(step.id, ()) if isinstance(value, ast.Call)]
            step = made[0] if len(made) == 1 else step
        name = source.full_name(step.func) if isinstance(step, ast.Call) else None
        if not name or not name.startswith("torchvision.transforms."):
            return None
        names.append(name.split(".")[-1])
    return names


@rule
def normalized_at_training_only(source):
    pipelines = [(words(name), call, _steps_of(source, call)) for name, call in _named_pipelines(source)]
    train = [steps for name, _, steps in pipelines if "train" in name and steps]
    for name, call, steps in pipelines:
        if name & {"test", "val", "valid"} and "train" not in name and steps and train:
            to_tensor = {"ToTensor", "ToDtype", "ToImage"} & set(steps)
            if to_tensor and "Normalize" not in steps and all("Normalize" in other for other in train):
                yield call


@rule
def random_at_test(source):
    by_list = {id(steps): names for steps, names in composed(source)}
    chance = re.compile(r"Random(Crop|ResizedCrop|Horizontal|Vertical|Rotation|Affine|Erasing)|ColorJitter")
    for name, call in _named_pipelines(source):
        if words(name) & {"test", "val", "valid"} and not words(name) & {"train", "tta", "aug"} and call.args:
            steps = getattr(call.args[0], "elts", [])
            for step, full in zip(steps, by_list.get(id(steps), ()), strict=False):
                if chance.match(full.split(".")[-1]):
                    yield step


@rule
def imagenet_misspelt(source):
    for call in source.calls("torchvision.transforms.Normalize", "torchvision.transforms.v2.Normalize"):
        given = {"mean": keyword(call, "mean"), "std": keyword(call, "std")}
        given |= dict(zip(given, call.args, strict=False))
        for name, value in given.items():
            if isinstance(value, ast.List | ast.Tuple) and len(value.elts) == 3:
                numbers = [number.value if isinstance(number, ast.Constant) else None for number in value.elts]
                if sum(a == b for a, b in zip(numbers, IMAGENET[name], strict=True)) == 2:
                    yield call
                    break


@rule
def listdir_pairs(source):
    listed = {
        key
        for key, values in source.values.items()
        if key and "sort" not in source.called.get(key, ())
        and any(isinstance(v, ast.Call) and source.full_name(v.func) in ("os.listdir", "glob.glob") for v in values)
        and not any("sorted(" in text_of(v) for v in values)
    }  # fmt: skip
    for function in source.nodes[ast.FunctionDef] if len(listed) > 1 else ():
        by_index: dict[str, set[str]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and dotted(node.value) in listed and isinstance(node.slice, ast.Name):
                by_index.setdefault(node.slice.id, set()).add(dotted(node.value))
                if len(by_index[node.slice.id]) == 2:
                    yield node
    for call in source.calls("builtins.zip"):
        direct = [
            isinstance(a, ast.Call) and source.full_name(a.func) == "os.listdir" or dotted(a) in listed
            for a in call.args
        ]
        if len(direct) > 1 and all(direct):
            yield call
