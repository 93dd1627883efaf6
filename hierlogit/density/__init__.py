"""One model in several forms of its log density."""
