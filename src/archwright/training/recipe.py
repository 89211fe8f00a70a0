"""How a network is trained: one frozen value, whose defaults are the ENAS micro final run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from archwright.errors import ConfigError
from archwright.training.precision import Precision
from archwright.training.schedules import cosine_with_restarts, falling, step_decay

OPTIMIZERS = ("sgd", "adam", "rmsprop", "muon")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are the official ENAS micro final run (cifar10_micro_final.sh).

    Dropout and drop path are fields of the space, since the network contains them.

    Of text, `pad`, `flip`, `cutout`, `label_smoothing` and `auxiliary_weight` mean nothing; of images,
    `length` and `sampled`.

    Args:
        epochs: passes over the training images; a fraction stops inside a pass.
        batch: images per step. The last step of an epoch has what is left (one left image joins the step before).
        length: tokens that a gradient goes back (truncated back-propagation through time); of text, `batch` is rows.
        learning_rate: at the start of every cosine period; with `decay`, the constant one.
        learning_rate_min: at its end, and where `warmup` begins.
        warmup: share of training over which the rate rises linearly (Goyal et al. 2017, section 2.2).
        decay: share at the end over which a constant rate falls linearly, instead of cosines (warm-up, stable, decay:
            Hu et al. 2024, MiniCPM; Haegele et al. 2024). `warmup` w and `decay` 1 - w are one-cycle's triangle.
        restart_period: epochs of the first cosine period; see `schedules.cosine_with_restarts` for other totals.
        restart_factor: each period is this many times as long as the one before.
        decay_at: shares of training after which the learning rate is divided by 10, instead of cosines.
        decay_every: epochs after which the learning rate is multiplied by `decay_factor`, again and again, instead.
        decay_factor: the factor.
        decay_from: the epoch at which that begins.
        optimizer: "sgd", "adam", "rmsprop" (PyTorch's; TensorFlow's RMSProp has epsilon inside the root), or "muon",
            which is SGD with Nesterov's momentum but for convolutions (see `archwright.training.muon`).
        momentum: of SGD and RMSProp; of Adam the decay of the mean gradient (beta 1).
        nesterov: Nesterov's momentum, of SGD.
        second_decay: of the mean squared gradient: Adam's beta 2, RMSProp's alpha.
        epsilon: of Adam and RMSProp.
        weight_decay: on every parameter, BatchNorm's and biases too unless `decay_norms` is off.
        decay_norms: off, parameters of one dimension do not decay (Goyal et al. 2017; He et al. 2019).
        clip_norm: the largest norm of the whole gradient; None does not clip.
        label_smoothing: share of the target spread over all classes.
        sampled: share of the vocabulary that a training step compares the words that follow with (sampled softmax);
            1 is all of it. Validation and test have all of it.
        auxiliary_weight: of the auxiliary head's loss, where the network has that head.
        average: decay of the moving average of the weights that is validated and delivered; 0: the weights themselves.
        pad: pixels of padding for random crops of the image's own size; 0 does not crop.
        flip: mirror half of the images left to right. Turn it off where a mirror image is another class (digits).
        cutout: side in pixels of the square that is blanked; 0 does not. 16 is usual for 32 x 32 (DeVries 2017).
        augment: share of `pad` and `cutout` that is used, rounded to pixels; 0 is none of them.
        cutout_at: what is placed at random: the "centre" of the square (usual) or its top-left "corner" (ENAS code).
        small_from: side of the training images at the start, as a share of their own: it grows linearly, in steps of 4
            pixels, and training is faster as long as it is small (progressive resizing: fast.ai in DAWNBench 2018).
        small_until: share of training after which they have their own size.
        looks: at the validation part, at most so many and one a pass; the best weights of them are delivered. Where two
            in a row are worse, training goes back to the best ones and the rate falls from there (`decay`), for as long
            as if that had been the plan. 0: the last weights are delivered.
        validation_limit: images, or tokens of text, that a look at the validation part takes; None: all of it.
        precision: of the forward pass, in validation too; never of the test. "bfloat16" is automatic mixed precision:
            weights and their updates stay float32.
        whiten: set the first convolution of a network that can (`whiten(images)`) from 2,000 training images, before
            training, so that its outputs are uncorrelated (Page 2018; Jordan 2024, airbench, section 3.2).
    """

    epochs: float = 630  # cifar10_micro_final.sh: 10 + 20 + 40 + 80 + 160 + 320
    batch: int = 144  # cifar10_micro_final.sh
    length: int = 35  # Zaremba 2014
    learning_rate: float = 0.05  # cifar10_micro_final.sh
    learning_rate_min: float = 1e-4  # cifar10_micro_final.sh; the paper has 0.001
    restart_period: int = 10  # T_0, ENAS 2018, section 3.2
    restart_factor: int = 2  # T_mul, ENAS 2018, section 3.2
    warmup: float = 0.0
    decay: float | None = None
    decay_at: tuple[float, ...] = ()
    decay_every: float | None = None
    decay_factor: float = 0.97
    decay_from: float = 0.0
    optimizer: Literal["sgd", "adam", "rmsprop", "muon"] = "sgd"  # ENAS 2018, section 3.2
    momentum: float = 0.9  # official code, utils.py
    nesterov: bool = True  # ENAS 2018, section 3.2
    second_decay: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 4e-4  # l2_reg 2e-4 times sum(w^2), without the 1/2 that weight decay implies; all variables
    decay_norms: bool = True
    # 5 is what the official scripts ask for, but their code appends the unclipped gradient. We clip, as NASNet and
    # DARTS do at the same 5.
    clip_norm: float | None = 5.0
    label_smoothing: float = 0.0  # NASNet smooths on ImageNet only (0.1)
    sampled: float = 1.0
    auxiliary_weight: float = 0.4  # micro_child.py
    average: float = 0.0
    pad: int = 4  # ENAS 2018, section 3.2
    flip: bool = True  # ENAS 2018, section 3.2
    cutout: int = 0  # no official script sets it
    cutout_at: Literal["centre", "corner"] = "centre"
    augment: float = 1.0
    small_from: float = 1.0
    small_until: float = 0.7
    looks: int = 0
    validation_limit: int | None = None
    precision: Precision = "float32"
    whiten: bool = False

    def __post_init__(self) -> None:
        self._require("epochs", 0 < self.epochs < math.inf, "greater than zero")
        for name in ("batch", "length", "restart_period", "restart_factor"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("looks", "pad", "cutout", "weight_decay", "auxiliary_weight", "learning_rate_min", "decay_from"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "zero or more")
        least = self.learning_rate_min
        right = f"finite and at least learning_rate_min, {least}"
        self._require("learning_rate", least <= self.learning_rate < math.inf, right)
        for name in ("momentum", "label_smoothing", "average", "warmup"):
            self._require(name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        self._require("nesterov", not self.nesterov or self.momentum > 0, "False when momentum is 0")
        self._require("optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}")
        self._require("second_decay", 0 < self.second_decay < 1, "between 0 and 1")
        self._require("epsilon", self.epsilon > 0, "greater than zero")
        for name in ("clip_norm", "decay_every"):
            self._require(name, getattr(self, name) is None or getattr(self, name) > 0, "None or greater than zero")
        share = self.decay is None or 0 < self.decay <= 1 - self.warmup + 1e-9
        self._require("decay", share, f"None, or above 0 and at most 1 less the warm-up of {self.warmup}")
        self._require(
            "decay", self.decay is None or not (self.decay_at or self.decay_every), "None with decay_at or decay_every"
        )
        self._require("sampled", 0 < self.sampled <= 1, "above 0, and 1 at most")
        self._require("augment", 0 <= self.augment <= 1, "from 0 to 1")
        for name in ("small_from", "small_until"):
            self._require(name, 0 < getattr(self, name) <= 1, "above 0, and 1 at most")
        self._require("decay_factor", 0 < self.decay_factor <= 1, "above 0, and 1 at most")
        self._require("cutout_at", self.cutout_at in ("centre", "corner"), "'centre' or 'corner'")
        self._require("validation_limit", self.validation_limit is None or self.validation_limit > 1, "more than 1")
        self._require("precision", self.precision in ("float32", "bfloat16"), "'float32' or 'bfloat16'")
        object.__setattr__(self, "decay_at", tuple(self.decay_at))
        self._require("decay_at", all(0 < share < 1 for share in self.decay_at), "shares between 0 and 1")

    def rate(self, position: float) -> float:
        """Return the learning rate at `position`, in epochs; the schedule is over at `epochs`."""
        rate, low, share = self._rate(position), self.learning_rate_min, position / self.epochs
        return rate if share >= self.warmup else min(rate, low + (rate - low) * share / self.warmup)

    def _rate(self, position: float) -> float:
        if self.decay_at:
            return step_decay(position, self.epochs, high=self.learning_rate, at=self.decay_at)
        if self.decay_every is not None:
            times = math.floor(max(0.0, position - self.decay_from) / self.decay_every)
            return float(self.learning_rate * self.decay_factor**times)
        high, low, period = self.learning_rate, self.learning_rate_min, self.restart_period
        if self.decay is not None:
            return falling(position / self.epochs, high=high, low=low, over=self.decay)
        return cosine_with_restarts(
            position, self.epochs, high=high, low=low, period=period, factor=self.restart_factor
        )

    def side(self, pixels: int, progress: float) -> int:
        """Return the side of training images whose own is `pixels`, at `progress` of training (0 to 1)."""
        if self.small_from == 1 or progress >= self.small_until:
            return pixels
        share = self.small_from + (1 - self.small_from) * progress / self.small_until
        return min(pixels, max(4, 4 * round(pixels * share / 4)))

    def _require(self, name: str, holds: bool, right: str) -> None:
        if not holds:
            raise ConfigError(f"Recipe: {name} is {getattr(self, name)!r}; it must be {right}")


ENAS_MICRO_FINAL = Recipe()

# cifar10_micro_search.sh: the shared weights. 150 = 10 + 20 + 40 + 80; l2_reg 1e-4, so weight decay 2e-4.
ENAS_MICRO_SEARCH = Recipe(epochs=150, batch=160, learning_rate_min=5e-4, weight_decay=2e-4)

# A recipe for minutes instead of days (docs/value.md has what each part brings): one rise, a constant rate that a race
# can interrupt, one fall to nothing (WSD); Nesterov SGD and smoothed labels as DAWNBench's ResNets (Page 2018), no
# decay on norms and biases (He et al. 2019).
MINUTES = Recipe(
    epochs=12,
    batch=128,
    learning_rate=0.2,
    learning_rate_min=0.0,
    warmup=0.1,
    decay=0.7,
    weight_decay=5e-4,
    decay_norms=False,
    clip_norm=None,
    label_smoothing=0.1,
    auxiliary_weight=0.0,
    average=0.995,
)

# NAS's children (Zoph & Le 2017, section 4.1), trained like DenseNets (Huang et al. 2017: batch 64, and a tenth of the
# learning rate after a half and three quarters). Where ours differs: the paper crops from images scaled to 40 pixels.
NAS_CONV = Recipe(epochs=50, batch=64, learning_rate=0.1, decay_at=(0.5, 0.75), weight_decay=1e-4, clip_norm=None)

# NAS's language models (Zoph & Le 2017, section 4.2: 35 epochs). The paper does not say how they are trained; this is
# plain SGD with clipping, as Zaremba 2014. There the loss is a sum over 35 tokens, here their mean: rates are 20 for 1.
NAS_RECURRENT = Recipe(
    epochs=35,
    batch=20,
    learning_rate=20.0,
    learning_rate_min=0.1,
    restart_period=1000,
    momentum=0.0,
    nesterov=False,
    weight_decay=0.0,
    clip_norm=0.25,
    pad=0,
    flip=False,
)

# A recipe for minutes of text (docs/value.md): Zaremba's steps, with a rate that a race can interrupt.
TEXT_MINUTES = replace(NAS_RECURRENT, epochs=12, learning_rate_min=0.0, warmup=0.05, decay=0.5, looks=20)

# ENAS's shared recurrent weights (C1: rate 20, times 0.96 an epoch from epoch 15, 150 epochs, clipped at 0.25, decay
# 1e-7; batch 64 x 35 as the 400 steps an epoch say). The loss is a mean over tokens, as there.
ENAS_RECURRENT = replace(
    NAS_RECURRENT,
    epochs=150,
    batch=64,
    learning_rate_min=0.0,
    decay_every=1,
    decay_factor=0.96,
    decay_from=15,
    weight_decay=1e-7,
)

# cifar10_macro_search.sh: l2_reg 2.5e-4, so weight decay 5e-4; and cifar10_macro_final.sh.
ENAS_MACRO_SEARCH = Recipe(epochs=310, batch=128, learning_rate_min=5e-4, weight_decay=5e-4)
ENAS_MACRO_FINAL = Recipe(epochs=310, batch=100, learning_rate_min=1e-3, weight_decay=4e-4)

# NASNet's children (Zoph et al. 2018, appendix A.1): 20 epochs, one cosine, momentum 0.9, L2. Batch, rate, decay and
# clipping of the search are not published; these are the official code's for the network on CIFAR-10.
NASNET_SEARCH = Recipe(
    epochs=20,
    batch=32,
    learning_rate=0.025,
    learning_rate_min=0.0,
    restart_period=1000,
    nesterov=False,
    weight_decay=5e-4,
)

# slim's cifar_config and the notes above it; cutout is in the "+ cutout" rows of the paper's table only.
NASNET_FINAL = replace(NASNET_SEARCH, epochs=600)

# slim's mobile_imagenet_config for one process, and appendix A.3: RMSProp, label smoothing, an average of the weights.
NASNET_IMAGENET = replace(
    NASNET_SEARCH,
    epochs=250,
    optimizer="rmsprop",
    learning_rate=0.04,
    restart_period=10,
    decay_every=2.4,
    decay_factor=0.97,
    second_decay=0.9,
    epsilon=1.0,
    weight_decay=4e-5,
    clip_norm=10.0,
    label_smoothing=0.1,
    average=0.9999,
)

# The weights of DARTS's search on CIFAR-10 (Liu et al. 2019, appendix A.1.1; official train_search.py, whose least rate
# is 0.001 where the paper has 0): clipped at 5, all parameters decay.
DARTS_SEARCH = Recipe(
    epochs=50,
    batch=64,
    learning_rate=0.025,
    learning_rate_min=1e-3,
    restart_period=1000,
    nesterov=False,
    weight_decay=3e-4,
)

# cnn/train.py; cutout is in the published results. The drop path that goes with it is a field of the space.
DARTS_FINAL = replace(DARTS_SEARCH, epochs=600, batch=96, learning_rate_min=0.0, cutout=16)

# cnn/train_imagenet.py
DARTS_IMAGENET = replace(
    DARTS_FINAL,
    epochs=250,
    batch=128,
    learning_rate=0.1,
    decay_every=1,
    weight_decay=3e-5,
    label_smoothing=0.1,
    cutout=0,
)

# rnn/train_search.py and rnn/train.py: SGD at a rate of 20. The code scales the rate by the length of a piece, which it
# varies around 35, and adds penalties on large and on changing outputs (alpha, beta 1e-3); these do not. The final
# training goes on until stopped (8,000 epochs at most) and averages weights (ASGD) once validation gets no better: here
# a moving average.
DARTS_RECURRENT_SEARCH = replace(
    NAS_RECURRENT, epochs=50, batch=256, learning_rate_min=20.0, restart_period=1000, weight_decay=5e-7
)
DARTS_RECURRENT = replace(DARTS_RECURRENT_SEARCH, epochs=8000, batch=64, weight_decay=8e-7, average=0.999)

# How the cells of NAS-Bench-201's table are trained (Dong & Yang 2020, table 1; configs/nas-benchmark/hyper-opts/200E).
NAS_BENCH_201 = Recipe(
    epochs=200,
    batch=256,
    learning_rate=0.1,
    learning_rate_min=0.0,
    restart_period=1000,
    weight_decay=5e-4,
    clip_norm=None,
)
