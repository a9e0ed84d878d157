#![no_main]

halidom_fuzz::target!(halidom::imaging::fuzzing::decode_png);
