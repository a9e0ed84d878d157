# The C and C++ of the codecs that cmake builds, instrumented for libFuzzer to see where it gets in them. AddressSanitizer comes by itself, from the
# flags that Rust is compiled with. What cmake compiles to try something out is left alone.
include(${CMAKE_CURRENT_LIST_DIR}/../cmake/codecs.cmake)
set(CMAKE_C_COMPILER clang)
set(CMAKE_CXX_COMPILER clang++)
get_property(is_a_trial GLOBAL PROPERTY IN_TRY_COMPILE)
if(NOT is_a_trial)
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=fuzzer-no-link>)
endif()
