from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import archwright.data.decode
from archwright.data.decode import Encodings, decode, preprocess_image
from archwright.data.images import Preprocessing
from archwright.errors import DataError

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> Any:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def png(image: Image.Image, **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", **save)
    return file.getvalue()


def decoded(*images: Any, size: tuple[int, int] | None = None) -> tuple[torch.Tensor, list[str]]:
    tensors, notes = decode({"train": Encodings(images, lambda i: f"image {i}")}, size)
    return tensors["train"], notes


def preprocessing(channels: int, height: int, width: int, scale: float | None = 1.0) -> Preprocessing:
    return Preprocessing((0.0,) * channels, (1.0,) * channels, channels, height, width, scale)


def test_grey_and_colour_come_out_exactly() -> None:
    grey, colour = pixels(6, 5), pixels(6, 5, 3)
    x, notes = decoded(png(Image.fromarray(grey)))
    assert torch.equal(x, torch.from_numpy(grey)[None, None])
    assert notes == []
    x, notes = decoded(png(Image.fromarray(grey)), png(Image.fromarray(colour)))
    assert torch.equal(x[0], torch.from_numpy(np.stack([grey] * 3)))
    assert torch.equal(x[1], torch.from_numpy(colour).permute(2, 0, 1))
    assert notes == ["1 grey images were made colour, as the others are"]


def test_many_images_keep_their_order_and_progress_is_counted() -> None:
    arrays = pixels(700, 4, 4)
    seen: list[tuple[int, int]] = []
    parts = {
        "train": Encodings([png(Image.fromarray(a)) for a in arrays[:600]], str),
        "test": Encodings([png(Image.fromarray(a)) for a in arrays[600:]], str),
    }
    tensors, _ = decode(parts, None, lambda done, total: seen.append((done, total)))
    assert torch.equal(torch.cat([tensors["train"], tensors["test"]])[:, 0], torch.from_numpy(arrays))
    assert seen[-1] == (700, 700)
    assert seen == sorted(seen)


def test_other_sizes_are_resized_to_the_most_common_one_and_it_is_said() -> None:
    flat = Image.new("L", (9, 7), 50)
    x, notes = decoded(png(Image.fromarray(pixels(6, 5))), png(flat), png(Image.fromarray(pixels(6, 5))))
    assert x.shape == (3, 1, 6, 5)
    assert (x[1] == 50).all()
    assert notes == ["1 of 3 images were resized to 6x5 (from 7x9)"]


def test_a_size_asked_for_is_height_then_width() -> None:
    assert decoded(png(Image.new("L", (9, 7))), size=(4, 6))[0].shape == (1, 1, 4, 6)


def test_the_header_is_upright_as_the_image_is() -> None:
    sideways = Image.fromarray(pixels(6, 5, 3))
    exif = sideways.getexif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    x, _ = decoded(png(sideways, exif=exif))
    assert torch.equal(x[0], torch.from_numpy(np.rot90(np.array(sideways), -1).copy()).permute(2, 0, 1))


def test_transparency_is_laid_on_white() -> None:
    rgba = pixels(5, 5, 4)
    rgba[..., 3] = 0
    rgba[0, 0, 3] = 255
    x, notes = decoded(png(Image.fromarray(rgba)))
    assert x[0, :, 0, 0].tolist() == rgba[0, 0, :3].tolist()
    assert (x[0, :, 1:] == 255).all()
    assert notes == ["1 images with an alpha channel were laid on white"]
    palette = Image.new("P", (5, 5), 3)
    palette.putpalette(bytes(768))
    assert (decoded(png(palette, transparency=3))[0] == 255).all()


def test_sixteen_bits_are_reduced_not_clipped() -> None:
    deep = (pixels(5, 5).astype(np.uint16) << 8) + 7
    x, notes = decoded(png(Image.fromarray(deep)))
    assert torch.equal(x[0, 0], torch.from_numpy((deep >> 8).astype(np.uint8)))
    assert notes == ["1 images of 16 bits per pixel were reduced to 8"]


@pytest.mark.parametrize(
    ("form", "mode"), [("jpeg", "CMYK"), ("bmp", "1"), ("webp", "RGB"), ("gif", "P"), ("tiff", "L")]
)
def test_other_formats_and_modes_are_read(form: str, mode: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), "white").convert(mode).save(file, form)
    x, _ = decoded(file.getvalue())
    assert x.shape[2:] == (6, 8)
    assert x.min() > 250


def test_a_big_jpeg_decoded_at_a_fraction_looks_as_when_resized_in_full() -> None:
    ramp = Image.linear_gradient("L").resize((640, 480))
    file = io.BytesIO()
    ramp.save(file, "jpeg", quality=95)
    x, _ = decoded(file.getvalue(), size=(24, 32))
    expected = np.array(ramp.resize((32, 24), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(x[0, 0].numpy().astype(int) - expected).max() <= 3


def test_what_is_no_image_is_named() -> None:
    good = png(Image.fromarray(pixels(40, 40)))
    for bad in (b"", b"text", good[: len(good) // 2], good[:300] + b"\0" * 200):
        with pytest.raises(DataError, match=r"^image 1: unreadable image: "):
            decoded(good, bad)


def test_postscript_is_never_interpreted(tmp_path: Path) -> None:
    (tmp_path / "evil.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    with Image.open(tmp_path / "evil.png") as image:  # the file is one that Pillow would give to Ghostscript
        assert image.format == "EPS"
    with pytest.raises(DataError, match="no image of a known format"):
        decoded(tmp_path / "evil.png")


def test_tiny_images_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="3x9 pixels; the least is 4x4"):
        decoded(png(Image.new("L", (9, 3))))
    monkeypatch.setattr(archwright.data.decode, "physical_memory", lambda: 10**6)
    with pytest.raises(DataError, match=r"1 images of 2000x1000 would take 0.0 GB .* give a smaller image size"):
        decoded(png(Image.new("L", (1000, 2000))))


def test_predicting_sees_what_training_saw(tmp_path: Path) -> None:
    colour = Image.fromarray(pixels(9, 12, 3))
    colour.save(tmp_path / "a.png")
    trained, _ = decoded(tmp_path / "a.png", size=(5, 6))
    for image in (tmp_path / "a.png", str(tmp_path / "a.png"), colour):
        x = preprocess_image(image, preprocessing(3, 5, 6))
        assert x.dtype == torch.uint8
        assert torch.equal(x, trained[0])
    grey = preprocess_image(colour, preprocessing(1, 9, 12))
    assert torch.equal(grey[0], torch.from_numpy(np.array(colour.convert("L"))))


def test_predicting_uses_the_units_of_training() -> None:
    white = Image.new("L", (6, 5), 255)
    x = preprocess_image(white, preprocessing(1, 5, 6, 1 / 255))
    assert x.dtype == torch.float32
    assert x.unique().tolist() == [1.0]
    with pytest.raises(DataError, match="units of their own"):
        preprocess_image(white, preprocessing(1, 5, 6, None))
    with pytest.raises(DataError, match="takes 4 channels"):
        preprocess_image(white, preprocessing(4, 5, 6))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.png: no such file"):
        preprocess_image(tmp_path / "gone.png", preprocessing(1, 5, 6))
