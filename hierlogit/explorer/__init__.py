"""Sliders that show what differences between clusters do, in the report and as a widget of notebooks."""
