"""Sentences to ranked moments."""
