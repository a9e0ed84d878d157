# libheif's build takes in every codec that it finds on the machine, encoders under the GPL and a second libjpeg among them. A binary must
# not depend on what happens to be installed: HEVC by libde265 and AV1 by dav1d are decoded, and nothing else.
foreach(codec IN ITEMS
    AOM_DECODER AOM_ENCODER RAV1E SvtEnc X264 X265 JPEG_DECODER JPEG_ENCODER KVAZAAR OPENJPH_ENCODER OpenJPEG_DECODER OpenJPEG_ENCODER
    OPEN_JPH_ENCODER FFMPEG_DECODER OpenH264_DECODER UVG266 VVDEC VVENC LIBSHARPYUV)
  set(WITH_${codec} OFF CACHE BOOL "see cmake/codecs.cmake" FORCE)
endforeach()

# A release build keeps line numbers, and with them CMake's own flags are -O2, where libjpeg-turbo without them takes -O3: decoding a JPEG
# is all but all of what a thumbnail costs.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O3 -g -DNDEBUG" CACHE STRING "see cmake/codecs.cmake")
