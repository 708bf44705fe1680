"""Pictures and movies of points, surfaces, pose and curves."""
