"""Studies in which people choose between pictures without knowing what made them: made, and reported."""
