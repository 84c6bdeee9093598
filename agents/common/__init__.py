"""What several agents need and none owns."""
