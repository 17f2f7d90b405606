"""How good predicted moments are, measured against annotations as the literature does."""
