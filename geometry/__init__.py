"""Plain mathematics on arrays and tensors: landmark schemes, transforms, heatmaps."""
