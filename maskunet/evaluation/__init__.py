"""What pictures are worth, by judges that know no method: features, metrics, benchmarks."""
