"""The recipe of `lite-sound`: a small log-mel network that shares a space with sentences."""
