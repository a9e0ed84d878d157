#![no_main]

halidom_fuzz::target!(halidom::model::fuzzing::stored_record);
