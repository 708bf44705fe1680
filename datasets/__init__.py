"""Faces on disk: one file per dataset, crops, detection, augmentation on the device, packing into shards."""
