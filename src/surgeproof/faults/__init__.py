"""Faults of a rehearsal: their kinds, Toxiproxy, the timetable, and the guardian that undoes all.

Nothing is imported here: a plan is validated without the Toxiproxy library being loaded.
"""
