"""What reelseek claims, as commands that measure it."""
