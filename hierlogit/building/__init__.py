"""The guided build-up of a model: every step from an intercept to random slopes, with its evidence."""
