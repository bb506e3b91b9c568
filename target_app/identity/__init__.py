"""Accounts, passwords and signed tokens."""
