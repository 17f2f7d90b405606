"""Tapes composed of captioned photos, from which the lite moment head learns."""
