"""The only place that knows membership: hidden scores, rows of metrics."""
