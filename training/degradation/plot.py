"""Draws the training curves of the degradation experiment and prints its table.

    .venv-training/bin/python -m pip install matplotlib==3.11.1
    .venv-training/bin/python training/degradation/plot.py

Reads the `log.csv` and `card.toml` that `train.py` wrote for each network.
"""

import csv
import tomllib
from pathlib import Path

import matplotlib
from matplotlib import pyplot

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models"

# Test error in percent: from Table 6 for the residual networks; read from Figure 6 for the plain ones.
RUNS = {
    "plain-20": (HERE / "plain20", "about 9.5", "tab:orange", "--"),
    "plain-56": (HERE / "plain56", "about 13", "tab:red", "--"),
    "ResNet-20": (MODELS / "cifar10-resnet20", "8.75", "tab:cyan", "-"),
    "ResNet-56": (HERE / "resnet56", "6.97", "tab:blue", "-"),
}


def training_errors(folder: Path) -> list[float]:
    """The error of each epoch in percent."""
    with (folder / "log.csv").open(newline="") as file:
        return [100 * float(row["error"]) for row in csv.DictReader(file)]


def test_error(folder: Path) -> float:
    """The error of PyTorch's model after the last epoch in percent."""
    card = tomllib.loads((folder / "card.toml").read_text())
    [top1] = [
        figure["value"]
        for figure in card["figures"]
        if figure["metric"] == "top-1" and "train.py" in figure["command"]
    ]
    return 100 * (1 - top1)


def main() -> None:
    matplotlib.rcParams.update({"svg.hashsalt": "resnetd", "svg.fonttype": "none"})
    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    print("| network | training error | test error | the paper's test error |\n|---|---|---|---|")
    for name, (folder, paper, colour, line) in RUNS.items():
        errors, test = training_errors(folder), test_error(folder)
        epochs = range(1, len(errors) + 1)
        axes.plot(epochs, errors, line, color=colour, label=f"{name}, training")
        axes.plot(len(errors), test, "o", color=colour, label=f"{name}, test")
        print(f"| {name} | {errors[-1]:.2f} % | {test:.2f} % | {paper} % |")
    axes.set(xlabel="epoch", ylabel="error, %", ylim=(0, 40))
    axes.grid(alpha=0.3)
    axes.legend(ncols=2, fontsize="small")
    figure.savefig(HERE / "curves.svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
