"""Any predictor over millions of photos: folders, tar shards or a list in, one parquet table out."""
