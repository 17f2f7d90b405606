"""The recipe that makes the default encoder bundle, `lite`. Not installed with the package."""
