"""The text side of each encoder."""
