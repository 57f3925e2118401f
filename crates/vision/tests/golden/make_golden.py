"""Makes the golden files beside it with Pillow and transformers.

    pip install pillow==13.0.0 numpy torch==2.15.0 transformers==5.23.0
    python make_golden.py

- images/*: small files of every kind that is read; decode.json: what Pillow's convert("RGB") makes of
  them after ImageOps.exif_transpose.
- resize.json: hashes (and a few outputs) of Pillow's bicubic resize.
- anyres.csv: plans by transformers' own functions, and the token counts of LLaVA-NeXT's formula.
- tiles.json: pixel values of LlavaOnevisionImageProcessorPil.
"""

import io
import json
import math
import random
import struct
import types
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.image_utils import ChannelDimension
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.llava_onevision.modeling_llava_onevision import (
    LlavaOnevisionModel,
    unpad_image,
)

HERE = Path(__file__).parent
IMAGES = HERE / "images"


def noise(seed, count):
    """The generator of tests/common/mod.rs."""
    values = bytearray(count)
    state = seed
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = state >> 24
    return np.frombuffer(bytes(values), np.uint8)


def pattern(kind, seed, width, height):
    if kind == "waves":
        y, x, c = np.mgrid[0:height, 0:width, 0:3]
        return ((x * (5 + c) + y * (9 - 2 * c) + seed) % 256).astype(np.uint8)
    values = noise(seed, width * height * 3).reshape(height, width, 3)
    return values if kind == "noise" else np.where(values > 127, 255, 0).astype(np.uint8)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


# --- decoding -------------------------------------------------------------------------------------


def smooth(width, height, channels):
    """Few high frequencies, so that JPEG decoders differ by rounding only."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    value = 128 + 90 * np.sin(x / (4 + c) + c) * np.cos(y / (5 - c % 3) + 2 * c)
    return value.round().astype(np.uint8)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def adam7(pixels):
    """The rows of the seven passes."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    for y, x, down, right in passes:
        for row in pixels[y::down, x::right]:
            if len(row):
                yield row.tobytes()


def png(width, height, color, depth, rows, chunks=b"", interlace=0):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + chunks
        + png_chunk(b"IDAT", data)
        + png_chunk(b"IEND", b"")
    )


def bmp(width, height, bits, data, compression=0, palette=b"", masks=b""):
    offset = 14 + 40 + len(masks) + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + header + masks + palette + data


def saved(array, mode, format, **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, format, **options)
    return out.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def oriented(orientation):
    return saved(smooth(11, 6, 3), "RGB", "PNG", exif=exif(orientation))


