#![no_main]

halidom_fuzz::target!(halidom::imaging::fuzzing::render_recipe);
