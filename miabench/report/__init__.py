"""From stored results to tables and plots."""