def image_files():
    w, h = 13, 9
    rgb, rgba = smooth(w, h, 3), smooth(w, h, 4)
    grey, grey_alpha, cmyk = smooth(w, h, 3)[..., 0].copy(), smooth(w, h, 2), smooth(29, 19, 4)
    photo = smooth(29, 19, 3)
    wide = (noise(7, w * h * 8).reshape(h, w * 8)).copy()
    palette = bytes(noise(3, 48))
    entries = b"".join(palette[i : i + 3][::-1] + b"\0" for i in range(0, 48, 3))
    indices = noise(5, w * h).reshape(h, w) % 16

    yield "rgb.png", saved(rgb, "RGB", "PNG"), 0
    yield "rgba.png", saved(rgba, "RGBA", "PNG"), 0
    yield "grey.png", saved(grey, "L", "PNG"), 0
    yield "grey-alpha.png", saved(grey_alpha, "LA", "PNG"), 0
    for depth in (1, 2, 4):
        rows = [bytes(row[: math.ceil(w * depth / 8)]) for row in wide]
        yield f"grey-{depth}bit.png", png(w, h, 0, depth, rows), 0
    for color, channels in ((2, 3), (4, 2), (6, 4)):
        rows = [bytes(row[: w * channels * 2]) for row in wide]
        yield f"color{color}-16bit.png", png(w, h, color, 16, rows), 0
    rows = [bytes(row[: w * 2]) for row in wide]
    yield "grey-16bit.png", png(w, h, 0, 16, rows), 0
    rows = [bytes((row[0::2] << 4 | np.append(row, 0)[1::2][: len(row[0::2])]).astype(np.uint8)) for row in indices]
    chunks = png_chunk(b"PLTE", palette)
    yield "palette-4bit.png", png(w, h, 3, 4, rows, chunks), 0
    yield "palette-transparent.png", png(w, h, 3, 4, rows, chunks + png_chunk(b"tRNS", bytes(range(0, 160, 20)))), 0
    yield "rgb-transparent.png", png(w, h, 2, 8, [r.tobytes() for r in rgb], png_chunk(b"tRNS", b"\0\x80\0\x40\0\x20")), 0
    yield "interlaced.png", png(w, h, 2, 8, adam7(rgb), interlace=1), 0
    for orientation in range(1, 9):
        yield f"orientation-{orientation}.png", oriented(orientation), 0

    for name, options in {
        "444": {"subsampling": 0},
        "422": {"subsampling": 1},
        "420": {"subsampling": 2},
        "progressive": {"subsampling": 2, "progressive": True},
        "restart": {"subsampling": 2, "restart_marker_rows": 1},
        "orientation-6": {"subsampling": 0, "exif": exif(6)},
    }.items():
        yield f"{name}.jpg", saved(photo, "RGB", "JPEG", quality=90, **options), 3
    yield "rgb-components.jpg", saved(photo, "RGB", "JPEG", quality=90, keep_rgb=True), 3
    yield "grey.jpg", saved(photo[..., 1].copy(), "L", "JPEG", quality=90), 3
    adobe = saved(cmyk, "CMYK", "JPEG", quality=90)
    yield "cmyk.jpg", adobe, 3
    # The same numbers read as YCCK: only the transform byte of the Adobe segment differs.
    at = adobe.index(b"Adobe") + 11
    yield "ycck.jpg", adobe[:at] + b"\x02" + adobe[at + 1 :], 3
    jpeg = saved(photo, "RGB", "JPEG", quality=90, subsampling=0)
    at = jpeg.index(b"\xff\xdb")
    yield "junk-between-and-behind.jpg", jpeg[:at] + b"\0junk\0" + jpeg[at:] + b"more junk", 3

    yield "lossless.webp", saved(rgba, "RGBA", "WEBP", lossless=True, exact=True), 0
    yield "lossless-rgb.webp", saved(rgb, "RGB", "WEBP", lossless=True), 0
    yield "lossy.webp", saved(photo, "RGB", "WEBP", quality=85), 3
    yield "lossy-alpha.webp", saved(smooth(29, 19, 4), "RGBA", "WEBP", quality=85, exact=True), 3
    yield "orientation-8.webp", saved(rgb, "RGB", "WEBP", lossless=True, exif=exif(8)), 0
    out = io.BytesIO()
    frames = [Image.fromarray(smooth(w, h, 3)), Image.fromarray(255 - smooth(w, h, 3))]
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True, duration=40)
    yield "animated.webp", out.getvalue(), 0

    plain = Image.fromarray(indices.astype(np.uint8), "P")
    plain.putpalette(palette)
    out = io.BytesIO()
    plain.save(out, "GIF")
    yield "plain.gif", out.getvalue(), 0
    out = io.BytesIO()
    plain.save(out, "GIF", transparency=3)
    yield "transparent.gif", out.getvalue(), 0
    out = io.BytesIO()
    second = plain.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    plain.save(out, "GIF", save_all=True, append_images=[second], duration=40, interlace=1)
    yield "animated.gif", out.getvalue(), 0

    yield "rgb.bmp", saved(rgb, "RGB", "BMP"), 0
    yield "grey.bmp", saved(grey, "L", "BMP"), 0
    yield "palette-8bit.bmp", bmp(w, h, 8, b"".join(bytes(r).ljust(16, b"\0") for r in indices.astype(np.uint8)), palette=entries), 0
    yield "one-bit.bmp", one_bit(grey), 0
    yield "top-down.bmp", bmp(w, -h, 24, b"".join(bytes(r.reshape(-1)).ljust(40, b"\0") for r in rgb)), 0
    yield "32bit.bmp", bmp(w, h, 32, rgba.tobytes()), 0
    runs = b"".join(b"".join(bytes([1, v]) for v in row) + b"\0\0" for row in indices.astype(np.uint8))
    yield "run-length.bmp", bmp(w, h, 8, runs + b"\0\1", compression=1, palette=entries), 0


