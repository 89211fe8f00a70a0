"""Search a network for arrays in a few lines: `python examples/own_data.py` (about 3 minutes on 2 cores)."""

from sklearn.datasets import load_digits

import archwright
from archwright import EnasMicro

if __name__ == "__main__":
    digits = load_digits()
    run = archwright.search(
        data=(digits.images.astype("float32"), digits.target),
        space=EnasMicro(nodes=4),
        watch=lambda event: None,
    )
    print(run.architecture.id, f"{run.test_accuracy:.2%}")
    archwright.draw(run.architecture, "cell.png")
