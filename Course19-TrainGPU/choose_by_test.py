"""Course 19 · TrainGPU — how much does it flatter to choose the best epoch by the test pictures?

Run   python Course19-TrainGPU/choose_by_test.py    ten runs, three minutes

Each run trains on few pictures and notes, after every epoch, which of 2,000 test pictures it gets right. A quarter of
them then plays the test split, and the other three quarters are fresh pictures, which nobody chooses by. One person
picks the epoch by the validation pictures, another by the test split; each reports the accuracy on the test split.
How far is that above the accuracy on fresh pictures?
"""

import statistics

import torch
from torch import nn
from train import build_loaders, build_model, build_optimizer, evaluate, train_one_epoch

from trainer.options import new_run_options

device, loss_fn = torch.device("cpu"), nn.CrossEntropyLoss()
too_high = {"validation": [], "test": []}  # chosen by -> points by which each report was too high
for seed in range(10):
    typed = "--data drawn --limit 2000 --epochs 15 --schedule constant --lr 0.02 --seed"
    options = new_run_options([*typed.split(), str(seed)])
    loaders, about_data = build_loaders(options, device)
    torch.manual_seed(seed)
    model = build_model(options["model"], len(about_data["classes"]), device)
    optimizer, scheduler = build_optimizer(model, options, options["epochs"] * len(loaders["train"]))
    val_accuracy, right = [], []
    for epoch in range(options["epochs"]):
        loaders["train"].set_epoch(epoch)
        train_one_epoch(model, loaders["train"], loss_fn, optimizer, scheduler)
        val_accuracy.append(evaluate(model, loaders["val"], loss_fn)[1])
        with torch.no_grad():
            right.append(torch.cat([model(images).argmax(dim=1) == labels for images, labels in loaders["test"]]))
    right = torch.stack(right).double() * 100  # (epochs, 2000): 100 where right, so that means are per cent

    for quarter in torch.arange(2000).view(500, 4).T:  # (500,): every fourth picture
        fresh = torch.ones(2000, dtype=torch.bool)
        fresh[quarter] = False
        test_accuracy = right[:, quarter].mean(dim=1)  # (epochs,)
        for chooser, accuracies in (("validation", torch.tensor(val_accuracy)), ("test", test_accuracy)):
            epoch = accuracies.argmax()
            too_high[chooser].append(float(test_accuracy[epoch] - right[epoch, fresh].mean()))
    print(f"seed {seed}: chosen by test, too high by", ", ".join(f"{x:.1f}" for x in too_high["test"][-4:]), "points")

for chooser, points in too_high.items():
    runs = [statistics.mean(points[i : i + 4]) for i in range(0, len(points), 4)]  # the quarters of a run are no runs
    error = statistics.stdev(runs) / len(runs) ** 0.5
    print(f"chosen by {chooser}: the report is too high by {statistics.mean(runs):.1f} ± {error:.1f} points")
