"""Course 06 · Module — what is a network made of?

Run   python Course06-Module/module.py
See   outputs/Course06-Module/        (the picture that it draws)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from common.data import cifar10
from common.paths import output_dir

torch.manual_seed(6)
transform = v2.Compose(
    [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])]
)
train_images, train_labels = next(iter(DataLoader(cifar10(train=True, transform=transform), batch_size=10_000)))
test_images, test_labels = next(iter(DataLoader(cifar10(train=False, transform=transform), batch_size=2000)))
batch = test_images[:64]  # (2000, 3, 32, 32) -> (64, 3, 32, 32)
print("train", tuple(train_images.shape), "test", tuple(test_images.shape))

# %% 2. The smallest module


class PlusOne(nn.Module):
    def forward(self, x):
        return x + 1


plus_one = PlusOne()
print("plus one:", plus_one(torch.tensor(1.0)))

# %% 3. Parameters


class StraightLine(nn.Module):
    def __init__(self, slope, start):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.start = nn.Parameter(torch.tensor(start))

    def forward(self, x):
        return self.slope * x + self.start


line = StraightLine(slope=2.0, start=1.0)
y = line(torch.tensor(3.0))
y.backward()
print("y =", y.item())
for name, parameter in line.named_parameters():
    print(f"{name}: value {parameter.item()}, gradient {parameter.grad.item()}")

# %% 4. Modules inside a module


class TwoLayers(nn.Module):
    def __init__(self, hidden, num_classes):
        super().__init__()
        self.flatten = nn.Flatten()
        self.first = nn.Linear(3 * 32 * 32, hidden)
        self.dropout = nn.Dropout(0.5)
        self.second = nn.Linear(hidden, num_classes)

    def forward(self, images):
        x = self.flatten(images)  # (N, 3, 32, 32) -> (N, 3072), N: pictures in the batch
        x = torch.relu(self.first(x))  # -> (N, hidden)
        return self.second(self.dropout(x))  # -> (N, num_classes)


model = TwoLayers(hidden=64, num_classes=10)
print(model)
print("logits", tuple(model(batch).shape))
for name, parameter in model.named_parameters():
    print(f"{name:13} {tuple(parameter.shape)}")
print("numbers that training can change:", sum(parameter.numel() for parameter in model.parameters()))

# %% 5. Watch it learn


def accuracy(model, images, labels):
    """The share of the pictures for which the largest of the ten logits is the right one."""
    with torch.no_grad():
        return (model(images).argmax(dim=1) == labels).float().mean().item()


print(f"before: {accuracy(model, train_images, train_labels):.0%} right")
train_loader = DataLoader(TensorDataset(train_images, train_labels), batch_size=50, shuffle=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
for epoch in range(1, 9):
    right = 0
    for images, labels in train_loader:
        logits = model(images)  # (50, 3, 32, 32) -> (50, 10)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right += (logits.argmax(dim=1) == labels).sum().item()
    print(f"epoch {epoch}: {right / len(train_images):.0%} right")

# %% 6. Training mode and evaluation mode
for mode in (model.train, model.eval):
    mode()
    print(f"{mode.__name__}(): training={model.training}, in the dropout too: {model.dropout.training}")
    print("  same answers twice:", torch.equal(model(batch), model(batch)))
    print(f"  {accuracy(model, test_images, test_labels):.0%} right")

# %% 7. The state_dict: what a model has learned
twin = TwoLayers(hidden=64, num_classes=10).eval()
print(f"a new twin: {accuracy(twin, test_images, test_labels):.0%} right")
print("it holds", list(model.state_dict()))
print("loading:", twin.load_state_dict(model.state_dict()))
print(f"the twin now: {accuracy(twin, test_images, test_labels):.0%} right")
print("the same answers:", torch.equal(model(batch), twin(batch)))

# %% 8. Break it: `__int__` for `__init__`


class Typo(nn.Module):
    def __int__(self, num_classes=10):  # on purpose
        super().__init__()
        self.linear = nn.Linear(3 * 32 * 32, num_classes)

    def forward(self, images):
        return self.linear(images.flatten(1))


try:
    Typo(10)
except TypeError as error:
    print("TypeError:", error)
typo = Typo()  # no complaint: the __init__ of nn.Module ran instead
try:
    typo(batch)
except AttributeError as error:
    print("AttributeError:", error)

# %% 9. Break it: layers in a plain list


class ManyLayers(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


plain_list = [nn.Flatten(), nn.Linear(3 * 32 * 32, 20), nn.Linear(20, 10)]
for layers in (plain_list, nn.ModuleList(plain_list)):
    many = ManyLayers(layers)
    shape, registered, saved = tuple(many(batch).shape), len(list(many.parameters())), len(many.state_dict())
    print(f"{type(layers).__name__}: logits {shape}, parameter tensors {registered}, in the state_dict {saved}")
try:
    torch.optim.SGD(ManyLayers(plain_list).parameters(), lr=0.02)
except ValueError as error:
    print("ValueError:", error)

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 10. Predict what to() changes, then look
twin.to(torch.float64)  # the result is not kept …
batch.to(torch.float64)  # … nor is this one
print("weight of the module", twin.first.weight.dtype)
print("tensor", batch.dtype)
device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
twin.to(torch.float32).to(device)
print("all on one device:", {p.device.type for p in twin.parameters()} == {device.type})
print("its answer too:", twin(batch.to(device)).device.type == device.type)

# %% 11. Buffers


class Normalize(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean.view(3, 1, 1))  # (3,) -> (3, 1, 1): one number a channel
        self.std = std.view(3, 1, 1)  # not registered, to see what is lost

    def forward(self, images):
        return (images - self.mean) / self.std


pictures = batch * 0.25 + 0.5  # as they were before v2.Normalize: 0…1
normalize = Normalize(pictures.mean(dim=(0, 2, 3)), pictures.std(dim=(0, 2, 3)))
print("parameters", len(list(normalize.parameters())), "buffers", [name for name, _ in normalize.named_buffers()])
print("state_dict", list(normalize.state_dict()))
normalize.to(torch.float64)
print("after to(float64): mean", normalize.mean.dtype, "std", normalize.std.dtype)

# %% 12. Hooks: why model(x) and not model.forward(x)
seen = []


def note_shapes(module, args, output):
    seen.append(f"{type(module).__name__}: {tuple(args[0].shape)} -> {tuple(output.shape)}")


handles = [layer.register_forward_hook(note_shapes) for layer in model.children()]
model(batch)
print(*seen, sep="\n")

whole = model.register_forward_hook(note_shapes)
for name, call in (("model(x)", model), ("model.forward(x)", model.forward)):
    seen.clear()
    call(batch)
    print(f"{name}: the hook of the model ran: {any(line.startswith('TwoLayers') for line in seen)}")
for handle in [*handles, whole]:
    handle.remove()
seen.clear()
model(batch)
print("after remove():", seen)

# %% 13. Tour: padding
row = torch.tensor([[[1.0, 2.0, 3.0]]])  # (1, 1, 3)
paddings = {
    "zero": (nn.ZeroPad1d(2), nn.ZeroPad2d(8)),
    "reflection": (nn.ReflectionPad1d(2), nn.ReflectionPad2d(8)),
    "replication": (nn.ReplicationPad1d(2), nn.ReplicationPad2d(8)),
    "circular": (nn.CircularPad1d(2), nn.CircularPad2d(8)),
}
fig, axes = plt.subplots(1, 5, figsize=(10, 2.3), layout="constrained")
axes[0].imshow(pictures[2].permute(1, 2, 0).numpy())  # (3, 32, 32) -> (32, 32, 3)
axes[0].set_title("input")
for ax, (name, (pad_row, pad_picture)) in zip(axes[1:], paddings.items(), strict=True):
    print(f"{name:11} {[int(x) for x in pad_row(row)[0, 0]]}")
    padded = pad_picture(pictures)  # (64, 3, 32, 32) -> (64, 3, 48, 48)
    ax.imshow(padded[2].permute(1, 2, 0).numpy())
    ax.set_title(name)
for ax in axes:
    ax.axis("off")
fig.savefig(output_dir("Course06-Module") / "padding.png", dpi=100)
print("pictures", tuple(pictures.shape), "->", tuple(padded.shape))

# %% 14. Tour: normalisation
batch_norm = nn.BatchNorm2d(num_features=3)
layer_norm = nn.LayerNorm(normalized_shape=(3, 32, 32))
for layer, over in ((batch_norm, (0, 2, 3)), (layer_norm, (1, 2, 3))):
    name, out = type(layer).__name__, layer(batch)  # (64, 3, 32, 32) -> (64, 3, 32, 32)
    means, stds = out.mean(dim=over), out.std(dim=over, correction=0)
    normal = bool((means.abs() < 1e-3).all() and ((stds - 1).abs() < 1e-2).all())
    print(f"{name} over the axes {over}: {len(means)} means 0 and stds 1: {normal}")
mean = batch.mean(dim=(0, 2, 3), keepdim=True)  # (1, 3, 1, 1)
variance = batch.var(dim=(0, 2, 3), keepdim=True, correction=0)
by_hand = (batch - mean) / (variance + batch_norm.eps).sqrt()
print("batch norm by hand:", torch.allclose(batch_norm(batch), by_hand, atol=1e-4))
for training in (True, False):
    for layer in (batch_norm, layer_norm):
        layer.train(training)
        alone, in_company = layer(batch[:1])[0], layer(batch)[0]  # (3, 32, 32), (3, 32, 32): the same picture
        same = torch.allclose(alone, in_company, atol=1e-5)
        print(f"{training=}, {type(layer).__name__}: the same answer alone and in company: {same}")
for layer in (batch_norm, layer_norm):
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    print(f"{type(layer).__name__}: {sum(p.numel() for p in layer.parameters())} parameters {shapes}")
    print("  buffers", [name for name, _ in layer.named_buffers()])

# %% 15. Tour: dropout
dropout = nn.Dropout(p=0.5)
ones = torch.ones(1000)
dropped = dropout(ones)  # (1000,) -> (1000,)
share = (dropped == 0).float().mean()
print(f"training: values {dropped.unique().tolist()}, mean {dropped.mean():.1f}, share of zeros {share:.0%}")
print("evaluation: unchanged:", torch.equal(dropout.eval()(ones), ones))

# %% 16. Tour: embedding
embedding = nn.Embedding(num_embeddings=10, embedding_dim=4)
vectors = embedding(test_labels[:64])  # (64,) -> (64, 4)
print("labels", tuple(test_labels[:64].shape), "->", tuple(vectors.shape))
print("row by row from a table:", torch.equal(vectors[7], embedding.weight[test_labels[7]]))

# %% 17. Tour: recurrent layers
sequence = batch.permute(0, 2, 1, 3).flatten(2)  # (64, 3, 32, 32) -> (64, 32, 96): 32 rows, read from top to bottom
print("sequence", tuple(sequence.shape))
for kind in (nn.RNN, nn.GRU, nn.LSTM):
    layer = kind(input_size=96, hidden_size=20, batch_first=True)
    outputs, state = layer(sequence)  # (64, 32, 96) -> (64, 32, 20), and the last state (1, 64, 20)
    shapes = [tuple(part.shape) for part in (state if isinstance(state, tuple) else (state,))]
    count = sum(p.numel() for p in layer.parameters())
    print(f"{kind.__name__:4} {tuple(outputs.shape)}, state {shapes}, {count} parameters")

rnn = nn.RNN(input_size=96, hidden_size=20, batch_first=True)
state = torch.zeros(64, 20)
for step in range(32):
    state = torch.tanh(
        sequence[:, step] @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + state @ rnn.weight_hh_l0.T + rnn.bias_hh_l0
    )
print("RNN by hand:", torch.allclose(rnn(sequence)[1][0], state, atol=1e-5))

# %% 18. Tour: transformer encoder
patches = nn.Unfold(kernel_size=8, stride=8)(batch).transpose(1, 2)  # (64, 3, 32, 32) -> (64, 16, 192): 8x8 tiles
tokens = nn.Linear(3 * 8 * 8, 32)(patches)  # -> (64, 16, 32)
block = nn.TransformerEncoderLayer(d_model=32, nhead=4, dim_feedforward=64, batch_first=True)
encoder = nn.TransformerEncoder(block, num_layers=2, enable_nested_tensor=False).eval()
print("encoder", tuple(tokens.shape), "->", tuple(encoder(tokens).shape))

changed = tokens.clone()
changed[:, 5] += 1  # one tile of each picture
touched = (encoder(changed) - encoder(tokens)).abs().amax(dim=(0, 2)) > 1e-4  # (16,)
print("tiles that notice a change of tile 5:", int(touched.sum()), "of 16")
order = torch.randperm(16)
print("shuffled in, shuffled out:", torch.allclose(encoder(tokens[:, order]), encoder(tokens)[:, order], atol=1e-5))

# %% 19. Break it: forget `super().__init__()`


class NoSuper(nn.Module):
    def __init__(self):
        self.linear = nn.Linear(3 * 32 * 32, 10)


try:
    NoSuper()
except AttributeError as error:
    print("AttributeError:", error)

# %% 20. Break it: forward under a different name


class NoForward(nn.Module):
    def foward(self, x):
        return x


try:
    NoForward()(batch)
except NotImplementedError as error:
    print("NotImplementedError:", error)
