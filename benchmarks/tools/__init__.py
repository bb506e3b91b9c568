"""The load generators compared: how each is started for a job, and what it says afterwards."""
