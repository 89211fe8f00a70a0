"""Operations that people know, as sentences: what a text may call by name."""

from __future__ import annotations

from functools import lru_cache, partial

from archwright.errors import SpaceError
from archwright.sentences.reading import Named, Reader
from archwright.sentences.rules import Setting
from archwright.sentences.sentence import Sentence


@lru_cache(maxsize=4096)
def parse(text: str) -> Sentence:
    """Read a sentence; known ones may be written by name (`conv3x3(64)`) and are expanded.

    Raises: SpaceError, with the position in the text.
    """
    return Reader(text, NAMED).whole()


def convolution(width: Setting, stride: Setting = 1, *, kernel: int) -> Sentence:
    """Every position reads a window of its neighbours: PyTorch's `Conv2d`, padded by half the kernel."""
    return parse(f"routing(im2col({kernel}, {stride}), linear({width}), col2im)")


def depthwise(stride: Setting = 1, *, kernel: int) -> Sentence:
    """Every channel is a branch with a convolution of its own."""
    return parse(f"branching(group(channels), routing(im2col({kernel}, {stride}), linear(1), col2im), concat)")


def separable(width: Setting, stride: Setting = 1, *, kernel: int = 3) -> Sentence:
    """Write a depthwise convolution and a pointwise one (Chollet 2017)."""
    return parse(f"sequential(depthwise{kernel}x{kernel}({stride}), norm, relu, linear({width}), norm)")


def attention(heads: Setting) -> Sentence:
    """Scaled dot-product attention of a sequence with itself, in heads (Vaswani et al. 2017)."""
    part = {1: "same", 2: "half", 4: "quarter", 8: "eighth"}.get(int(heads) if isinstance(heads, int) else 0)
    if part is None:
        raise SpaceError(f"attention has 1, 2, 4 or 8 heads, not {heads}")
    compared = f"branching(clone(2), linear({part}), linear({part}), dot)"
    head = f"branching(clone(2), sequential({compared}, softmax), linear({part}), matmul)"
    return parse(f"sequential({head if heads == 1 else f'branching(clone({heads}), {head}, concat)'}, linear(same))")


def residual(part: Sentence) -> Sentence:
    """x + part(x) (He et al. 2016)."""
    return parse(f"branching(clone(2), {part}, identity, add)")


def excitation() -> Sentence:
    """Scales each feature by a function of all features' means (Hu et al. 2018), through a quarter of the width."""
    return parse(
        "branching(clone(2), identity, sequential(mean, linear(quarter), relu, linear(quadruple), sigmoid), multiply)"
    )


def perceptron() -> Sentence:
    """Write the two layers of a transformer's block."""
    return parse("sequential(linear(quadruple), gelu, linear(quarter))")


def encoder(heads: Setting) -> Sentence:
    """Write a block of a vision transformer (Dosovitskiy et al. 2021)."""
    return parse(f"sequential(residual(sequential(norm, attention({heads}))), residual(sequential(norm, mlp)))")


def mixer() -> Sentence:
    """Write a block of MLP-Mixer (Tolstikhin et al. 2021): positions are mixed, then features."""
    mixed = "routing(permute, sequential(linear(double), gelu, linear(half)), permute)"
    return parse(f"sequential(residual(sequential(norm, {mixed})), residual(sequential(norm, mlp)))")


def basic(width: Setting, stride: Setting = 1) -> Sentence:
    """Write a residual block (He et al. 2016); where the shape changes, the shortcut is a 1x1 convolution."""
    branch = f"sequential(conv3x3({width}, {stride}), norm, relu, conv3x3({width}), norm)"
    shortcut = "identity" if (width, stride) == ("same", 1) else f"sequential(conv1x1({width}, {stride}), norm)"
    return parse(f"sequential(branching(clone(2), {branch}, {shortcut}, add), relu)")


def preactivated(width: Setting, stride: Setting = 1) -> Sentence:
    """Write a residual block whose norms and activations come first (He et al. 2016b; Zagoruyko & Komodakis 2016)."""
    branch = f"sequential(norm, relu, conv3x3({width}, {stride}), norm, relu, conv3x3({width}))"
    shortcut = "identity" if (width, stride) == ("same", 1) else f"conv1x1({width}, {stride})"
    return parse(f"branching(clone(2), {branch}, {shortcut}, add)")


def inverted() -> Sentence:
    """Write a block of MobileNetV2 (Sandler et al. 2018), four times as wide inside."""
    return parse("residual(sequential(linear(quadruple), norm, relu, depthwise3x3, norm, relu, linear(quarter), norm))")


def elman() -> Sentence:
    """Write a recurrent network that hands on tanh of a linear map of input and state (Elman 1990)."""
    return parse("recurrence(same, sequential(linear(half), tanh))")


NAMED: dict[str, Named] = {
    **{
        f"conv{k}x{k}": Named(f"convolution {k}x{k}: (width, stride 1)", partial(convolution, kernel=k), 1, 2)
        for k in (1, 3, 5, 7)
    },
    **{
        f"depthwise{k}x{k}": Named(f"depthwise convolution {k}x{k}: (stride 1)", partial(depthwise, kernel=k), 0, 1)
        for k in (3, 5, 7)
    },
    "separable": Named("depthwise 3x3, then pointwise: (width, stride 1)", separable, 1, 2),
    "attention": Named("multi-head self-attention: (heads)", attention, 1, 1),
    "residual": Named("x + part(x): (part)", residual, parts=1),
    "excitation": Named("squeeze-and-excitation", excitation),
    "mlp": Named("perceptron, four times as wide inside", perceptron),
    "encoder": Named("transformer block: (heads)", encoder, 1, 1),
    "mixer": Named("MLP-Mixer block", mixer),
    "basic": Named("residual block: (width, stride 1)", basic, 1, 2),
    "preactivated": Named("pre-activated residual block: (width, stride 1)", preactivated, 1, 2),
    "inverted": Named("inverted residual block", inverted),
    "elman": Named("recurrent network, its state as wide as its input", elman),
}
