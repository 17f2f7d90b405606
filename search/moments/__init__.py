"""Moment heads: where in a segment a sentence is true."""
