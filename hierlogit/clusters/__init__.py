"""The clusters of a grouping factor compared with each other: expected and predicted events, ranks and rankability."""
