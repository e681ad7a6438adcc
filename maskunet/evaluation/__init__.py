"""What pictures are worth, judged without knowing any method: features, metrics, benchmarks."""
