"""Training of QD-DETR: from annotations and feature files to an official-style checkpoint."""
