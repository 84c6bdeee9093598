"""`karais bench`: one module per benchmark."""
