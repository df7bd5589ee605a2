"""The Python API: one public function for every command, and what makes plugins and data by name."""
