"""Brings weights in: recognises, converts, downloads and checks what users bring."""