def one_bit(grey):
    out = io.BytesIO()
    Image.fromarray(grey).convert("1").save(out, "BMP")
    return out.getvalue()


def make_images():
    IMAGES.mkdir(exist_ok=True)
    for old in IMAGES.iterdir():
        old.unlink()
    cases = []
    for name, data, tolerance in image_files():
        (IMAGES / name).write_bytes(data)
        image = Image.open(io.BytesIO(data))
        if image.mode == "I;16":
            # Deliberately not Pillow's clipping at 255, see src/pixels.rs.
            high = (np.array(image) >> 8).astype(np.uint8)
            rgb = np.repeat(high[..., None], 3, axis=2)
        else:
            rgb = np.array(ImageOps.exif_transpose(image).convert("RGB"))
        height, width, _ = rgb.shape
        cases.append({"name": name, "width": width, "height": height, "tolerance": tolerance, "rgb": rgb.tobytes().hex()})
    write_lines("decode.json", cases)


# --- resizing -------------------------------------------------------------------------------------


def make_resize():
    chosen = random.Random(1)
    cases = []
    sizes = [
        (1, 1, 5, 3), (1, 40, 1, 7), (40, 1, 7, 1), (1, 40, 9, 9), (40, 1, 9, 9), (2, 2, 9, 7), (3, 5, 3, 4), (5, 3, 4, 3),
        (700, 1, 3, 1), (1, 700, 1, 3), (3, 1, 500, 2), (640, 427, 384, 384), (333, 501, 384, 578), (401, 97, 384, 93),
        (97, 401, 28, 28), (384, 384, 383, 385), (600, 400, 1, 1), (17, 13, 200, 150),
    ]
    sizes += [tuple(chosen.randint(1, 90) for _ in range(4)) for _ in range(60)]
    for i, (width, height, to_width, to_height) in enumerate(sizes):
        for kind in ("noise", "extremes", "waves"):
            seed = 100 + i
            image = Image.fromarray(pattern(kind, seed, width, height))
            out = image.resize((to_width, to_height), Image.Resampling.BICUBIC).tobytes()
            case = {"kind": kind, "seed": seed, "from": [width, height], "to": [to_width, to_height], "fnv": fnv(out)}
            if len(out) <= 120:
                case["rgb"] = out.hex()
            cases.append(case)
    write_lines("resize.json", cases)


# --- anyres ---------------------------------------------------------------------------------------


