"""What the quality benchmark measures: pure functions from answers and truths to figures."""
