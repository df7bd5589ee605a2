"""Attacks on other people's predictions."""
