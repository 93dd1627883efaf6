"""What a logistic regression that ignores the clusters gets wrong, judged by a mixed model of the same rows."""
