from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import archwright.data.limits
from archwright.data.decode import Encodings, decode, preprocess_image
from archwright.data.depth import BYTES
from archwright.data.images import Preprocessing
from archwright.data.units import Units
from archwright.errors import DataError, DataWarning

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> Any:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def png(image: Image.Image, **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", **save)
    return file.getvalue()


def decoded(*images: Any, size: tuple[int, int] | None = None) -> tuple[torch.Tensor, list[str]]:
    found = decode({"train": Encodings(images, lambda i: f"image {i}")}, size)
    return found.parts["train"], found.notes + found.warnings


def preprocessing(channels: int, height: int, width: int, units: Units = BYTES) -> Preprocessing:
    return Preprocessing((0.0,) * channels, (1.0,) * channels, channels, height, width, units.file_scale, units)


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
    tensors = decode(parts, None, lambda done, total: seen.append((done, total))).parts
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


@pytest.mark.parametrize(("highest", "white"), [(4095, 4095), (3000, 4095), (255, 255), (65535, 65535), (300, 300)])
def test_sixteen_bits_keep_every_level_and_the_range_is_found_from_the_values(highest: int, white: int) -> None:
    levels = np.linspace(0, highest, 4096).astype(np.uint16).reshape(64, 64)
    found = decode({"train": Encodings([png(Image.fromarray(levels))], str)}, None)
    assert torch.equal(found.parts["train"][0, 0], torch.from_numpy(levels.astype(np.float32)))
    assert found.units == Units(0, white)
    assert found.notes == ["1 images of more than 8 bits per pixel keep their values, as float32"]


@pytest.mark.parametrize(("dtype", "highest"), [(np.int32, 100_000), (np.float32, 1.0), (np.float32, -3.0)])
def test_tiff_of_32_bits_keeps_its_values(dtype: type, highest: float) -> None:
    values = np.linspace(0, highest, 48).astype(dtype).reshape(6, 8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "tiff")
    found = decode({"train": Encodings([file.getvalue()], str)}, None)
    assert torch.equal(found.parts["train"][0, 0], torch.from_numpy(values.astype(np.float32)))
    assert (found.units.low, found.units.high) == (min(0, highest), max(0, highest))
    values = values.astype(np.float32)
    values[3, 3] = np.nan
    Image.fromarray(values).save(file := io.BytesIO(), "tiff")
    with pytest.raises(DataError, match=r"^image 0: it contains NaN"):
        decoded(file.getvalue())


def test_images_of_8_and_16_bits_together_are_brought_to_one_range_and_it_is_a_warning() -> None:
    shallow, deep = np.full((5, 5), 255, np.uint8), np.full((5, 5), 4095, np.uint16)
    images = {name: png(Image.fromarray(pixel)) for name, pixel in {"shallow": shallow, "deep": deep}.items()}
    found = decode({"train": Encodings([images["shallow"], images["deep"]], str)}, None)
    assert found.parts["train"].unique().tolist() == [255.0]
    assert found.units.high == 255
    assert found.units.deep_scale * 4095 == 255
    assert "1 of 2 training images have more than 8 bits per pixel: their 0 to 4095" in found.warnings[0]
    parts = {"train": Encodings([images["deep"]], str), "test": Encodings([images["shallow"]], str)}
    found = decode(parts, None)
    assert found.parts["test"].unique().tolist() == pytest.approx([4095.0])
    assert "1 of 1 test images have 8 bits per pixel" in found.warnings[0]


def sixteen_bit_colours(pixels: Any) -> bytes:
    """A PNG of 16 bits a colour, which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    made = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def test_colours_of_16_bits_are_reduced_only_where_their_upper_bits_have_the_contrast() -> None:
    full = np.linspace(0, 65535, 75).astype(np.uint16).reshape(5, 5, 3)
    x, notes = decoded(sixteen_bit_colours(full))
    assert torch.equal(x[0], torch.from_numpy((full >> 8).astype(np.uint8)).permute(2, 0, 1))
    assert notes == ["1 images of 16 bits per colour were reduced to 8"]
    with pytest.raises(DataError, match=r"16 bits a colour, .* use 16 of 256 levels"):
        decoded(sixteen_bit_colours(full // 16))


def test_of_several_frames_or_pages_the_first_is_used_and_it_is_said() -> None:
    for form in ("gif", "webp", "tiff", "png"):
        file, pages = io.BytesIO(), [Image.new("RGB", (6, 6), (40 * n, 0, 0)) for n in range(3)]
        pages[0].save(file, form, save_all=True, append_images=pages[1:])
        notes = decoded(file.getvalue())[1]
        assert "1 images have several frames or pages, of which the first is used" in notes, form


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
def test_an_orientation_that_stands_in_xmp_alone_counts(form: str) -> None:
    sideways = Image.new("L", (12, 6))
    sideways.paste(255, (0, 0, 12, 3))  # the upper half is white
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    file = io.BytesIO()
    if form == "png":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        sideways.save(file, "png", pnginfo=text)
    elif form == "tiff":
        sideways.save(file, "tiff", tiffinfo={700: xmp})
    else:
        sideways.convert("RGB").save(file, form, xmp=xmp, **({"lossless": True} if form == "webp" else {"quality": 95}))
    x, notes = decoded(file.getvalue())
    assert x.shape[2:] == (12, 6)
    assert x[0, 0, :, 3:].float().mean() > 240  # the right half
    assert x[0, 0, :, :3].float().mean() < 15
    assert notes == []


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
    monkeypatch.setattr(archwright.data.limits, "usable_memory", lambda: 10**6)
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
    x = preprocess_image(white, preprocessing(1, 5, 6, Units(0, 1)))
    assert x.dtype == torch.float32
    assert x.unique().tolist() == [1.0]
    with pytest.raises(DataError, match="units of their own"):
        preprocess_image(white, preprocessing(1, 5, 6, Units(-2, 2)))
    with pytest.raises(DataError, match="takes 4 channels"):
        preprocess_image(white, preprocessing(4, 5, 6))


def test_predicting_from_files_that_do_not_have_the_range_of_training_is_loud(tmp_path: Path) -> None:
    white = Image.new("L", (6, 5), 255)
    with pytest.warns(DataWarning, match="trained on pixels of 0 to 16"):
        assert preprocess_image(white, preprocessing(1, 5, 6, Units(0, 16))).unique().tolist() == [16.0]

    def deep(value: int, units: Units) -> torch.Tensor:
        image = Image.fromarray(np.array([[0, value]] * 3, np.uint16))
        return preprocess_image(image, preprocessing(1, 3, 2, units))

    assert deep(4000, Units(0, 4095)).max() == 4000
    assert deep(4095, Units(0, 255, 255 / 4095)).max() == pytest.approx(255)
    with pytest.raises(DataError, match="values are 0 to 4000, and the training part's range is 0 to 255"):
        deep(4000, BYTES)
    with pytest.warns(DataWarning, match="or all so dark"):
        deep(200, Units(0, 4095))
    (tmp_path / "dark.png").write_bytes(sixteen_bit_colours(np.full((5, 5, 3), 4095)))
    with pytest.warns(DataWarning, match="16 bits a colour"):
        preprocess_image(tmp_path / "dark.png", preprocessing(3, 5, 5))


def test_a_model_without_a_range_reduces_to_8_bits_as_its_version_did() -> None:
    old = Preprocessing((0.0,), (1.0,), 1, 3, 2, 1.0)
    with pytest.warns(DataWarning, match="kept no range"):
        x = preprocess_image(Image.fromarray(np.full((3, 2), 0x1234, np.uint16)), old)
    assert (x.dtype, x.unique().tolist()) == (torch.uint8, [0x12])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="image 0 is no regular file"):
        decoded(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.png: no such file"):
        preprocess_image(tmp_path / "gone.png", preprocessing(1, 5, 6))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_a_damaged_tiff_is_one_error_and_libtiff_prints_nothing(
    compression: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.tif", compression=compression)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:300] + bytes(900) + content[1200:])
    with pytest.raises(DataError, match="image 0: unreadable image"):
        decoded(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")
