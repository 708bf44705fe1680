"""One file per dataset, in its authors' own layout."""
