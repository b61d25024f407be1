"""Pure decisions: facts and `now` in, a value with a reason out. No I/O, no clock, no async."""
