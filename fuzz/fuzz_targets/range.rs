#![no_main]

halidom_fuzz::target!(halidom::http::fuzzing::range);
