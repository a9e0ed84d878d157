"""URLs as the imgproxy clients of PyPI make them (imgproxy, pyimgproxy): one a line.

Usage: python imgproxy.py HASH (IMGPROXY_KEY and IMGPROXY_SALT in the environment, in hexadecimal digits)
"""

import os
import sys

# This file has the name of what it imports.
sys.path = [path for path in sys.path if os.path.realpath(path or ".") != os.path.dirname(os.path.realpath(__file__))]

import imgproxy  # noqa: E402
import pyimgproxy  # noqa: E402

digits = sys.argv[1]
key, salt = os.environ["IMGPROXY_KEY"], os.environ["IMGPROXY_SALT"]

first = imgproxy.ImgProxy.factory(key=key, salt=salt, proxy_host="/i")
print(first(digits, resizing_type="fill", width=200, height=100, gravity="sm", extension="webp"))
print(first(digits, resizing_type="fit", width=200, enlarge=True))
print(first(digits, "q:70", "dpr:2", resizing_type="auto", width=200, height=100, extension="jpg"))

second = pyimgproxy.ImgProxy(url="/i", key=key, salt=salt)
image = second.image(digits)
for asked in (
    image.resize("fill", 200, 100).gravity("no", 5, 5),
    image.width(150).dpr(2).quality(70).format("webp"),
    image.size(100, 100).resizing_type("force").format("png"),
    image.width(60).background(hex_color="ff0000").blur(1.5),
):
    print(asked.url)
