"""What KARAIS keeps: tables, projections of the log, weights. Never talks to the bus."""