def reference_plan(width, height, tile, n, pinpoints, max_patches):
    """One row of anyres.csv, None where transformers itself fails. Pinpoints are (height, width) there."""
    best = select_best_resolution((height, width), pinpoints)
    # An array of that shape without its memory.
    image = np.broadcast_to(np.uint8(0), (3, height, width))
    resized = get_patch_output_size(image, best, ChannelDimension.FIRST)
    padding = LlavaOnevisionImageProcessorPil._get_padding_size(None, resized, best)
    rows, cols = best[0] // tile * n, best[1] // tile * n
    index = torch.arange(rows * cols).view(1, rows, cols)
    left = unpad_image(index, (height, width))[0]
    if left.numel():
        first, last = int(left[0, 0]), int(left[-1, -1])
        crop = (first // cols, last // cols + 1, first % cols, last % cols + 1)
    else:
        # Nothing left along one axis, in the middle.
        r, c = left.shape
        crop = (rows // 2, rows // 2, 0, c) if r == 0 else (0, r, cols // 2, cols // 2)
    config = types.SimpleNamespace(
        vision_config=types.SimpleNamespace(image_size=tile, patch_size=tile // n),
        image_grid_pinpoints=pinpoints,
    )
    tiles = 1 + (best[0] // tile) * (best[1] // tile)
    try:
        packed, _ = LlavaOnevisionModel.pack_image_features(
            types.SimpleNamespace(config=config),
            [torch.zeros(tiles, n * n, 1)],
            torch.tensor([[height, width]]),
            image_newline=torch.zeros(1),
            vision_aspect_ratio=f"anyres_max_{max_patches}",
        )
        tokens = packed[0].shape[0]
    except RuntimeError:
        tokens = ""
    original = original_tokens(width, height, rows, cols, n, max_patches)
    (top, _), (offset, _) = padding
    return [
        tile, n, max_patches, width, height, best[1], best[0], resized[1], resized[0], offset, top,
        *crop, tokens, original,
    ]


def original_tokens(width, height, ch, cw, n, max_patches):
    """LLaVA-NeXT's own: steps 7 to 10 of its unpad and anyres_max, with int() and no rounding."""
    if width / height > cw / ch:
        padding = (ch - int(height * (cw / width))) // 2
        ch -= 2 * padding
    else:
        padding = (cw - int(width * (ch / height))) // 2
        cw -= 2 * padding
    times = math.sqrt(ch * cw / (max_patches * n**2))
    pooled = times > 1.1
    if pooled:
        ch, cw = int(ch // times), int(cw // times)
    return "" if pooled and ch * cw == 0 else n * n + ch * (cw + 1)


def make_anyres():
    chosen = random.Random(2)
    configs = [
        (384, 27, 9, 6, 300, 5000),
        (28, 2, 1, 12, 100, 600),
        (32, 4, 2, 5, 100, 600),
        (30, 5, 1, 3, 60, 20000),
    ]
    rows = []
    for tile, n, max_patches, most, count, largest in configs:
        pinpoints = [[tile * i, tile * j] for i in range(1, most + 1) for j in range(1, most + 1)]
        sizes = [tuple(int(largest ** chosen.random()) for _ in range(2)) for _ in range(count)]
        sizes += [(1, 1), (1, largest), (largest, 1), (1, 30000), (30000, 1), (3, 2000), (2000, 3)]
        if tile == 384:
            sizes += [(3444, 4428), (2520, 1540), (1722, 1107), (826, 1207)]
        rows += [reference_plan(w, h, tile, n, pinpoints, max_patches) for w, h in sizes]
    head = "tile,n,max_patches,width,height,best_w,best_h,resized_w,resized_h,left,top,row0,row1,col0,col1,tokens_hf,tokens_original"
    lines = [head] + [",".join(str(v) for v in row) for row in rows]
    (HERE / "anyres.csv").write_text("\n".join(lines) + "\n")


# --- tiles ----------------------------------------------------------------------------------------


def make_tiles():
    cases = []
    clip = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    plain = ([0.5] * 3, [0.5] * 3)
    shapes = [(28, 28), (50, 31), (31, 50), (90, 20), (9, 84), (100, 100), (13, 7), (200, 64), (1, 1), (1, 90), (84, 56)]
    for i, (width, height) in enumerate(shapes):
        for mean, std in (plain, clip):
            processor = LlavaOnevisionImageProcessorPil(
                size={"height": 28, "width": 28},
                image_grid_pinpoints=[[28 * a, 28 * b] for a in range(1, 4) for b in range(1, 4)],
                image_mean=mean,
                image_std=std,
            )
            seed = 500 + i
            image = Image.fromarray(pattern("waves", seed, width, height))
            values = np.asarray(processor(image, return_tensors="np")["pixel_values"][0], np.float32)
            cases.append({
                "seed": seed, "size": [width, height], "mean": mean, "std": std, "shape": list(values.shape),
                "fnv": fnv(values.astype("<f4").tobytes()),
                "diagonal": [[float(v) for v in tile[:, (3, 14, 25), (3, 14, 25)].reshape(-1)] for tile in values],
            })
    write_lines("tiles.json", cases)


def write_lines(name, cases):
    """One case a line: a changed case is a changed line."""
    body = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (HERE / name).write_text(f"[\n{body}\n]\n")


if __name__ == "__main__":
    make_images()
    make_resize()
    make_anyres()
    make_tiles()
