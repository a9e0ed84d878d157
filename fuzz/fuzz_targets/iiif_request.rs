#![no_main]

halidom_fuzz::target!(halidom::service::fuzzing::iiif_request);
