"""The web page that `app.py` serves: tasks on a photo, a head to play with, samples, and folders that do not stay."""
