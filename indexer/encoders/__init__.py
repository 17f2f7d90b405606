"""Picture (and later sound) towers behind one protocol."""
