"""Tables, pages and plots of results."""
