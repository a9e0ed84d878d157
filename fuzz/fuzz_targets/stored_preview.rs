#![no_main]

halidom_fuzz::target!(halidom::service::fuzzing::stored_preview);
