"""Advice: the scaling decision, told to those who carry it out themselves: an HPA, KEDA.

Law: it only reads the fleet's view. Whoever asks and does not act, or acts otherwise, changes nothing here.
"""
