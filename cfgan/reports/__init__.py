"""Pictures, tables and pages about bundles and batches."""
