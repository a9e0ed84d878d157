"""libvips in process, for `make bench-peers`: takes commands as lines of JSON, answers each with one.

    {"do": "version"}                                                 its version
    {"do": "load", "photo": F}                                        reads a file into memory; its size and loader
    {"do": "thumbnails", "photo": F, "sizes": [[320, 80]], "times": N}  seconds that each of N rounds of all sizes took
    {"do": "compare", "photo": F, "size": 320, "quality": 80}         how near libvips's own rendition is to the reference
    {"do": "compare", "photo": F, "rendition": G}                     the same of another's
    {"do": "montage", "photos": [F, F, F, F], "to": G}                one photo of four

The reference is the whole photo, decoded at full size and resized once by Lanczos to the rendition's own size.
"""

import functools
import json
import math
import os
import sys
import time

# Read when the library is loaded.
os.environ["VIPS_CONCURRENCY"] = "1"

import pyvips  # noqa: E402

# A thumbnail made before must not serve for the next.
pyvips.cache_set_max(0)

TILE = (2048, 1536)


@functools.cache
def photo(path):
    with open(path, "rb") as file:
        data = file.read()
    image = pyvips.Image.new_from_buffer(data, "")
    # Converting to sRGB is asked for only where there is a profile to convert from: elsewhere it costs several times as much.
    profile = {"output_profile": "srgb"} if image.get_typeof("icc-profile-data") else {}
    return data, image, profile


def thumbnail(path, size, quality):
    data, _, profile = photo(path)
    image = pyvips.Image.thumbnail_buffer(data, size, height=size, size="down", **profile)
    return image.jpegsave_buffer(Q=quality, keep="none")


def thumbnails(path, sizes, times):
    photo(path)
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        for size, quality in sizes:
            thumbnail(path, size, quality)
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds}


def luminance(image):
    return image.colourspace("b-w").extract_band(0).cast("float").copy_memory()


@functools.cache
def whole(path):
    data, _, profile = photo(path)
    image = pyvips.Image.new_from_buffer(data, "").autorot()
    if profile:
        image = image.icc_transform("srgb")
    return image.copy_memory()


@functools.cache
def reference(path, width, height):
    image = whole(path)
    small = image.resize(width / image.width, vscale=height / image.height, kernel="lanczos3", gap=0)
    return luminance(small.extract_area(0, 0, width, height))


def ssim(one, other):
    """Mean structural similarity (Wang and others, 2004): Gaussian windows, sigma 1.5."""

    def blur(image):
        return image.gaussblur(1.5, precision="float", min_ampl=0.01)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean1, mean2 = blur(one), blur(other)
    var1, var2 = blur(one * one) - mean1 * mean1, blur(other * other) - mean2 * mean2
    both = blur(one * other) - mean1 * mean2
    similar = ((2 * mean1 * mean2 + c1) * (2 * both + c2)) / ((mean1 * mean1 + mean2 * mean2 + c1) * (var1 + var2 + c2))
    return similar.avg()


def compare(path, size=None, quality=None, rendition=None):
    if rendition:
        with open(rendition, "rb") as file:
            data = file.read()
    else:
        data = thumbnail(path, size, quality)
    made = pyvips.Image.new_from_buffer(data, "")
    wanted, given = reference(path, made.width, made.height), luminance(made)
    error = ((wanted - given) * (wanted - given)).avg()
    psnr = 10 * math.log10(255 * 255 / error) if error else 99.0
    return {"ssim": ssim(wanted, given), "psnr": psnr, "bytes": len(data), "width": made.width, "height": made.height}


def montage(photos, to):
    tiles = []
    for path in photos:
        image = pyvips.Image.new_from_file(path)
        if image.width < image.height:
            image = image.rot90()
        tiles.append(image.extract_area((image.width - TILE[0]) // 2, (image.height - TILE[1]) // 2, *TILE))
    joined = pyvips.Image.arrayjoin([tile.copy_memory() for tile in tiles], across=2)
    joined.jpegsave(to, Q=92, subsample_mode="on", keep="none")
    return {"width": joined.width, "height": joined.height}


def answer(command):
    match command.pop("do"):
        case "version":
            return {"version": ".".join(str(pyvips.version(part)) for part in range(3))}
        case "load":
            _, image, _ = photo(command["photo"])
            return {"width": image.width, "height": image.height, "loader": image.get("vips-loader")}
        case "thumbnails":
            return thumbnails(command["photo"], command["sizes"], command["times"])
        case "compare":
            return compare(command.pop("photo"), **command)
        case "montage":
            return montage(**command)
        case other:
            raise ValueError(f"no such command: {other}")


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
