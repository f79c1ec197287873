"""Tests of the core: no I/O, no sleeping, no clock but the one passed in."""
