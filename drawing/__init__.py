"""Pictures of points, surfaces, pose and curves."""
