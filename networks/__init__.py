"""nn.Modules and nothing else: tensors in, tensors out."""
