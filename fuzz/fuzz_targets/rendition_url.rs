#![no_main]

halidom_fuzz::target!(halidom::service::fuzzing::rendition_url);
