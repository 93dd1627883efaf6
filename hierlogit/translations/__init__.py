"""One model in the words of others."""
